"""The game board: a GAN in the plane, played move by move, forward and back, and seen in six panels at any moment.

    board = Board(toy.ring(), *small_networks(rng(0)))
    board.play(1000)                      # a thousand moves, D and G in turn
    board.draw("t1000.png")               # in a notebook, `board` alone shows the picture
    board.step("G"); board.back()         # one move by hand, and back
    board.goto(200).fork(loss=losses.wasserstein).play(300)      # the same state, another game from here on

What a move draws depends on the seed and on t alone. So a moment can be played again bit for bit: parameters are kept
at every `every`-th moment, and moves between are played anew. Nothing is computed for pictures until one is drawn.

t counts moves of one player.   N samples in a batch   z (N, 2)   x (N, 2)   logits (N, 1)
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
from collections.abc import Callable, Iterator
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from minigan import losses, viz
from minigan.backend import Array, rng, to_device, to_host
from minigan.data.toy import Curve, Mixture
from minigan.dynamics import Still
from minigan.layers.activations import sigmoid
from minigan.metrics.modes import energy_distance, modes, perfect_modes
from minigan.models.plane import plane
from minigan.network import Network
from minigan.optim import Adam, Optimizer
from minigan.penalty import Penalty
from minigan.steps import d_step, g_step

LOOK = 512  # points of each kind that numbers and pictures are taken on: the same z, and the same real points, always
KERNELS = 100_000  # fakes in the estimate of q
CELLS = 28  # along a side of the sheet
MEASURES = ("d_loss", "g_loss", "accuracy", "energy", "modes", "high_quality")


def small_networks(rng: Any, width: int = 64) -> tuple[Network, Network]:
    """G 2-width-width-2 with ReLU and D 2-width-width-1 with LeakyReLU(0.2), He's initial weights."""
    gan = plane(rng, width)
    return gan.G, gan.D


