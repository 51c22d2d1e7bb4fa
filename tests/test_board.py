"""The game board: moments come back bit for bit, and each panel shows what it says it shows."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from minigan import board as board_module
from minigan import losses, penalty, viz
from minigan.backend import rng, to_host, xp
from minigan.board import Board, cannot_tell, kernel_density, normal_grid, small_networks
from minigan.data import toy
from minigan.layers import Dense, Dropout
from minigan.layers.base import Layer
from minigan.metrics.modes import energy_distance, modes
from minigan.network import Sequential
from minigan.optim import SGD, Adam


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    """Fewer points are quick, and enough where the estimate of q is not what is tested."""
    monkeypatch.setattr(board_module, "LOOK", 128)
    monkeypatch.setattr(board_module, "KERNELS", 2_000)


@pytest.fixture
def many_points(few_points, monkeypatch):
    monkeypatch.setattr(board_module, "LOOK", 512)
    monkeypatch.setattr(board_module, "KERNELS", 100_000)


def small_board(data=None, width=8, **options):
    options = {"batch": 16, "every": 8} | options
    return Board(toy.ring() if data is None else data, *small_networks(rng(1), width), **options)


def moment(board):
    """All that a moment is, as host arrays."""
    parts = [board.G.theta, board.D.theta, board.G_optimizer.m, board.G_optimizer.v, board.D_optimizer.m]
    parts += [board.trace[name] for name in ("x_fake", "real_logits", "d_value", "dx_fake") if name in board.trace]
    return [to_host(a).copy() for a in parts] + [board.G_optimizer.steps, board.D_optimizer.steps, board.t]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b))


class Fixed(Layer):
    """y = map(x), with no parameter that anything depends on: a hand-made G or D."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.add_param("idle", xp.ones(3, dtype="float32"))

    def forward(self, x, train=True):
        return self.function(x), x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return xp.zeros_like(cache)


class Slide(Fixed):
    """y = x with one parameter added to its first number."""

    def __init__(self):
        Layer.__init__(self)
        self.add_param("theta", xp.ones(1, dtype="float32"))

    def forward(self, x, train=True):
        return x + self.params["theta"] * xp.array([1, 0], dtype="float32"), x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["theta"] += dy[:, :1].sum(axis=0)
        return dy


class Line(Slide):
    """logit = theta times the first number of x."""

    def forward(self, x, train=True):
        return self.params["theta"] * x[:, :1], x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["theta"] += (dy * cache[:, :1]).sum(axis=0)
        return dy * self.params["theta"] * xp.array([1, 0], dtype="float32")


# playing


def test_a_moment_comes_back_bit_for_bit(backend):
    board = small_board(loss=losses.wasserstein, penalty=penalty.wgan_gp, d_steps=2)
    seen = [moment(board)]
    for _ in range(29):
        seen.append(moment(board.play(1)))
    assert [board._moves[t] for t in range(6)] == ["D", "D", "G"] * 2
    for t in (29, 8, 0, 23, 24, 1, 7, 16):
        assert same(moment(board.goto(t)), seen[t])
        assert same(moment(board.play(29 - t)), seen[29])
    assert same(moment(board.back()), seen[28]) and same(moment(board.back(9)), seen[19])
    assert not same(seen[28], seen[29]) and len(set(board._kept)) == 4


def test_the_same_seed_is_the_same_game_and_another_is_not():
    one, two, three = (small_board(seed=seed).play(9) for seed in (0, 0, 1))
    assert same(moment(one), moment(two)) and not same(moment(one), moment(three))


def test_each_move_moves_its_player():
    board = small_board()
    G, D = board.G.theta.copy(), board.D.theta.copy()
    board.step("D")
    assert (board.G.theta == G).all() and (board.D.theta != D).any()
    D = board.D.theta.copy()
    board.step("G")
    assert (board.G.theta != G).any() and (board.D.theta == D).all()
    assert board.step().t == 4 and small_board(d_steps=3).step()._moves == ["D", "D", "D", "G"]


def test_each_player_has_its_rate():
    board = small_board(lr=0.5, lr_d=0.25, optimizer=SGD)
    for player, network, lr in (("D", board.D, 0.25), ("G", board.G, 0.5)):
        before = network.theta.copy()
        board.step(player)
        np.testing.assert_allclose(network.theta, before - lr * network.grad, rtol=1e-6)


