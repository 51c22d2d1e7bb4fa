"""Losses that measure something else, and what is said of them.

s: a logit, D = sigmoid(s).  a: of a real sample, b: of a fake one.

    D minimises    mean(-log sigmoid(a)) + mean(-log(1 - sigmoid(b)))
    G minimises    mean(-log sigmoid(b))         slope -(1 - sigmoid(b)): strong where D is sure of a fake
    or             mean(log(1 - sigmoid(b)))     slope -sigmoid(b): weak there
"""

from __future__ import annotations

import numpy as np

from minigan import losses
from minigan.gradcheck import check_loss
from minigan.layers.activations import sigmoid, softplus
from minigan.museum.exhibit import Exhibit, need, numeric

LOGITS = np.linspace(-3, 3, 7)[:, None]  # (7, 1)


def one_logit(step, start: float = -3.0, steps: int = 30) -> list[float]:
    """A single logit goes down a loss: step(s) -> (value, ds), s (1, 1). The values on the way."""
    s, found = np.array([[start]]), []
    for _ in range(steps):
        value, ds = step(s)
        s = s - ds
        found.append(float(value))
    return found


# ---- two signs that cancel ----------------------------------------------------------------------------------------


def swapped_gradients(real_scores, fake_scores):
    value = fake_scores.mean() - real_scores.mean()
    d_fake, d_real = np.full_like(fake_scores, 1 / fake_scores.size), np.full_like(real_scores, -1 / real_scores.size)
    return value, d_fake, d_real  # the caller unpacks them the other way round, so it trains


def ordered_gradients(real_scores, fake_scores):
    value = fake_scores.mean() - real_scores.mean()
    d_fake, d_real = np.full_like(fake_scores, 1 / fake_scores.size), np.full_like(real_scores, -1 / real_scores.size)
    return value, d_real, d_fake


def gradient_of_the_loss_itself(loss):
    report = check_loss(loss, (5, 1), (5, 1))
    for row in report.rows:
        if row.wrong:
            yours, right = row.yours[row.worst], row.numeric[row.worst]
            raise AssertionError(
                f"On {row.name} the loss's gradient is {yours:+.1f} where the differences of its value say "
                f"{right:+.1f}: {row.diagnosis}."
            )


def critic_with_its_caller(loss):
    value, d_first, d_second = loss(LOGITS, LOGITS - 1)
    return [value, *d_first.ravel(), *d_second.ravel()]


SWAPPED = Exhibit(
    name="signs-that-cancel",
    title="A loss's gradient has the wrong sign, and so has its caller",
    wrong="dL/da = -1/N for real and dL/db = +1/N for fake scores. The loss hands them out in the other order, its "
    "caller takes them in the other order, and its unit test turns the sign to pass.",
    symptom="None, until somebody else calls the loss.",
    seen_in="seen in numpy-ml's WGAN-GP, a library whose many derivations are well worth reading",
    lesson=1,
    silent=True,
    which="gradient check of the loss",
    bug=swapped_gradients,
    mend=ordered_gradients,
    check=gradient_of_the_loss_itself,
    use=critic_with_its_caller,
)


# ---- softmax over one logit ---------------------------------------------------------------------------------------


def softmax_of_one(s, labels):
    e = np.exp(s - s.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)  # (N, 1): a row with one entry, so p = 1
    return -(labels * np.log(p)).sum(axis=1).mean(), (p * labels.sum(axis=1, keepdims=True) - labels) / len(s)


def sigmoid_of_one(s, labels):
    return (softplus(s) - labels * s).mean(), (sigmoid(s) - labels) / len(s)


def loss_depends_on_the_logit(loss):
    ones = np.ones((1, 1))
    low, high = (abs(float(loss(np.full((1, 1), s), ones)[0])) for s in (-3.0, 3.0))
    need(low - high > 1, f"The loss of a real sample is {low:.2f} nats at the logit -3 and {high:.2f} at +3.")


SOFTMAX_OF_ONE = Exhibit(
    name="softmax-of-one-logit",
    title="Softmax cross-entropy on a single logit",
    wrong="softmax over one logit is exp(s) / exp(s) = 1, whatever s is. The loss is -log 1 = 0 and its gradient is "
    "0, exactly.",
    symptom="Both losses are 0 from the first step on, which looks like success. No weight moves.",
    seen_in="seen in a tutorial on GANs in TensorFlow 1, and asked about in forums again and again",
    lesson=3,
    silent=True,
    which="the loss depends on the logit",
    bug=softmax_of_one,
    mend=sigmoid_of_one,
    check=loss_depends_on_the_logit,
    use=lambda loss: one_logit(lambda s: loss(s, np.ones_like(s))),
)