class Board:
    """A game in the plane at the moment t, and all moments before it.

    data       a density of minigan.data.toy in two dimensions: ring, grid, swiss_roll, two_moons, ...
    G, D       networks z (N, 2) -> x (N, 2), x (N, 2) -> logit (N, 1); the board moves them in place
    loss       of minigan.losses.  lr: of both players, unless lr_g or lr_d says otherwise
    penalty    makes D's penalty from a random generator, as `penalty.wgan_gp` does, or `lambda rng: penalty.r1(0.1)`:
               the generator is the move's own, so that a move played again draws the same
    d_steps    moves of D for each of G.  optimizer: of (network, lr)
    every      moves from one kept moment to the next

    Raises ValueError where data or networks are not of the plane, where a layer draws at random by itself (dropout;
    it could not be played again), for a penalty that is not such a function, and for d_steps, batch or every below 1.
    """

    def __init__(
        self,
        data: Mixture | Curve,
        G: Network,
        D: Network,
        *,
        loss: losses.Loss = losses.non_saturating,
        lr: float = 1e-3,
        lr_g: float | None = None,
        lr_d: float | None = None,
        batch: int = 256,
        penalty: Callable[[Any], Penalty] | None = None,
        d_steps: int = 1,
        seed: int = 0,
        optimizer: Callable[[Network, float], Optimizer] = Adam,
        every: int = 25,
    ) -> None:
        if data.dim != 2:
            raise ValueError(f"The board is a plane, but these data have {data.dim} dimension(s).")
        if min(d_steps, batch, every) < 1:
            raise ValueError(f"d_steps, batch and every are at least 1, but got {d_steps}, {batch} and {every}.")
        _check_networks(G, D)
        _check_penalty(penalty)
        self.data, self.G, self.D, self.loss, self.penalty = data, G, D, loss, penalty
        self.lr_g, self.lr_d = lr if lr_g is None else lr_g, lr if lr_d is None else lr_d
        self.batch, self.d_steps, self.seed, self.optimizer, self.every = batch, d_steps, seed, optimizer, every
        self.G_optimizer, self.D_optimizer = optimizer(G, self.lr_g), optimizer(D, self.lr_d)
        self.t = self.first = 0
        self.trace: dict[str, Any] = {}  # what the last move computed, under the names used in minigan.steps
        self._before: Array | None = None  # the mover's theta before it
        self._moves: list[str] = []  # "D" or "G": move t leads from the moment t to t + 1
        self._kept = {0: self._state()}
        self._measured: dict[int, dict[str, float]] = {}

    # ---- playing ---------------------------------------------------------------------------------------------------

    def step(self, who: str | None = None) -> Board:
        """One move of "D" or of "G"; or, without a name, a whole round: d_steps moves of D, then one of G.

        After `back` or `goto`, the move that was made here then leads to the same moment again; another move starts
        a new line of moments, and those that came after are forgotten. Raises ValueError for another name.
        """
        if who not in ("D", "G", None):
            raise ValueError(f'The players are "D" and "G", but got {who!r}.')
        for player in [who] if who else ["D"] * self.d_steps + ["G"]:
            if self._moves[self.t : self.t + 1] != [player]:
                self._forget()
                self._moves.append(player)
            self._move()
            if self.t % self.every == 0 and self.t not in self._kept:
                self._kept[self.t] = self._state()
        return self

    def play(self, n: int) -> Board:
        """n moves in turn: G's when D has made d_steps of them since the last, else D's."""
        for _ in range(n):
            last = self._moves[max(0, self.t - self.d_steps) : self.t]
            self.step("G" if last == ["D"] * self.d_steps else "D")
        return self

    def back(self, n: int = 1) -> Board:
        """n moves back."""
        return self.goto(self.t - n)

    def goto(self, t: int) -> Board:
        """To a moment that was played already. Raises ValueError for any other."""
        if not self.first <= t <= len(self._moves):
            raise ValueError(
                f"This board goes from t = {self.first} to {len(self._moves)}, but got {t}. To go on, use play(n)"
                + (f"; before t = {self.first} it was another board, which this is a fork of." if self.first else ".")
            )
        # from a moment before t, so that the last move is made again and leaves its trace and gradient
        start = max(kept for kept in self._kept if kept == self.first or self.first <= kept < t)
        self._load(self._kept[start])
        self.t, self.trace, self._before = start, {}, None
        while self.t < t:
            self._move()
        return self

    def fork(self, **changes: Any) -> Board:
        """A board of its own with this one's state and past, that plays another game from here on.

        changes: loss, lr, lr_g, lr_d, penalty, batch, d_steps; with another optimizer, its moments start at zero.
        The noise stays what it would have been: what differs is the game. It cannot go back beyond this moment.
        """
        rules = ("loss", "lr_g", "lr_d", "penalty", "batch", "d_steps", "seed", "optimizer", "every")
        kept = {name: getattr(self, name) for name in rules}
        if "lr" in changes:
            kept["lr_g"] = kept["lr_d"] = changes.pop("lr")
        other = Board(self.data, self.G.copy(), self.D.copy(), **kept | changes)
        if "optimizer" not in changes:
            other.G_optimizer.load(self.G_optimizer.state())
            other.D_optimizer.load(self.D_optimizer.state())
        other.t = other.first = self.t
        other._moves = self._moves[: self.t]
        other._kept = {t: state for t, state in self._kept.items() if t < self.t} | {self.t: other._state()}
        if other.loss is self.loss:
            other._measured = {t: row for t, row in self._measured.items() if t < self.t}
        return other

    def _move(self) -> None:
        """The move that stands in the list for this moment."""
        random = rng((self.seed, self.t))
        z = self._noise(random)
        player = self._moves[self.t]
        self.trace, self._before = {}, (self.G if player == "G" else self.D).theta.copy()
        if player == "D":
            x_real = to_device(self.data.sample(self.batch, np.random.default_rng((self.seed, self.t, 1))))
            penalty = None if self.penalty is None else self.penalty(random)
            d_step(self.G, self.D, self.D_optimizer, self.loss, x_real, z, self.trace, penalty)
        else:
            g_step(self.G, self.D, self.G_optimizer, self.loss, z, self.trace)
        self.t += 1

    def _noise(self, random: Any) -> Array:
        """z (N, 2) from N(0, I)."""
        return random.standard_normal((self.batch, 2), dtype="float32")

    def _forget(self) -> None:
        """What came after this moment."""
        if self.t == len(self._moves):
            return
        del self._moves[self.t :]
        self._kept = {t: state for t, state in self._kept.items() if t <= self.t}
        self._measured = {t: row for t, row in self._measured.items() if t <= self.t}

    def _state(self) -> dict[str, Any]:
        """Copies of all that the next move depends on, beside t."""
        return {
            "G": self.G.theta.copy(),
            "D": self.D.theta.copy(),
            "G_optimizer": self.G_optimizer.state(),
            "D_optimizer": self.D_optimizer.state(),
            "statistics": [a.copy() for net in (self.G, self.D) for a in net.statistics.values()],
        }

    def _load(self, state: dict[str, Any]) -> None:
        _put(self.G, self.D, state)
        self.G_optimizer.load(state["G_optimizer"])
        self.D_optimizer.load(state["D_optimizer"])

    # ---- numbers ---------------------------------------------------------------------------------------------------

    @property
    def history(self) -> dict[str, np.ndarray]:
        """Numbers of every kept moment and of the present one, as columns (T,).

        t; d_loss and g_loss (without a penalty); accuracy: the share of real and fake points that D takes for what
        they are; energy: the energy distance of fakes and real points; for mixtures, modes covered and the share of
        high quality (minigan.metrics.modes). All are taken on the same 512 z and 512 real points, with this board's
        loss also before it was forked, and computed when first asked for.
        """
        for t, state in self._kept.items():
            if t not in self._measured:
                _put(*self._copies, state)
                self._measured[t] = self._measure(*self._look())
        rows = self._measured
        if self.t not in rows:
            _put(*self._copies, self._state())
            rows = rows | {self.t: self._measure(*self._look())}
        moments = sorted(rows)
        names = MEASURES if self._counts_modes else MEASURES[:4]
        return {"t": np.array(moments)} | {name: np.array([rows[t][name] for t in moments]) for name in names}

    def _look(self) -> tuple[dict[str, Any], _Reading]:
        """What the copies compute on the fixed points, and how to read D. Nobody moves."""
        seen: dict[str, Any] = {}
        d_step(*self._copies, Still(), self.loss, self._x, self._z, seen)
        g_step(*self._copies, Still(), self.loss, self._z, seen)
        return seen, _Reading.of(self.loss, to_host(seen["real_logits"]), to_host(seen["fake_logits"]))

    def _measure(self, seen: dict[str, Any], reading: _Reading) -> dict[str, float]:
        x, fakes = to_host(self._x), to_host(seen["x_fake"])
        real_right = to_host(reading(seen["real_logits"])) > reading.middle
        fake_right = to_host(reading(seen["fake_logits"])) < reading.middle
        found = {
            "d_loss": float(to_host(seen["d_value"])),
            "g_loss": float(to_host(seen["g_value"])),
            "accuracy": float(real_right.mean() + fake_right.mean()) / 2,
            "energy": energy_distance(fakes, x) if np.isfinite(fakes).all() else math.nan,
        }
        if self._counts_modes:
            score = modes(fakes, self.data.means, self.data.sd)
            found |= {"modes": score.covered, "high_quality": score.high_quality}
        return found

    @property
    def _counts_modes(self) -> bool:
        return isinstance(self.data, Mixture) and np.ndim(self.data.sd) == 0

    # ---- what all pictures share: made for the first of them ----------------------------------------------------

    @cached_property
    def _copies(self) -> tuple[Network, Network]:
        """A G and a D to look through: their parameters are whatever moment was looked at last."""
        return self.G.copy(), self.D.copy()

    @cached_property
    def _z(self) -> Array:
        return rng((self.seed, 0, 2)).standard_normal((LOOK, 2), dtype="float32")

    @cached_property
    def _x(self) -> Array:
        return to_device(self.data.sample(LOOK, np.random.default_rng((self.seed, 0, 3))))

    @cached_property
    def _kernel_z(self) -> Array:
        return rng((self.seed, 0, 4)).standard_normal((KERNELS, 2), dtype="float32")

    @cached_property
    def extent(self) -> viz.board.Extent:
        """The part of the plane in the pictures: the data, with a fifth of their size on every side."""
        x = to_host(self._x).astype(np.float64)
        low, high = x.min(axis=0), x.max(axis=0)
        (a, b), half = (low + high) / 2, 0.7 * max((high - low) / (viz.board.WIDE, 1))
        return a - viz.board.WIDE * half, a + viz.board.WIDE * half, b - half, b + half

    @cached_property
    def _bandwidth(self) -> float:
        """h of the estimate of q: three quarters of the data's own sd, or what a table of 500 rows resolves."""
        return max(0.75 * float(np.min(self.data.sd)), (self.extent[3] - self.extent[2]) / 500)

    @cached_property
    def _p(self) -> Mixture | Curve:
        """The data's density, blurred as q is: Gaussian noise on Gaussian noise."""
        return dataclasses.replace(self.data, sd=np.hypot(self.data.sd, self._bandwidth))

    @cached_property
    def _p_table(self) -> tuple[np.ndarray, np.ndarray]:
        """Points over the extent, about one data sd apart, (H, W, 2), and p there."""
        height = self.extent[3] - self.extent[2]
        rows = int(np.clip(height / np.min(self.data.sd), 120, 400))
        points = _mesh(self.extent, rows)
        return points, self._p.density(points.reshape(-1, 2)).reshape(points.shape[:2])

    @cached_property
    def _perfect_energy(self) -> tuple[float, float]:
        """Where the energy distance of another real sample lies, nine times out of ten."""
        random = np.random.default_rng((self.seed, 0, 5))
        found = [energy_distance(self.data.sample(LOOK, random), to_host(self._x)) for _ in range(20)]
        return tuple(np.quantile(found, (0.05, 0.95)))

    # ---- pictures --------------------------------------------------------------------------------------------------

    def draw(self, path: str | os.PathLike | None = None) -> Any:
        """The six panels at this moment: a Matplotlib figure; writes a PNG where a path is given."""
        return viz.game_board(self.scene(), path)

    def _repr_png_(self) -> bytes:
        return self.draw()._repr_png_()

    def animate(
        self,
        path: str | os.PathLike,
        frames: int = 40,
        seconds: float = 8.0,
        max_bytes: int = 600_000,
        dpi: float = 84.0,
    ) -> None:
        """Write a GIF of the game so far: so many ends of rounds, evenly spread, or as many as fit into max_bytes.

        dpi: dots an inch, of 9.2 x 6.1 inches. The board stays where it is. Raises ValueError below two frames.
        """
        if frames < 2:
            raise ValueError(f"An animation has at least two frames, but got {frames}.")
        here, pictures = self.t, []
        rounds = [self.first, *(t for t, who in enumerate(self._moves, start=1) if who == "G" and t > self.first)]
        for k in np.unique(np.linspace(0, len(rounds) - 1, frames).round().astype(int)):
            pictures.append(viz.pixels(self.goto(rounds[k]).draw(), dpi))
        self.goto(here)
        viz.save_animation(pictures, path, seconds=seconds, max_bytes=max_bytes)

    def scene(self) -> viz.Scene:
        """All that the picture of this moment shows, as arrays."""
        history = self.history
        G, D = self._copies
        _put(G, D, self._state())
        seen, reading = self._look()
        x_real, x_fake = to_host(self._x), to_host(seen["x_fake"])
        verdict_at = _mesh(self.extent, 120)
        verdict = to_host(reading(D(to_device(verdict_at.reshape(-1, 2)))))
        best, gap = self._best(G, reading, (x_real, seen["real_logits"]), (x_fake, seen["fake_logits"]))
        sheet = to_host(G(to_device(normal_grid(CELLS).reshape(-1, 2))))
        path, here, axes = self._path(history["t"])
        return viz.Scene(
            t=self.t,
            last=len(self._moves),
            title=self._title(),
            extent=self.extent,
            x_real=x_real,
            x_fake=x_fake,
            verdict=verdict.reshape(verdict_at.shape[:2]),
            middle=reading.middle,
            best=best,
            gap=gap,
            sheet=sheet.reshape(CELLS + 1, CELLS + 1, 2),
            start=x_fake,
            wanted=-LOOK * to_host(seen["dx_fake"]),  # the loss is a mean over N: what each fake alone would want
            got=self._next_g_move(),
            moments=history["t"],
            path=path,
            here=here,
            axes=axes,
            field=self._field(path),
            strips=self._strips(history),
            ledger=self._ledger(seen),
        )

    def _best(
        self, G: Network, reading: _Reading, *points: tuple[np.ndarray, Array]
    ) -> tuple[np.ndarray, tuple[float, float] | None]:
        """p / (p + q) over the extent, and how far D is off it on average at each of the points (x, logits).

        (Goodfellow et al. 2014, proposition 1.) p is known in closed form. q is estimated from many fakes with
        Gaussian kernels, and p is blurred by the same kernels, so that a perfect G has 1/2 however sharp the data
        are. Where both lie below the density of a few fakes the ratio is not known: NaN. For the gap at a point, q
        is at least the density of one fake in its middle.
        """
        h = self._bandwidth
        one = 1 / (KERNELS * 2 * math.pi * h * h)
        q = kernel_density(to_host(G(self._kernel_z)), self.extent, h)
        places, p = self._p_table
        q_there = q(places.reshape(-1, 2)).reshape(p.shape)
        best = p / (p + np.maximum(q_there, one))
        best[np.maximum(p, q_there) < 3 * one] = np.nan
        if reading.target is None:
            return best, None
        gap = []
        for x, logits in points:
            p = self._p.density(x)
            off = np.abs(to_host(reading(logits))[:, 0] - reading.target * p / (p + np.maximum(q(x), one)))
            known = np.isfinite(off)
            gap.append(float(off[known].mean()) if known.any() else math.nan)
        return best, tuple(gap)

    def _next_g_move(self) -> np.ndarray:
        """How far the fakes would go if G moved now, (N, 2)."""
        G, D = self.G.copy(), self.D.copy()
        optimizer = self.optimizer(G, self.lr_g)
        optimizer.load(self.G_optimizer.state())
        before = to_host(G(self._z))
        g_step(G, D, optimizer, self.loss, self._noise(rng((self.seed, self.t))))
        return to_host(G(self._z)) - before

    def _path(self, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[str, str]]:
        """The players' places at these moments and now, in the plane of panel 4, and the names of its axes.

        An axis is the first principal component of one player's theta over the kept moments: the direction in which
        it has gone farthest. (It flatters: even a random walk looks like a smooth curve in it, Antognini and
        Sohl-Dickstein 2018.) A player of one parameter has that for its axis.
        """
        places, heres, names = [], [], []
        for who, network in (("G", self.G), ("D", self.D)):
            now = to_host(network.theta).astype(np.float64)
            kept = {t: to_host(state[who]).astype(np.float64) for t, state in self._kept.items()}
            kept = {
                t: theta for t, theta in kept.items() if np.isfinite(theta).all()
            }  # all, unless a player diverged
            if len(kept) < 2:
                kept[self.t] = np.nan_to_num(now)
            thetas = np.stack([kept.get(t, now) for t in moments])  # (T, P)
            if len(now) == 1:
                origin, direction, name = np.zeros(1), np.ones(1), f"{who}'s one parameter"
            else:
                table = np.stack([kept[t] for t in sorted(kept)])  # (kept moments, P)
                origin = table[0]
                _, s, directions = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
                direction = directions[0] * (1 if directions[0] @ (table[-1] - origin) >= 0 else -1)
                share = s[0] ** 2 / max((s**2).sum(), 1e-30)
                name = f"{who} along its main direction" + (f" ({share:.0%} of its path)" if len(table) > 2 else "")
            places.append((thetas - origin) @ direction)
            heres.append((now - origin) @ direction)
            names.append(name)
        return np.stack(places, axis=1), np.array(heres), tuple(names)

    def _field(self, path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Where both players have one parameter: (-dL_G/dtheta_G, -dL_D/dtheta_D) over the plane of the two."""
        G, D = self._copies
        if len(G.theta) != 1 or len(D.theta) != 1:
            return None
        low, high = path.min(axis=0), path.max(axis=0)
        reach = 0.6 * np.maximum(high - low, 0.1)
        xs, ys = (np.linspace(m - r, m + r, 15) for m, r in zip((low + high) / 2, reach))
        arrows = np.empty((15, 15, 2))
        for i, j in np.ndindex(15, 15):
            G.theta, D.theta = (to_device(np.array([v], dtype="float32")) for v in (xs[j], ys[i]))
            self._look()
            arrows[i, j] = -to_host(G.grad)[0], -to_host(D.grad)[0]
        return xs, ys, arrows

    def _strips(self, history: dict[str, np.ndarray]) -> list[viz.Strip]:
        now = int(np.searchsorted(history["t"], self.t))
        level = cannot_tell(self.loss)
        named = "log 4" if math.isclose(level, math.log(4)) else f"{level:.3g}"
        low, high = self._perfect_energy
        strips = [
            ("energy", "energy distance to the data", (low, high), f"perfect: ≤ {high:.1g}", True),
            ("accuracy", "D's accuracy", (0.5, 0.5), "a coin: 0.5", False),
            ("d_loss", "D's loss", (level, level), f"cannot tell: {named}", False),
        ]
        if self._counts_modes:
            K = len(self.data.means)
            perfect = perfect_modes(K, LOOK).covered
            strips.insert(
                0, ("modes", f"modes covered, of {K}", (perfect, perfect), f"perfect: {perfect:.3g}", False)
            )
        return [
            viz.Strip(title, history[name], float(history[name][now]), floor, words, log)
            for name, title, floor, words, log in strips
        ]

    def _ledger(self, seen: dict[str, Any]) -> viz.Ledger:
        mover = self._moves[self.t - 1] if self.trace else None
        times = "once" if self.d_steps == 1 else f"{self.d_steps} times"
        algorithm = [
            ("repeat (Goodfellow et al. 2014, alg. 1):", False),
            (f"  {times}: sample x_real, z;  D steps", mover == "D"),
            ("  then: sample z;  G steps through D", mover == "G"),
        ]
        shown = {"D": ("x_real", "x_fake", "real_logits", "fake_logits"), "G": ("z", "g_x_fake", "g_fake_logits")}
        facts = [
            f"{name.removeprefix('g_'):<12}{tuple(self.trace[name].shape)}" for name in shown.get(mover, ())
        ] or ["no move yet"]
        facts += ["", f"L_D {float(to_host(seen['d_value'])):.4f}    L_G {float(to_host(seen['g_value'])):.4f}"]
        table = []
        if mover:
            table = [f"{mover + chr(39) + 's layers':<15}|grad|   |step| / |theta|"]
            table += [f"{name:<15}{grad:<9.2g}{step:.2g}" for name, grad, step in self._layers(mover)]
        return viz.Ledger(algorithm, facts, table)

    def _layers(self, mover: str) -> list[tuple[str, float, float]]:
        """Of each of the mover's layers with parameters: its name, |grad|, and how far it stepped, over |theta|."""
        network = self.G if mover == "G" else self.D
        rows, start = [], 0
        norm = lambda v: float(np.linalg.norm(to_host(v).astype(np.float64)))
        for layer in network.layers:
            stop = start + sum(p.size for p in layer.params.values())
            if stop > start:
                old, new = self._before[start:stop], network.theta[start:stop]
                rows.append((repr(layer), norm(network.grad[start:stop]), norm(new - old) / max(norm(old), 1e-30)))
            start = stop
        return rows

    def _title(self) -> str:
        lr = f"lr {self.lr_g:g}" if self.lr_g == self.lr_d else f"lr {self.lr_g:g} (G), {self.lr_d:g} (D)"
        parts = [self.loss.name.replace("_", "-"), f"{type(self.G_optimizer).__name__}, {lr}"]
        if self.penalty is not None:
            name = getattr(getattr(self.penalty, "func", self.penalty), "__name__", "<")  # a partial's, or its own
            parts.append("with a penalty" if "<" in name else name.replace("_", "-"))
        parts.append("D and G in turn" if self.d_steps == 1 else f"{self.d_steps} of D to 1 of G")
        parts.append(f"{len(self._moves):,} moves played")
        return "   ·   ".join(parts)


# ---- what the panels are made of -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Reading:
    """What D's logits mean in a game, as a number from 0, fake, to 1, real.

    Cross-entropy: sigmoid(logit), a probability; least squares: the logit is one itself; both best at t p / (p + q),
    t the label of real samples. Hinge and Wasserstein: a score; 1/2 is the middle between its means on real and fake.
    """

    read: Callable[[Array], Array]
    middle: float
    target: float | None

    @classmethod
    def of(cls, loss: losses.Loss, real_logits: np.ndarray, fake_logits: np.ndarray) -> _Reading:
        function = getattr(loss.discriminator, "func", loss.discriminator)  # losses.smooth makes a partial of it
        target = getattr(loss.discriminator, "keywords", {}).get("real_target", 1.0)
        if function is losses.cross_entropy_discriminator:
            return cls(sigmoid, target / 2, target)
        if function is losses.least_squares_discriminator:
            return cls(lambda score: score, target / 2, target)
        centre = float(real_logits.mean() + fake_logits.mean()) / 2
        spread = float(np.quantile(np.abs(np.concatenate([real_logits, fake_logits]) - centre), 0.95))
        return cls(lambda score: 0.5 + (score - centre) / (2 * spread or 1.0), 0.5, None)

    def __call__(self, logits: Array) -> Array:
        return self.read(logits)


def cannot_tell(loss: losses.Loss) -> float:
    """The least that D's loss can be while D says the same to real and to fake: log 4, 2 for hinge, 1/4, 0."""
    answers = [to_device(np.full((1, 1), a)) for a in np.linspace(-4, 4, 801)]
    return min(float(to_host(loss.discriminator(a, a)[0])) for a in answers)


def kernel_density(samples: np.ndarray, extent: viz.board.Extent, h: float) -> Callable[[np.ndarray], np.ndarray]:
    """The density of points (M, 2) with Gaussian kernels of sd h, as a function of points (P, 2) -> (P,).

    Each sample is shared out to the four nodes around it of a table whose nodes lie h apart, and a point's value is
    read from four nodes likewise. Either blurs by a variance of h^2 / 6; the table is blurred by the rest of h^2.
    NaN outside the extent.
    """
    low = np.array(extent[::2]) - 6 * h  # what lies just outside reaches in
    count = np.ceil((np.array(extent[1::2]) + 6 * h - low) / h).astype(int) + 1
    table = np.zeros(count.prod())
    place = (np.asarray(samples, dtype=np.float64) - low) / h
    for node, share in _corners(place[((place >= 0) & (place < count - 1)).all(axis=1)], count):  # False for NaN
        table += np.bincount(node, share, len(table))
    table = table.reshape(count) / (len(samples) * h * h)
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 2 / 3))  # variance 2/3, in units of h^2
    for axis in (0, 1):
        table = sum(w * np.roll(table, k, axis) for k, w in zip(range(-5, 6), taps / taps.sum()))

    def density(points: np.ndarray) -> np.ndarray:
        points = np.asarray(points, dtype=np.float64)
        inside = (points >= extent[::2]).all(axis=1) & (points <= extent[1::2]).all(axis=1)
        found = np.full(len(points), np.nan)
        found[inside] = sum(w * table.ravel()[node] for node, w in _corners((points[inside] - low) / h, count))
        return found

    return density