def test_a_move_made_again_keeps_the_line_and_another_starts_a_new_one():
    board = small_board().play(20)
    end = moment(board)
    board.goto(10).step("D")
    assert len(board._moves) == 20 and same(moment(board.goto(20)), end)
    board.history  # noqa: B018
    board.goto(10).step("G")
    assert board.t == len(board._moves) == 11 and max(board._kept) == max(board._measured) == 8
    with pytest.raises(ValueError, match=r"from t = 0 to 11, but got 12. To go on, use play\(n\)."):
        board.goto(12)
    with pytest.raises(ValueError, match="but got -1"):
        board.goto(0).back()


def test_a_fork_with_the_same_rules_stays_the_same():
    board = small_board(loss=losses.wasserstein, penalty=penalty.wgan_gp, d_steps=2).play(13)
    fork = board.fork()
    assert same(moment(fork.play(20))[:5], moment(board.play(20))[:5])
    assert same(moment(fork.goto(13).play(20)), moment(board))
    assert fork.history["t"].tolist() == [0, 8, 13, 16, 24, 32, 33]  # its own first moment is kept as well


@pytest.mark.parametrize(
    "changes", [{"loss": losses.minimax}, {"lr": 0.01}, {"lr_g": 0.01}, {"penalty": penalty.wgan_gp}, {"d_steps": 2}]
)
def test_a_fork_with_other_rules_goes_elsewhere_from_the_same_state(changes):
    board = small_board().play(13)
    start = moment(board)
    fork = board.fork(**changes)
    assert same(moment(fork)[:5], start[:5]) and fork.t == 13
    fork.play(4)
    assert same(moment(board), start), "the fork moved the board that it came from"
    assert not same(moment(fork)[:2], moment(board.play(4))[:2])
    with pytest.raises(ValueError, match="from t = 13 to 17, but got 12.*which this is a fork of"):
        fork.goto(12)
    with pytest.raises(ValueError, match="from t = 13"):
        fork.goto(13).back()


def test_a_fork_may_take_another_optimizer():
    fork = small_board().play(3).fork(optimizer=SGD, lr=0.1)
    assert isinstance(fork.G_optimizer, SGD) and fork.G_optimizer.lr == 0.1 and fork.play(2).t == 5


def test_playing_computes_nothing_for_pictures():
    board = small_board().play(40)
    assert board._measured == {} and not {"_copies", "_x", "_p_table"} & set(vars(board))


# numbers


def test_history_is_what_the_samples_say():
    data = toy.ring(radius=0.3, sd=0.1)
    board = small_board(data, loss=losses.least_squares).play(30)
    history = board.history
    assert history["t"].tolist() == [0, 8, 16, 24, 30]
    for t, row in ((16, 2), (30, 4)):
        board.goto(t)
        fakes, x = board.G(board._z), board._x
        a, b = board.D(x), board.D(fakes)
        assert history["energy"][row] == pytest.approx(energy_distance(x, fakes), rel=1e-5)
        score = modes(fakes, data.means, 0.1)
        assert (history["modes"][row], history["high_quality"][row]) == (score.covered, score.high_quality)
        assert history["accuracy"][row] == ((a > 0.5).mean() + (b < 0.5).mean()) / 2  # labels are 1 and 0
        assert history["d_loss"][row] == pytest.approx(((a - 1) ** 2).mean() / 2 + (b**2).mean() / 2, rel=1e-5)
        assert history["g_loss"][row] == pytest.approx(((b - 1) ** 2).mean() / 2, rel=1e-5)
    np.testing.assert_array_equal(history["energy"][:4], board.goto(24).history["energy"])


def test_a_curve_has_no_modes_to_count():
    board = small_board(toy.two_moons()).play(8)
    assert list(board.history) == ["t", "d_loss", "g_loss", "accuracy", "energy"]
    assert [strip.name for strip in board.scene().strips] == [
        "energy distance to the data",
        "D's accuracy",
        "D's loss",
    ]


def test_the_level_of_a_d_that_cannot_tell():
    expected = {"non_saturating": math.log(4), "minimax": math.log(4), "least_squares": 0.25, "hinge": 2}
    for loss in losses.GAMES:
        assert cannot_tell(loss) == pytest.approx(expected.get(loss.name, 0), abs=1e-12)
    t = 0.9  # the best constant answer of a smoothed D is t / 2
    smooth = -t * math.log(t / 2) - (2 - t) * math.log(1 - t / 2)
    assert cannot_tell(losses.smooth(losses.minimax, t)) == pytest.approx(smooth, abs=1e-4)


