"""Systems whose parts do not meet: sizes, batches, names, and files.

    a transposed convolution of stride 2 doubles the sides: n -> 2n        (padding "same")
    resume = continue: what is saved is all that the next step depends on

N samples; images (N, H, W, C).
"""

from __future__ import annotations

import copy

import numpy as np

from minigan.layers import Conv, ConvTranspose, Dense, Flatten, LeakyReLU, ReLU, Reshape, ShapeError, Tanh
from minigan.losses import non_saturating as game
from minigan.models import GAN
from minigan.museum.exhibit import Exhibit, batches, d_gradient, first_line, need, players
from minigan.network import Sequential
from minigan.optim import Adam


def doubled(seed: int, start: int, times: int, given: int, width: int = 4) -> Sequential:
    """G: `given` numbers -> start x start, doubled so many times: (N, start 2^times, start 2^times, 1)."""
    rng, up = np.random.default_rng(seed), []
    for k in range(times):
        up += [ConvTranspose(width, width if k < times - 1 else 1, (5, 5), 2, rng=rng), ReLU()]
    return Sequential(Dense(given, start * start * width, rng=rng), Reshape((start, start, width)), *up[:-1], Tanh())


def judge_of_64(seed: int) -> Sequential:
    """D: two convolutions on images (N, 64, 64, 1), and a logit."""
    rng = np.random.default_rng(seed)
    halves = [Conv(1, 4, (5, 5), 2, rng=rng), LeakyReLU(), Conv(4, 8, (5, 5), 2, rng=rng), LeakyReLU()]
    return Sequential(*halves, Flatten(), Dense(16 * 16 * 8, 1, rng=rng))


def meet(G: Sequential, D: Sequential, given: int) -> None:
    """The shape contract, at construction and without a number computed."""
    try:
        GAN("", G, D, noise=given, pixels=None)
    except ShapeError as error:
        raise AssertionError(f"{first_line(error)}.") from None


# ---- 56 x 56 for 64 x 64 ------------------------------------------------------------------------------------------


def faces_from_seven():
    return doubled(0, start=7, times=3, given=100), judge_of_64(1)  # 7 -> 14 -> 28 -> 56


def faces_from_eight():
    return doubled(0, start=8, times=3, given=100), judge_of_64(1)  # 8 -> 16 -> 32 -> 64


def verdict_on_noise(build):
    G, D = build()
    return D(G(np.zeros((2, 100), np.float32)))


FACES = Exhibit(
    name="fifty-six-for-sixty-four",
    title="G draws 56 x 56 for a D of 64 x 64",
    wrong="Three doublings of 7 give 56. The 7 x 7 belongs to digits of 28 x 28; for 64 it is 8, or 4 with one "
    "doubling more.",
    symptom="An error in the first step, many lines below its cause.",
    seen_in="seen in a tutorial on faces by a DCGAN, in Keras",
    lesson=7,
    silent=False,
    which="shape contract of G and D",
    bug=faces_from_seven,
    mend=faces_from_eight,
    check=lambda build: meet(*build(), 100),
    use=verdict_on_noise,
)


# ---- a MidiNet without its conditions -----------------------------------------------------------------------------


def bars_from_noise():
    G = doubled(0, start=16, times=3, given=100)  # 16 -> 128
    return lambda z, chord, bar_before: G(z), judge_of_64(1)


def bars_from_chord_and_bar():
    G = doubled(0, start=16, times=2, given=100 + 13 + 64 * 64)  # 16 -> 64
    told = lambda *parts: np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return lambda z, chord, bar_before: G(told(z, chord, bar_before)), judge_of_64(1)


def bars(compose, chord=0.0):
    """Two bars (2, 64, 64, 1) from noise, the chord (2, 13), and silence before."""
    z = np.random.default_rng(5).standard_normal((2, 100), dtype=np.float32)
    return compose(z, np.full((2, 13), chord, np.float32), np.zeros((2, 64, 64, 1), np.float32))