def _corners(place: np.ndarray, count: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The four nodes around each place (M, 2), given in steps of the table: their numbers (M,) and shares (M,)."""
    node = place.astype(int)
    part = place - node
    for i, j in np.ndindex(2, 2):
        share = np.abs(1 - i - part[:, 0]) * np.abs(1 - j - part[:, 1])
        yield (node[:, 0] + i) * count[1] + node[:, 1] + j, share


def normal_grid(n: int) -> np.ndarray:
    """The corners of n x n cells that each hold 1 / n^2 of N(0, I), (n + 1, n + 1, 2) float32; cut off at 3 sd."""
    edges = [NormalDist().inv_cdf(i / n) if 0 < i < n else math.copysign(3.0, i - 0.5) for i in range(n + 1)]
    return np.stack(np.meshgrid(edges, edges, indexing="ij"), axis=-1).astype(np.float32)


def _mesh(extent: viz.board.Extent, rows: int) -> np.ndarray:
    """Points evenly over the extent, row 0 lowest: (rows, columns, 2) float32."""
    xs, ys = np.linspace(*extent[:2], round(rows * viz.board.WIDE)), np.linspace(*extent[2:], rows)
    return np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float32)


def _put(G: Network, D: Network, state: dict[str, Any]) -> None:
    G.theta, D.theta = state["G"], state["D"]
    for a, kept in zip((a for net in (G, D) for a in net.statistics.values()), state["statistics"]):
        a[...] = kept


def _check_networks(G: Network, D: Network) -> None:
    for layer in (*G.layers, *D.layers):
        if any(hasattr(value, "standard_normal") for value in vars(layer).values()):
            raise ValueError(
                f"{layer!r} draws at random by itself, so a move could not be played again: leave it out."
            )
    x = G(to_device(np.zeros((3, 2), dtype="float32")))
    if x.shape != (3, 2):
        raise ValueError(f"G must turn z (N, 2) into points (N, 2), but for (3, 2) it gives {tuple(x.shape)}.")
    logits = D(x)
    if logits.shape != (3, 1):
        raise ValueError(
            f"D must turn points (N, 2) into logits (N, 1), but for (3, 2) it gives {tuple(logits.shape)}."
        )


def _check_penalty(penalty: Any) -> None:
    if penalty is None:
        return
    needed = [p for p in inspect.signature(penalty).parameters.values() if p.default is p.empty]
    if len(needed) != 1:
        raise ValueError(
            "penalty is a function of a random generator that makes a penalty for d_step: "
            "penalty.wgan_gp, or lambda rng: penalty.r1(0.1)."
        )