def test_the_floors_are_those_of_a_perfect_sampler():
    board = small_board().play(2)
    covered, energy, accuracy, loss = board.scene().strips
    assert covered.floor[0] == pytest.approx(8, abs=1e-5) and covered.now == board.history["modes"][-1]
    x, random = board._x, np.random.default_rng(9)
    perfect = [energy_distance(board.data.sample(128, random), x) for _ in range(40)]
    assert 0.7 < np.mean([energy.floor[0] <= e <= energy.floor[1] for e in perfect]) <= 1
    assert accuracy.floor == (0.5, 0.5) and loss.floor[1] == pytest.approx(math.log(4))


# what the panels show


@pytest.mark.parametrize("loss", losses.GAMES, ids=lambda loss: loss.name)
def test_wanted_is_each_fakes_own_descent_direction(loss):
    board = small_board(loss=loss).play(7)
    scene = board.scene()
    D, h = board.D.astype("float64"), 1e-6
    np.testing.assert_array_equal(scene.start, board.G(board._z))
    for n in range(12):
        x = scene.start[n : n + 1].astype(np.float64)
        slope = [(loss.generator(D(x + h * e))[0] - loss.generator(D(x - h * e))[0]) / (2 * h) for e in np.eye(2)]
        np.testing.assert_allclose(scene.wanted[n], [-s for s in slope], rtol=1e-3, atol=1e-6)


def test_got_is_where_gs_next_move_takes_them_and_the_cosine_is_between_the_two():
    board = small_board().play(6)
    before, here = board.G(board._z), moment(board)
    scene = board.scene()
    assert same(moment(board), here), "looking ahead has moved the board"
    np.testing.assert_array_equal(scene.got, board.step("G").G(board._z) - before)
    assert np.abs(scene.got).max() > 0
    unit = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True)
    assert scene.cosine == pytest.approx((unit(scene.wanted) * unit(scene.got)).sum(axis=1).mean(), abs=1e-5)


def test_folded_is_what_lies_on_its_back():
    fold = lambda z: np.stack([abs(z[:, 0]), z[:, 1]], axis=1)
    scene = Board(toy.ring(), Sequential(Fixed(fold)), Sequential(Fixed(lambda x: x[:, :1]))).scene()
    assert scene.folded_share == 0.5
    np.testing.assert_array_equal(viz.folded(scene.sheet), [[True] * 28] * 14 + [[False] * 28] * 14)
    share = lambda f: viz.folded(f(normal_grid(28).reshape(-1, 2)).reshape(29, 29, 2)).mean()
    assert share(lambda z: z) == share(lambda z: -z) == 0
    assert share(lambda z: z[:, ::-1].copy()) == 0  # turned over as a whole: no fold
    assert share(lambda z: 0 * z) == 0
    # z1 <= -1, Phi(-1) = 0.1587 of the mass, folded over onto the rest
    assert share(lambda z: np.stack([abs(z[:, 0] + 1), z[:, 1]], axis=1)) == pytest.approx(0.1587, abs=1 / 28)


def test_cells_of_the_sheet_hold_equal_shares():
    grid = normal_grid(20)
    z = rng(0).standard_normal((200_000, 2))
    counts, *_ = np.histogram2d(*z.T, bins=[[-9, *grid[1:-1, 0, 0], 9], [-9, *grid[0, 1:-1, 1], 9]])
    np.testing.assert_allclose(counts, 500, atol=5 * math.sqrt(500))
    assert grid.min() == -3 and grid.max() == 3


def gaussian(x, mean, covariance):
    d = x - mean
    return np.exp(-0.5 * (d @ np.linalg.inv(covariance) * d).sum(axis=-1)) / (
        2 * np.pi * math.sqrt(np.linalg.det(covariance))
    )