def composes_what_it_is_told(build):
    compose, D = build()
    try:
        D(bars(compose))
    except ShapeError as error:
        raise AssertionError(
            f"The bars are {bars(compose).shape[1]} steps long and D does not take them: {error}."
        ) from None
    moved = np.abs(bars(compose, 1.0) - bars(compose, 0.0)).max()
    need(moved > 0, f"Another chord changes the bar by {moved:.1f}.")


def verdict_on_bars(build):
    compose, D = build()
    return D(bars(compose))


MUSIC = Exhibit(
    name="music-without-conditions",
    title="A MidiNet of 128 x 128 that hears no chord",
    wrong="Three doublings of 16 give 128 where D takes 64. And MidiNet is G(z, chord, bar before); G(z) alone "
    "composes bars that know nothing of each other.",
    symptom="An error in the first step. With the size mended, bars that fit together by chance.",
    seen_in="seen in a tutorial on classical music by a MidiNet, in Keras",
    lesson=16,
    silent=False,
    which="shapes, and another chord",
    bug=bars_from_noise,
    mend=bars_from_chord_and_bar,
    check=composes_what_it_is_told,
    use=verdict_on_bars,
)


# ---- the last batch -----------------------------------------------------------------------------------------------


def labels_made_once(D, images, N):
    ones, found = np.ones((N, 1)), []
    for start in range(0, len(images), N):
        s = D(images[start : start + N])
        found.append(float((np.log1p(np.exp(s)) - ones * s).mean()))
    return found


def labels_of_each_batch(D, images, N):
    found = []
    for start in range(0, len(images), N):
        s = D(images[start : start + N])
        found.append(float((np.log1p(np.exp(s)) - np.ones_like(s) * s).mean()))
    return found


def last_batch_is_a_batch(epoch):
    _, D = players()
    x = np.random.default_rng(6).standard_normal((224, 2))  # 60,000 images leave 96 over, too
    try:
        found = epoch(D, x, 128)
    except ValueError:
        raise AssertionError("The last batch of 224 samples has 96 of them and meets 128 labels.") from None
    right = float(np.log1p(np.exp(-D(x[128:]))).mean())
    need(
        abs(found[1] - right) < 1e-9,
        f"The last batch's loss is {found[1]:.3f}, not {right:.3f}.",
    )


RAGGED = Exhibit(
    name="ragged-last-batch",
    title="128 labels meet a last batch of 96",
    wrong="60,000 = 468 x 128 + 96. Labels that are made once, for a whole batch, do not fit the rest; where one "
    "sample is left over they do, by broadcasting, and silently.",
    symptom="An epoch runs to its end, and there is an error.",
    seen_in="asked about at course pages (t81_558, issue 30; cs231n, issue 206)",
    lesson=6,
    silent=False,
    which="an epoch with a rest",
    bug=labels_made_once,
    mend=labels_of_each_batch,
    check=last_batch_is_a_batch,
    use=lambda epoch: epoch(players()[1], np.ones((224, 2)), 128),
)


# ---- a name used twice --------------------------------------------------------------------------------------------


def named_like_its_output(generator, z, rounds):
    for _ in range(rounds):
        generator = generator(z)  # from here on the name is that of an array
    return generator


def named_apart(generator, z, rounds):
    for _ in range(rounds):
        fakes = generator(z)
    return fakes


def second_round_runs(play):
    (G, _), (_, z) = players(), batches()
    try:
        play(G, z, 2)
    except TypeError as error:
        raise AssertionError(f"In round 2 the generator is gone: {first_line(error)}.") from None


OVERWRITTEN = Exhibit(
    name="generator-overwritten",
    title="generator = generator(z)",
    wrong="x = G(z) makes fakes. Assigned to the name of G they replace it, and the second round has no generator.",
    symptom="The first round runs. The second says that an array cannot be called.",
    seen_in="seen in a tutorial on social media, in TensorFlow 2",
    lesson=5,
    silent=False,
    which="two rounds, not one",
    bug=named_like_its_output,
    mend=named_apart,
    check=second_round_runs,
    use=lambda play: play(players()[0], batches()[1], 3),
)


