"""Gradient penalties that are measured along the wrong axes, at the wrong points, or not at all.

    P = weight mean_n (|g_n| - 1)^2        g_n = dD/dx at x_n, its length over all axes of the sample
    x_n = t_n x_real_n + (1 - t_n) x_fake_n, one t_n from [0, 1] for each sample

(Gulrajani et al. 2017.)  N images, H x W pixels, C channels.
"""

from __future__ import annotations

import numpy as np

from minigan.losses import wasserstein
from minigan.museum.exhibit import Exhibit, batches, need, players
from minigan.optim import SGD
from minigan.penalty import gradient_penalty
from minigan.steps import d_gradients

IMAGES = (16, 8, 8, 3)


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(IMAGES)


# ---- the length of a gradient -------------------------------------------------------------------------------------


def length_over_channels(g):
    length = np.sqrt((g**2).sum(axis=-1))  # (N, H, W): a length at each pixel
    return ((length - 1) ** 2).mean()


def length_over_the_sample(g):
    length = np.sqrt((g**2).sum(axis=tuple(range(1, g.ndim))))  # (N,): one for each sample
    return ((length - 1) ** 2).mean()


def straight_critic_is_free(penalty):
    """D(x) = <w, x> with |w| = 1 has the slope 1 everywhere: it is what the penalty asks for."""
    w = images(0)[0] / np.linalg.norm(images(0)[0])
    found = float(penalty(np.broadcast_to(w, IMAGES)))
    need(found < 1e-9, f"A critic whose slope is 1 everywhere is charged {found:.2f} where it owes 0.")


AXIS = Exhibit(
    name="norm-over-one-axis",
    title="The penalty's norm runs over the channels alone",
    wrong="|g_n| is the length of the whole gradient, over height, width and channels. Over one axis it is the "
    "length at a pixel, and 64 pixels of length 1 are a slope of 8.",
    symptom="The critic is much steeper than 1; training works for some weights of the penalty.",
    seen_in="seen in several WGAN-GPs, reported by readers (caogang's, issue 27; Zeleni9's, issue 40)",
    lesson=12,
    silent=True,
    which="a critic with a known penalty",
    bug=length_over_channels,
    mend=length_over_the_sample,
    check=straight_critic_is_free,
    use=lambda penalty: penalty(images(1)),
)


# ---- the points between real and fake -----------------------------------------------------------------------------


def normal_t_for_each_number(x_real, x_fake, rng):
    t = rng.standard_normal(x_real.shape)
    return t * x_real + (1 - t) * x_fake


def uniform_t_for_each_sample(x_real, x_fake, rng):
    t = rng.random((len(x_real), 1, 1, 1))
    return t * x_real + (1 - t) * x_fake


def points_lie_between(between):
    x_real, x_fake = images(2), images(3)
    t = (between(x_real, x_fake, np.random.default_rng(4)) - x_fake) / (x_real - x_fake)
    spread, outside = float(np.ptp(t, axis=(1, 2, 3)).max()), float(((t < -1e-9) | (t > 1 + 1e-9)).mean())
    need(
        outside == 0 and spread < 1e-6,
        f"The weight t lies outside [0, 1] for {100 * outside:.0f} percent of the numbers, and within one sample it "
        f"differs by {spread:.1f}.",
    )


MIXING = Exhibit(
    name="mixing-outside-the-line",
    title="Points between real and fake lie beside the line",
    wrong="x = t x_real + (1 - t) x_fake with one t from [0, 1] a sample is a point of the line between them. With "
    "a t for each pixel it is in a box, and with t from a normal distribution it is anywhere.",
    symptom="The critic is bounded where no sample is, and not where G's samples have to pass.",
    seen_in="seen with a t for each pixel (preritj's WGAN-GP, issue 3) and with normal t (a published example, "
    "keras-io 415, and a book's code)",
    lesson=12,
    silent=True,
    which="t in [0, 1], one a sample",
    bug=normal_t_for_each_number,
    mend=uniform_t_for_each_sample,
    check=points_lie_between,
    use=lambda between: between(images(2), images(3), np.random.default_rng(4)),
)


def at_real_samples(x_real, x_fake, rng):
    return x_real


def at_points_between(x_real, x_fake, rng):
    t = rng.random((len(x_real), 1, 1, 1))
    return t * x_real + (1 - t) * x_fake


def penalty_sees_the_way(points):
    x_real, x_fake = images(2), images(3)
    x, way = points(x_real, x_fake, np.random.default_rng(4)), x_fake - x_real
    gone = ((x - x_real) * way).sum(axis=(1, 2, 3)) / (way * way).sum(axis=(1, 2, 3))
    need(
        gone.max() > 0.8,
        f"The penalty's points lie at most {100 * gone.max():.0f} percent of the way from real samples to G's.",
    )


AT_REAL = Exhibit(
    name="penalty-at-real-samples",
    title="The slope is bounded at real samples alone",
    wrong="The bound |g| = 1 is needed along the way from fake to real, since that is where G is pulled. Taken at "
    "real samples it is another method (R1 asks for slope 0 there, and has a proof).",
    symptom="The loss looks as before. Off the data the critic may be as steep as it likes.",
    seen_in="seen in an annotated collection (labml's gradient penalty)",
    lesson=12,
    silent=True,
    which="the points that are looked at",
    bug=at_real_samples,
    mend=at_points_between,
    check=penalty_sees_the_way,
    use=lambda points: points(images(2), images(3), np.random.default_rng(4)),
)


# ---- a penalty that is printed, not felt --------------------------------------------------------------------------


def penalty_for_the_log(D, x_real, x_fake, weight):
    d_gradients(D, wasserstein, x_real, x_fake)
    before = D.grad.copy()
    value = gradient_penalty(D, (x_real + x_fake) / 2, weight=weight)
    D.grad[...] = before  # the printed loss has the penalty in it, the gradient has not
    return value


def penalty_for_the_critic(D, x_real, x_fake, weight):
    d_gradients(D, wasserstein, x_real, x_fake)
    return gradient_penalty(D, (x_real + x_fake) / 2, weight=weight)


def weight_moves_the_gradient(gradients):
    (G, D), (x_real, z), found = players(), batches(), []
    for weight in (0.0, 10.0):
        gradients(D, x_real, G(z), weight)
        found.append(D.grad.copy())
    moved = np.linalg.norm(found[1] - found[0])
    need(moved > 0, f"The critic's gradient moves by {moved:.1f} when the penalty's weight goes from 0 to 10.")


def critic_steps(gradients):
    (G, D), (x_real, z), found = players(), batches(), []
    optimizer = SGD(D, 0.01)
    for _ in range(10):
        found.append(float(gradients(D, x_real, G(z), 10.0)))
        optimizer.step()
    return found


NOT_ADDED = Exhibit(
    name="penalty-not-added",
    title="The penalty is printed and never felt",
    wrong="dL/dtheta = dL_critic/dtheta + dP/dtheta. The value is added to what is printed, and the second gradient "
    "is left out.",
    symptom="The printed penalty may grow as it likes, as that of a critic without a penalty does.",
    seen_in="seen in a teaching repository (LixiangHan's, issue 7), reported by a reader",
    lesson=12,
    silent=True,
    which="control: another weight",
    bug=penalty_for_the_log,
    mend=penalty_for_the_critic,
    check=weight_moves_the_gradient,
    use=critic_steps,
)

EXHIBITS = (AXIS, MIXING, AT_REAL, NOT_ADDED)