# ---- sigmoid twice ------------------------------------------------------------------------------------------------


def sigmoid_twice(real_logits, fake_logits):
    real, fake = sigmoid(real_logits), sigmoid(fake_logits)  # D's last layer
    return softplus(-real).mean() + softplus(fake).mean()  # and the loss takes logits


def sigmoid_once(real_logits, fake_logits):
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def perfect_separation_costs_nothing(loss):
    value = float(loss(np.full((4, 1), 20.0), np.full((4, 1), -20.0)))
    need(value < 0.1, f"When D is certain of every sample and right, its loss is still {value:.4f} nats.")


TWICE = Exhibit(
    name="sigmoid-twice",
    title="Sigmoid in D, and once more in its loss",
    wrong="sigmoid(sigmoid(s)) lies between 0.5 and 0.731. So D cannot say that a sample is a fake, and its loss "
    "cannot fall below log(1 + 1/e) + log 2 = 1.0064 nats.",
    symptom="D's loss stays above 1, near the log 4 = 1.39 at which a game should end. It looks like balance.",
    seen_in="seen in a course's notebooks (t81_558) and in a DCGAN (issue 15 of carpedm20's), and reported in both",
    lesson=3,
    silent=True,
    which="perfect data reach a loss near 0",
    bug=sigmoid_twice,
    mend=sigmoid_once,
    check=perfect_separation_costs_nothing,
    use=lambda loss: [loss(k * LOGITS, -k * LOGITS) for k in (0, 1, 2)],
)


# ---- logits where probabilities belong ----------------------------------------------------------------------------


def logits_as_probabilities(s, labels):
    p = np.clip(s, 1e-7, 1 - 1e-7)  # the loss takes probabilities, so it clips
    inside = (s > 1e-7) & (s < 1 - 1e-7)
    return -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(), inside * (p - labels) / (p * (1 - p)) / len(s)


def logits_as_logits(s, labels):
    return (softplus(s) - labels * s).mean(), (sigmoid(s) - labels) / len(s)


def fakes_that_pass_are_corrected(loss):
    _, ds = loss(np.full((1, 1), 3.0), np.zeros((1, 1)))
    need(
        ds[0, 0] > 0.5,
        f"A fake with the logit 3, which D takes for real, gets the gradient {ds[0, 0]:.2f} where sigmoid(3) = 0.95 "
        "belongs.",
    )


AS_PROBABILITIES = Exhibit(
    name="logits-as-probabilities",
    title="Logits handed to a loss of probabilities",
    wrong="-t log p - (1 - t) log(1 - p) takes p in (0, 1). D has no sigmoid at its end, and its logits are clipped "
    "to that range: outside it the gradient is 0.",
    symptom="The loss jumps between small numbers and 16.1 = -log 1e-7; D stops learning where it is most wrong.",
    seen_in="seen in a collection of TensorFlow 2 examples, and reported there by a reader (issue 63)",
    lesson=3,
    silent=True,
    which="the range that a loss takes",
    bug=logits_as_probabilities,
    mend=logits_as_logits,
    check=fakes_that_pass_are_corrected,
    use=lambda loss: one_logit(lambda s: loss(s, np.ones_like(s))),
)


# ---- a hinge for a distance ---------------------------------------------------------------------------------------


def straight_critic(discriminator, real, fake, bound=None, steps=400):
    """mean D(real) - mean D(fake) of D(x) = w x + c, trained by this loss with |w| up to a bound; x (N, 1)."""
    w, c = 0.1, 0.0
    for _ in range(steps):
        _, d_real, d_fake = discriminator(w * real + c, w * fake + c)
        w -= 0.3 * ((d_real * real).sum() + (d_fake * fake).sum())
        c -= 0.3 * (d_real.sum() + d_fake.sum())
        w = w if bound is None else np.clip(w, -bound, bound)
    return float((w * real).mean() - (w * fake).mean())


def hinge_as_distance(real, fake):
    return straight_critic(losses.hinge_discriminator, real, fake)


def clipped_as_distance(real, fake):
    return straight_critic(losses.wasserstein_discriminator, real, fake, bound=1.0)


