"""The games: what D and G each minimise, as values and as gradients on the logits.

A loss is a pair of plain functions. D's logit is a for a real sample and b for a fake one; D(x) = sigmoid(a) is
never computed, so nothing overflows at logits of +-1000. Values are 0-d arrays; a gradient has its logits' shape.

    loss.discriminator(real_logits, fake_logits) -> (value, d_real, d_fake)
    loss.generator(fake_logits)                  -> (value, d_fake)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from minigan.backend import Array, xp
from minigan.layers.activations import sigmoid, softplus


class Loss(NamedTuple):
    """One game: the two players' losses."""

    name: str
    discriminator: Callable[..., tuple[Array, Array, Array]]
    generator: Callable[[Array], tuple[Array, Array]]


# ---- cross-entropy: the game of Goodfellow et al. 2014 --------------------------------------------------------


def cross_entropy_discriminator(
    real_logits: Array, fake_logits: Array, real_target: float = 1.0
) -> tuple[Array, Array, Array]:
    """-log D on real, -log(1 - D) on fake; the real label may be t < 1 (one-sided smoothing).

    L = mean(-t*log(sigmoid(a)) - (1-t)*log(1-sigmoid(a))) + mean(-log(1-sigmoid(b)))
    With t = 1 its minimum over D is log 4 - 2 JSD (Goodfellow et al. 2014, eq. 1 and theorem 1, sign turned;
    smoothing: Salimans et al. 2016, section 3.4).
    """
    a, b, t = real_logits, fake_logits, real_target
    value = (softplus(a) - t * a).mean() + softplus(b).mean()  # -log sigmoid(a) = softplus(a) - a
    return value, (sigmoid(a) - t) / a.size, sigmoid(b) / b.size


def minimax_generator(fake_logits: Array) -> tuple[Array, Array]:
    """G minimises what D maximises. Its gradient vanishes where D is sure that a fake is one: it saturates.

    L = mean(log(1-sigmoid(b)))
    (Goodfellow et al. 2014, eq. 1)
    """
    b = fake_logits
    return -softplus(b).mean(), -sigmoid(b) / b.size


def non_saturating_generator(fake_logits: Array) -> tuple[Array, Array]:
    """G maximises the log-probability that its fakes pass for real; strong where minimax is weak.

    L = mean(-log(sigmoid(b)))
    (Goodfellow et al. 2014, section 3, last paragraph)
    """
    b = fake_logits
    return softplus(-b).mean(), -sigmoid(-b) / b.size


minimax = Loss("minimax", cross_entropy_discriminator, minimax_generator)
non_saturating = Loss("non_saturating", cross_entropy_discriminator, non_saturating_generator)


# ---- least squares: Mao et al. 2017 ---------------------------------------------------------------------------


def least_squares_discriminator(
    real_logits: Array, fake_logits: Array, real_target: float = 1.0
) -> tuple[Array, Array, Array]:
    """Regression on labels: t (1) for real, 0 for fake.

    L = 0.5*mean((a-t)**2) + 0.5*mean(b**2)
    (Mao et al. 2017, eq. 9)
    """
    a, b = real_logits - real_target, fake_logits
    return 0.5 * (a * a).mean() + 0.5 * (b * b).mean(), a / a.size, b / b.size


def least_squares_generator(fake_logits: Array) -> tuple[Array, Array]:
    """G wants its fakes labelled 1, and is still pulled when they are far on the right side.

    L = 0.5*mean((b-1)**2)
    (Mao et al. 2017, eq. 9)
    """
    c = fake_logits - 1
    return 0.5 * (c * c).mean(), c / c.size


least_squares = Loss("least_squares", least_squares_discriminator, least_squares_generator)


# ---- hinge and Wasserstein: D's number is a score, no probability ------------------------------------------------


def hinge_discriminator(real_logits: Array, fake_logits: Array) -> tuple[Array, Array, Array]:
    """D is content with a margin of 1 and learns only from samples inside it.

    L = mean(maximum(0, 1-a)) + mean(maximum(0, 1+b))
    (Lim and Ye 2017; Miyato et al. 2018, eq. 16)
    """
    a, b = real_logits, fake_logits
    value = xp.maximum(1 - a, 0).mean() + xp.maximum(1 + b, 0).mean()
    return value, (a < 1) * xp.full_like(a, -1 / a.size), (b > -1) * xp.full_like(b, 1 / b.size)


def wasserstein_discriminator(real_logits: Array, fake_logits: Array) -> tuple[Array, Array, Array]:
    """The critic spreads the two means; it must be kept Lipschitz by clipping or by a penalty.

    L = mean(b) - mean(a)
    (Arjovsky et al. 2017, eq. 2, sign turned)
    """
    a, b = real_logits, fake_logits
    return b.mean() - a.mean(), xp.full_like(a, -1 / a.size), xp.full_like(b, 1 / b.size)


def wasserstein_generator(fake_logits: Array) -> tuple[Array, Array]:
    """G raises its fakes' score; the hinge game has the same generator.

    L = -mean(b)
    (Arjovsky et al. 2017, eq. 2)
    """
    b = fake_logits
    return -b.mean(), xp.full_like(b, -1 / b.size)


hinge = Loss("hinge", hinge_discriminator, wasserstein_generator)
wasserstein = Loss("wasserstein", wasserstein_discriminator, wasserstein_generator)


GAMES = (non_saturating, minimax, least_squares, hinge, wasserstein)


def smooth(loss: Loss, real_target: float = 0.9) -> Loss:
    """The same game with one-sided label smoothing: D's label for real samples is `real_target` instead of 1.

    Fakes keep the label 0: smoothing them too would pull D's optimum towards G's density (Salimans et al. 2016,
    section 3.4). Raises ValueError for games without labels (hinge, wasserstein).
    """
    if loss.discriminator not in (cross_entropy_discriminator, least_squares_discriminator):
        raise ValueError(
            f"The {loss.name} game has no labels to smooth; take non_saturating, minimax or least_squares."
        )
    if not 0 < real_target <= 1:
        raise ValueError(f"The smoothed label of real samples lies in (0, 1], but got {real_target}.")
    return loss._replace(
        name=f"{loss.name}, real label {real_target}",
        discriminator=partial(loss.discriminator, real_target=real_target),
    )


# ---- beside the game: classes ---------------------------------------------------------------------------------


def softmax_cross_entropy(logits: Array, labels: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Classification, and words: the mean of -log softmax at the right class, and its gradient.

    L = mean(-w*log(exp(s_y)/sum_c(exp(s_c))))
    logits s (..., C), labels y (...) integers in [0, C), weights w (...) or 1  ->  value, dlogits (..., C)
    """
    shape, C = logits.shape, logits.shape[-1]
    logits, labels = logits.reshape(-1, C), labels.reshape(-1)
    rows, ones = xp.arange(len(labels)), xp.ones(C, dtype=logits.dtype)
    w = ones[:1] if weights is None else weights.reshape(-1).astype(logits.dtype)
    dlogits = logits - logits.max(axis=1, keepdims=True)
    right = dlogits[rows, labels]
    xp.exp(dlogits, out=dlogits)
    sums = dlogits @ ones  # over the classes: BLAS adds a row up five times as fast as sum
    losses = xp.log(sums) - right
    dlogits *= (w / len(labels) / sums)[:, None]  # all factors of a row at once: one walk through the logits
    dlogits[rows, labels] -= w / len(labels)
    return (losses * w).mean(), dlogits.reshape(shape)