def test_the_best_d_of_a_linear_g_is_the_closed_form(many_points):
    """G(z) = z A + b has q = Normal(b, A^T A); the data are Normal(0, 0.5^2 I)."""
    G = Sequential(Dense(2, 2, rng=rng(0)))
    A, b = np.array([[0.6, 0.2], [0.0, 0.4]]), np.array([0.5, -0.3])
    G.theta = np.concatenate([A.ravel(), b]).astype("float32")
    board = Board(toy.ring(1, radius=1e-9, sd=0.5), G, Sequential(Fixed(lambda x: 0 * x[:, :1])))
    scene, h2 = board.scene(), board._bandwidth**2 * np.eye(2)
    xs, ys = (
        np.linspace(*scene.extent[k : k + 2], n) for k, n in ((0, scene.best.shape[1]), (2, scene.best.shape[0]))
    )
    x = np.stack(np.meshgrid(xs, ys), axis=-1)
    p, q = gaussian(x, 0, 0.25 * np.eye(2) + h2), gaussian(x, b, A.T @ A + h2)
    dense = p + q > 0.02  # 1,000 fakes under a kernel
    np.testing.assert_allclose(scene.best[dense], (p / (p + q))[dense], atol=0.06)
    assert np.sqrt(((scene.best - p / (p + q))[dense] ** 2).mean()) < 0.01
    assert np.isnan(scene.best[p + q < 1e-6]).all()
    # a D that says 1/2 everywhere
    for points, gap in zip((scene.x_real, scene.x_fake), scene.gap):
        p, q = gaussian(points, 0, 0.25 * np.eye(2) + h2), gaussian(points, b, A.T @ A + h2)
        assert gap == pytest.approx(np.abs(0.5 - p / (p + q)).mean(), abs=0.005)
    assert np.abs(0.5 - p / (p + q)).mean() > 0.1


def test_a_perfect_g_leaves_the_best_d_at_one_half_however_sharp_the_data(many_points):
    G = Sequential(Fixed(lambda z: np.float32(0.01) * z + np.float32([1, 0])))
    best = [Sequential(Fixed(lambda x, v=v: 0 * x[:, :1] + v)) for v in (0, 0.45)]
    for loss, D in ((losses.minimax, best[0]), (losses.smooth(losses.least_squares, 0.9), best[1])):
        scene = Board(toy.ring(1, radius=1, sd=0.01), G.copy(), D, loss=loss).scene()
        assert max(scene.gap) < 0.01
        assert scene.middle == (0.5 if loss is losses.minimax else 0.45)
        np.testing.assert_allclose(scene.verdict, scene.middle, rtol=1e-6)


def test_kernel_density_has_its_mass_and_its_width():
    random, h, extent = np.random.default_rng(0), 0.05, (-1.0, 1.2, -0.8, 1.0)
    samples = np.concatenate(
        [random.uniform(0, h, (4000, 2)), [[np.nan, 0], [50.0, 0]]]
    )  # all places in a node's cell
    xs, ys = np.linspace(-0.4, 0.45, 300), np.linspace(-0.4, 0.45, 300)
    x = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    density = kernel_density(samples, extent, h)
    weight = density(x) * (xs[1] - xs[0]) ** 2
    assert weight.sum() == pytest.approx(4000 / 4002, rel=2e-4)
    mean = weight @ x / weight.sum()
    np.testing.assert_allclose(mean, samples[:4000].mean(axis=0), atol=1e-4)
    variance = weight @ (x - mean) ** 2 / weight.sum()
    np.testing.assert_allclose(variance, samples[:4000].var(axis=0) + h * h, rtol=2e-3)
    assert np.isnan(density(np.array([[1.3, 0.0], [0.0, -0.9], [np.nan, 0.0]]))).all()


def test_d_is_read_as_its_game_means_it():
    scores = Fixed(lambda x: 3 * x[:, :1] + 1)
    scene = Board(toy.ring(), *networks_with(scores), loss=losses.hinge).scene()
    assert scene.gap is None and scene.middle == 0.5
    a, b = (3 * x[:, 0].mean() + 1 for x in (scene.x_real, scene.x_fake))
    middle = np.abs(scene.verdict[0] - 0.5).argmin()
    assert np.linspace(*scene.extent[:2], scene.verdict.shape[1])[middle] == pytest.approx(
        ((a + b) / 2 - 1) / 3, abs=0.02
    )
    scene = Board(toy.ring(), *networks_with(Fixed(lambda x: x[:, :1]))).scene()
    xs, ys = np.linspace(*scene.extent[:2], 154), np.linspace(*scene.extent[2:], 120)
    assert scene.verdict.shape == (120, 154) and len(ys) == 120
    np.testing.assert_allclose(scene.verdict[7], 1 / (1 + np.exp(-xs)), rtol=1e-5)