def distance_is_that_of_sorting(distance):
    spread = 0.05 * np.linspace(-1, 1, 20)[:, None]
    told = {apart: distance(spread + apart, spread) for apart in (0.25, 4.0)}
    sorted_ = {apart: float(np.abs(np.sort(spread + apart, 0) - np.sort(spread, 0)).mean()) for apart in told}
    need(
        all(abs(told[apart] - sorted_[apart]) < 0.02 * apart for apart in told),
        f"Samples 0.25 apart get the distance {told[0.25]:.1f} and samples 4 apart {told[4.0]:.1f}.",
    )


HINGE = Exhibit(
    name="hinge-for-wasserstein",
    title="A hinge loss is called Wasserstein distance",
    wrong="W1 = max of mean f(real) - mean f(fake) over f of slope at most 1. A hinge loss without a bound on the "
    "slope asks for a margin of 1 on either side and gets it, however far the samples are apart.",
    symptom="GAN training works, as a hinge GAN. The number that is plotted as a distance is none.",
    seen_in="seen in a well annotated collection of implementations (labml's Wasserstein GAN)",
    lesson=11,
    silent=True,
    which="W1 by sorting, in one dimension",
    bug=hinge_as_distance,
    mend=clipped_as_distance,
    check=distance_is_that_of_sorting,
    use=lambda distance: distance(LOGITS + 1, LOGITS),
)


# ---- two claims about the generator's loss ------------------------------------------------------------------------


def said_to_be_the_same(b):
    return -sigmoid(b) / b.size  # the slope of log(1 - D), said to be that of training G on ones as well


def slope_of_ones(b):
    return -(1 - sigmoid(b)) / b.size  # the slope of -log D, cross-entropy with the label 1


def slope_is_that_of_cross_entropy(slope):
    b = np.array([[-6.0]])
    said, right = float(slope(b)[0, 0]), float(numeric(lambda v: float(softplus(-v).mean()), b)[0, 0])
    need(abs(said - right) < 1e-6, f"At the logit -6 the slope of -log D is {right:.4f}, and not {said:.4f}.")


SAME_GRADIENT = Exhibit(
    name="same-gradient-claim",
    title="-log D and log(1 - D) are said to have one gradient",
    wrong="d(-log D)/db = -(1 - sigmoid(b)) and d log(1 - D)/db = -sigmoid(b). They have the same sign and the same "
    "goal, and where D is sure of a fake one of them is 400 times the other.",
    symptom="A reader takes one for the other. In code, G stands still at the start of training.",
    seen_in="seen as a remark in an annotated implementation (labml's original GAN)",
    lesson=3,
    silent=True,
    which="differences of the formula",
    bug=said_to_be_the_same,
    mend=slope_of_ones,
    check=slope_is_that_of_cross_entropy,
    use=lambda slope: one_logit(lambda b: (softplus(-b).mean(), slope(b))),
)


def saturates_when_g_is_perfect():
    return 6.0  # said: where G does a perfect job, D is near 1 and this loss near 0


def saturates_when_d_is_sure():
    return -6.0  # the logit at which D is sure of a fake


def slope_vanishes_there(where):
    b = np.array([[where()]])
    value, slope = losses.minimax_generator(b)
    need(
        abs(slope[0, 0]) < 0.01,
        f"At D = {sigmoid(b)[0, 0]:.3f} the loss log(1 - D) is {value:.1f}, and its slope {slope[0, 0]:.3f}.",
    )


BACKWARDS = Exhibit(
    name="saturation-backwards",
    title="Saturation is explained the wrong way round",
    wrong="log(1 - D) is near 0, and its slope -D too, where D is near 0: when D is sure of the fakes, at the "
    "start. Where G is perfect and D = 1 it goes to minus infinity.",
    symptom="A reader expects weak gradients at the end of training and finds them at its beginning.",
    seen_in="seen in a textbook (d2l), where readers have proposed a better sentence",
    lesson=3,
    silent=True,
    which="the formula, evaluated",
    bug=saturates_when_g_is_perfect,
    mend=saturates_when_d_is_sure,
    check=slope_vanishes_there,
    use=lambda where: losses.minimax_generator(np.array([[where()]]))[0],
)

EXHIBITS = (SWAPPED, SOFTMAX_OF_ONE, TWICE, AS_PROBABILITIES, HINGE, SAME_GRADIENT, BACKWARDS)