# ---- saved and loaded ---------------------------------------------------------------------------------------------


def weights_alone(D, optimizer):
    saved = {"theta": D.theta.copy()}
    new = players(seed=9)[1]
    new.theta = saved["theta"]
    return new, Adam(new, optimizer.lr)


def weights_and_moments(D, optimizer):
    saved = {"theta": D.theta.copy(), "optimizer": optimizer.state()}
    new = players(seed=9)[1]
    new.theta = saved["theta"]
    new_optimizer = Adam(new, optimizer.lr)
    new_optimizer.load(saved["optimizer"])
    return new, new_optimizer


def d_steps(D, optimizer, steps):
    (x_real, z), G = batches(), players()[0]
    values = []
    for _ in range(steps):
        D.zero_grad()
        values.append(d_gradient(D, x_real, G(z))[0])
        optimizer.step()
    return values


def resume_is_continue(reload):
    ends = []
    for stops in (False, True):
        D = players()[1]
        optimizer = Adam(D, 0.01)
        d_steps(D, optimizer, 5)
        if stops:
            D, optimizer = reload(D, optimizer)
        d_steps(D, optimizer, 5)
        ends.append(D.theta)
    apart = np.abs(ends[1] - ends[0]).max()
    need(
        apart == 0, f"Five steps after loading, a weight is {apart:.4f} away from where a run without a stop has it."
    )


def saved_and_resumed(reload):
    D = players()[1]
    optimizer = Adam(D, 0.01)
    return d_steps(D, optimizer, 5) + d_steps(*reload(D, optimizer), 5)


MOMENTS = Exhibit(
    name="moments-lost",
    title="The optimizer's moments are not saved",
    wrong="Adam's step is lr m / sqrt(v), and m and v are means over the steps before. Saved without them, a run "
    "begins anew with m = v = 0 and t = 0.",
    symptom="A jump in the losses after each stop, and a run that nobody can repeat.",
    seen_in="asked about at Keras (issue 10806) and elsewhere",
    lesson=6,
    silent=True,
    which="resume = continue, bit for bit",
    bug=weights_alone,
    mend=weights_and_moments,
    check=resume_is_continue,
    use=saved_and_resumed,
)


def loaded_one_by_one(D):
    return copy.deepcopy(D), copy.deepcopy(D)  # a file for D, and a file for the stack that has D in it


def loaded_once(D):
    D = copy.deepcopy(D)
    return D, D  # the stack is built around the D that was loaded


def stack_sees_d_learn(reload):
    (_, z), (G, D) = batches(), players()
    D, D_of_stack = reload(D)
    before = D_of_stack(G(z))
    d_steps(D, Adam(D, 0.01), 5)
    moved = [float(np.abs(net(G(z)) - before).max()) for net in (D, D_of_stack)]
    need(
        moved[0] == moved[1],
        f"Five steps of D move its verdicts by {moved[0]:.2f}, and those that G is trained on by {moved[1]:.2f}.",
    )


def stack_at_work(reload):
    D, D_of_stack = reload(players()[1])
    (_, z), G = batches(), players()[0]
    return d_steps(D, Adam(D, 0.01), 5) + [float(game.generator(D_of_stack(G(z)))[0])]


UNTIED = Exhibit(
    name="untied-after-loading",
    title="Loaded, the stack has a D of its own",
    wrong="G's step goes through D: the same weights, not equal ones. Loaded from a second file, the stack's D is a "
    "copy that D's steps no longer move.",
    symptom="Before the stop it trained. After it, G plays against the D of that day for ever.",
    seen_in="asked about at Keras (issue 10806)",
    lesson=6,
    silent=True,
    which="D learns, and the stack with it",
    bug=loaded_one_by_one,
    mend=loaded_once,
    check=stack_sees_d_learn,
    use=stack_at_work,
)

EXHIBITS = (FACES, MUSIC, RAGGED, OVERWRITTEN, MOMENTS, UNTIED)