def networks_with(layer):
    return small_networks(rng(0), 8)[0], Sequential(layer)


def test_the_plane_follows_the_players():
    board = small_board(lr=0.01).play(40)
    scene = board.scene()
    assert scene.moments.tolist() == [0, 8, 16, 24, 32, 40] and scene.path.shape == (6, 2)
    for k, who in enumerate("GD"):
        thetas = np.stack([board._kept[t][who] for t in scene.moments]).astype(np.float64)
        s = np.linalg.svd(thetas - thetas.mean(axis=0), compute_uv=False)
        assert scene.path[:, k].var() * 6 == pytest.approx(s[0] ** 2)  # the direction of the largest variance
        assert f"{s[0] ** 2 / (s**2).sum():.0%}" in scene.axes[k]
    assert (scene.path[0] == 0).all() and (scene.path[-1] > 0).all()
    np.testing.assert_allclose(scene.here, scene.path[-1])
    earlier = board.goto(11).scene()  # the plane stays, whatever the moment
    np.testing.assert_allclose(earlier.path[earlier.moments != 11], scene.path)
    assert earlier.field is None


def test_a_game_of_two_parameters_shows_its_field():
    """Wasserstein: L_G = -psi mean(x_fake), L_D = psi (mean(x_fake) - mean(x_real))."""
    board = Board(
        toy.ring(1, radius=1e-9, sd=0.2),
        Sequential(Slide()),
        Sequential(Line()),
        loss=losses.wasserstein,
        lr=0.1,
        optimizer=SGD,
        every=1,
    ).play(20)
    scene = board.scene()
    xs, ys, arrows = scene.field
    shift = board._z[:, 0].mean() - board._x[:, 0].mean()
    theta, psi = np.meshgrid(xs, ys)
    np.testing.assert_allclose(arrows[..., 0], psi, atol=1e-5)
    np.testing.assert_allclose(arrows[..., 1], -(theta + shift), atol=1e-5)
    np.testing.assert_allclose(scene.path[-1], [board.G.theta[0], board.D.theta[0]])
    assert scene.axes == ("G's one parameter", "D's one parameter")
    assert len(viz.game_board(scene).axes[3].collections) == 1


def test_the_ledger_says_who_moved_and_how_far():
    board = small_board(optimizer=SGD, lr=0.05).play(5)
    ledger = board.scene().ledger
    assert [now for _, now in ledger.algorithm] == [False, True, False] and "D steps" in ledger.algorithm[1][0]
    assert ledger.facts[:4] == [
        "x_real      (16, 2)",
        "x_fake      (16, 2)",
        "real_logits (16, 1)",
        "fake_logits (16, 1)",
    ]
    assert len(ledger.table) == 4 and ledger.table[1].startswith("Dense(2, 8)")
    before = board.back().D.theta.copy()
    board.play(1)
    first = slice(0, 24)  # W (2, 8) and b (8,)
    for (name, grad, step), part in zip(board._layers("D"), (first, slice(24, 96), slice(96, 105)), strict=True):
        assert grad == pytest.approx(np.linalg.norm(board.D.grad[part]), rel=1e-5)
        assert step == pytest.approx(0.05 * grad / np.linalg.norm(before[part]), rel=1e-3), name
    ledger = board.play(1).scene().ledger
    assert [now for _, now in ledger.algorithm] == [False, False, True]
    assert ledger.facts[:3] == ["z           (16, 2)", "x_fake      (16, 2)", "fake_logits (16, 1)"]
    assert board.goto(0).scene().ledger.facts[0] == "no move yet"


# pictures


@pytest.fixture(scope="module")
def played():
    options = {"loss": losses.wasserstein, "penalty": penalty.wgan_gp, "d_steps": 5, "lr_d": 0.003}
    return small_board(width=64, **options).play(60)


def test_the_board_has_six_panels_and_no_text_over_another(played, tmp_path):
    scene = dataclasses.replace(played.goto(59).scene(), gap=(0.37, 0.38))  # the longer of the two captions
    figure = viz.game_board(scene, tmp_path / "a.png")
    titles = [axes.get_title("left") for axes in figure.axes]
    assert [title[0] for title in titles] == list("123456")
    with Image.open(tmp_path / "a.png") as file:
        assert file.size == (1104, 732)
    texts = list(figure.texts)
    for axes in [*figure.axes, *figure.axes[4].child_axes]:
        texts += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    texts = [text for text in texts if text.get_text()]
    assert len(texts) > 30
    for dpi in (120, 84):  # a still, and a frame of an animation
        figure.set_dpi(dpi)
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
        for k, (text, box) in enumerate(boxes):
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
            for other, its in boxes[:k]:
                wide, high = min(box.x1, its.x1) - max(box.x0, its.x0), min(box.y1, its.y1) - max(box.y0, its.y0)
                assert wide < 1 or high < 1, (text, other)


def test_an_animation_is_small_and_keeps_its_colours(played, tmp_path):
    played.goto(33)
    here = moment(played)
    played.animate(tmp_path / "a.gif", frames=2, dpi=60, max_bytes=40_000)
    assert same(moment(played), here)
    assert (tmp_path / "a.gif").stat().st_size <= 40_000
    with Image.open(tmp_path / "a.gif") as file:
        assert file.n_frames == 2 and file.size == (552, 366)
        file.seek(file.n_frames - 1)
        colours = {colour for _, colour in file.convert("RGB").getcolors(10_000)}
    for pen in (viz.BLUE, viz.ORANGE, viz.INK, viz.board.GREEN):
        wanted = 255 * np.array(to_rgb(pen))
        assert min(np.abs(np.array(colour) - wanted).max() for colour in colours) <= 8, pen
    with pytest.raises(ValueError, match="at least two frames, but got 1"):
        played.animate(tmp_path / "a.gif", frames=1)


def test_a_board_that_broke_is_still_drawn():
    board = small_board().play(9)
    board.G.theta = np.full_like(board.G.theta, np.nan)
    assert len(board._repr_png_()) > 5_000 and math.isnan(board.history["energy"][-1])


def test_the_board_needs_no_pyplot():
    code = """if True:
        import sys
        from minigan.backend import rng
        from minigan.board import Board, small_networks
        from minigan.data import toy
        assert not {"matplotlib", "PIL"} & set(sys.modules)
        assert Board(toy.ring(), *small_networks(rng(0), 8)).step()._repr_png_().startswith(b"\\x89PNG")
        assert "matplotlib.pyplot" not in sys.modules
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_board_draws_on_every_backend(backend):
    for loss in (losses.minimax, losses.hinge):
        scene = small_board(loss=loss).play(3).scene()
        assert all(
            isinstance(a, np.ndarray) for a in (scene.x_fake, scene.verdict, scene.got, scene.sheet, scene.best)
        )
    assert scene.wanted.shape == (128, 2)


# what it refuses


def test_the_board_refuses_in_a_sentence():
    G, D = small_networks(rng(0), 8)
    with pytest.raises(ValueError, match=r"these data have 1 dimension\(s\)"):
        Board(toy.mixture_1d([0.0], 1.0), G, D)
    with pytest.raises(ValueError, match=r"points \(N, 2\), but for \(3, 2\) it gives \(3, 1\)"):
        Board(toy.ring(), Sequential(Dense(2, 1, rng=rng(0))), D)
    with pytest.raises(ValueError, match=r"logits \(N, 1\), but for \(3, 2\) it gives \(3, 2\)"):
        Board(toy.ring(), G, Sequential(Dense(2, 2, rng=rng(0))))
    with pytest.raises(ValueError, match=r"Dropout\(0.5\) draws at random by itself"):
        Board(toy.ring(), G, Sequential(Dense(2, 1, rng=rng(0)), Dropout(0.5, rng=rng(1))))
    for wrong in (penalty.r1, penalty.r1(0.1)):
        with pytest.raises(ValueError, match=r"or lambda rng: penalty.r1\(0.1\)"):
            Board(toy.ring(), G, D, penalty=wrong)
    with pytest.raises(ValueError, match="at least 1, but got 0, 256 and 25"):
        Board(toy.ring(), G, D, d_steps=0)
    with pytest.raises(ValueError, match="but got 'E'"):
        Board(toy.ring(), G, D).step("E")
    Board(toy.ring(), G, D, penalty=lambda rng: penalty.r1(0.1), optimizer=Adam).step()
