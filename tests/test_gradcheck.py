"""The checker itself is checked: it passes what is right, and names what is wrong.

Each planted mistake is a layer as a student might write it. `expected` is a phrase of the diagnosis.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import losses
from minigan.backend import rng
from minigan.gradcheck import GradientError, check_layer, check_loss, check_network
from minigan.layers import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
)
from minigan.network import Sequential


class Planted(Dense):
    def __init__(self, n_in=4, n_out=3):
        super().__init__(n_in, n_out, rng=rng(0))


class OppositeSign(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        dx = super().backward(dy, cache, param_grads, input_grad)
        return -dx if input_grad else None


class DividedByBatch(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += cache.T @ dy / len(dy)
            self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T if input_grad else None


class MeanForgotten(Layer):
    """y = x - mean(x) over the batch, with the mean's gradient summed instead of averaged in dx's scale."""

    def forward(self, x, train=True):
        return x / len(x), len(x)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy.copy() if input_grad else None


class SquareWithoutTwo(Layer):
    def forward(self, x, train=True):
        return x * x, x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return cache * dy if input_grad else None


class TwiceTooLarge(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += 2 * cache.T @ dy
            self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T if input_grad else None


class TransposedSquare(Planted):
    def __init__(self):
        super().__init__(4, 4)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += dy.T @ cache
            self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T if input_grad else None


class TransposedShape(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] = dy.T @ cache
            self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T if input_grad else None


class NoSumOverBatch(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += cache.T @ dy
            self.grads["b"] = dy.copy()
        return dy @ self.params["W"].T if input_grad else None


class NoSumOverBatchRaises(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += cache.T @ dy
            self.grads["b"] += dy
        return dy @ self.params["W"].T if input_grad else None


class OnlyLastSample(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += cache.T @ dy
            self.grads["b"] += dy[-1]
        return dy @ self.params["W"].T if input_grad else None


class BiasForgotten(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"] += cache.T @ dy
        return dy @ self.params["W"].T if input_grad else None


class NeverArrives(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        super().backward(dy, cache, param_grads, False)
        return np.zeros_like(cache) if input_grad else None


class OneSlotCache(Planted):
    def forward(self, x, train=True):
        self.x = x
        return super().forward(x, train)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return super().backward(dy, self.x, param_grads, input_grad)


class DropoutInEval(Dropout):
    """Inference leaves x alone, but backward goes on masking."""

    def __init__(self):
        super().__init__(0.5, rng=rng(0))

    def forward(self, x, train=True):
        if train:
            y, self.mask = super().forward(x, True)
            return y, self.mask
        return x, self.mask

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy * cache if input_grad else None


class Centre(Layer):
    """y = x - mean over the batch in training, x - running mean in inference: batch norm's first half."""

    through_mean = {True: True, False: False}  # which form backward takes in which mode

    def __init__(self):
        super().__init__()
        self.running = 0.0

    def forward(self, x, train=True):
        mean = x.mean(axis=0) if train else self.running
        if train:
            self.running = mean
        return x - mean, train

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        return dy - dy.mean(axis=0) if self.through_mean[cache] else dy.copy()


class CentreAlwaysTraining(Centre):
    through_mean = {True: True, False: True}


class CentreAlwaysInference(Centre):
    through_mean = {True: False, False: False}


class DiagonalSoftmax(Softmax):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return cache * (1 - cache) * dy if input_grad else None


class NoDerivative(Tanh):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy.copy() if input_grad else None


class Scale(Layer):
    """y = gamma x, right; its subclass forgets gamma."""

    def __init__(self):
        super().__init__()
        self.add_param("gamma", np.ones(4, dtype="float32"))

    def forward(self, x, train=True):
        return x * self.params["gamma"], x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["gamma"] += (dy * cache).sum(axis=0)
        return dy * self.params["gamma"] if input_grad else None


class ScaleForgotten(Scale):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        super().backward(dy, cache, param_grads, False)
        return dy.copy() * (1 + 0 * self.params["gamma"]) if input_grad else None


class WrongPlaces(Layer):
    """y is x with its two axes exchanged; backward reshapes instead of exchanging them back."""

    def forward(self, x, train=True):
        return np.swapaxes(x, 1, 2), x.shape

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy.reshape(cache).copy() if input_grad else None


class DeadCorner(Tanh):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if not input_grad:
            return None
        dx = dy * (1 - cache * cache)
        dx[0, 0] = 0
        return dx


class SlightlyWrong(Tanh):
    """Wrong by 3e-7 of itself: too little for the tolerance, but the order test sees that it stays."""

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy * (1 - cache * cache) * (1 + 3e-7) if input_grad else None


class Overwrites(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        if param_grads:
            self.grads["W"][...] = cache.T @ dy
            self.grads["b"] += dy.sum(axis=0)
        return dy @ self.params["W"].T if input_grad else None


class WritesIntoDy(ReLU):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        dy *= cache > 0
        return dy


class IgnoresParamGrads(Planted):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return super().backward(dy, cache, True, input_grad)


class Float64Inside(Tanh):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        return dy * (1 - np.float64(1) * cache * cache) if input_grad else None


class NaNInside(Tanh):
    def backward(self, dy, cache, param_grads=True, input_grad=True):
        dx = dy * (1 - cache * cache)
        dx[0, 0] = np.nan
        return dx


MISTAKES = [
    (OppositeSign(), "opposite sign"),
    (DividedByBatch(), "a constant factor of 1/N, N = 5: the mean over the batch where its sum stands"),
    (MeanForgotten(), "a constant factor of N = 5 too large"),
    (SquareWithoutTwo(), "a constant factor of 1/2"),
    (TwiceTooLarge(), "a constant factor of 2 too large"),
    (TransposedSquare(), "transposed"),
    (TransposedShape(), "transposed"),
    (NoSumOverBatch(), "missing sum over the batch"),
    (NoSumOverBatchRaises(), "missing sum over the batch"),
    (OnlyLastSample(), "only the last sample counts: missing sum over the batch"),
    (BiasForgotten(), "bias forgotten"),
    (NeverArrives(), "zero where it should not be"),
    (DeadCorner(), "zero where it should not be, in 1 of 20 entries"),
    (OneSlotCache(), "only the last of several caches is right"),
    (DropoutInEval(), "training-mode formula used in eval mode"),
    (CentreAlwaysTraining(), "training-mode formula used in eval mode"),
    (CentreAlwaysInference(), "inference-mode formula used in training mode"),
    (DiagonalSoftmax(), "only the diagonal of the Jacobian"),
    (NoDerivative(), "the layer's own derivative is missing"),
    (ScaleForgotten(), "gamma is missing"),
    (SlightlyWrong(), "does not fall with the step"),
    (Overwrites(), "overwritten by a second backward: use +="),
    (WritesIntoDy(), "writes into its x, its dy or its cache"),
    (IgnoresParamGrads(), "param_grads=False still changes"),
    (Float64Inside(), "float32 in gives another dtype out"),
    (NaNInside(), "NaN or infinite"),
]


@pytest.mark.parametrize("layer, expected", MISTAKES, ids=[type(layer).__name__ for layer, _ in MISTAKES])
def test_each_planted_mistake_is_named(layer, expected):
    report = check_layer(layer, (5, 4))
    assert not report.ok
    assert any(expected in diagnosis for diagnosis in report.diagnoses), str(report)
    assert expected in str(report)
    with pytest.raises(GradientError) as raised:
        report.raise_if_wrong()
    assert str(report) in str(raised.value)


def test_numbers_in_the_wrong_places():
    report = check_layer(WrongPlaces(), (3, 4, 5))
    assert "right numbers in the wrong places" in report.diagnoses[0]


@pytest.mark.parametrize("layer", [Planted(), Centre(), Scale()], ids=["Dense", "Centre", "Scale"])
def test_their_right_twins_pass(layer):
    check_layer(layer, (5, 4)).raise_if_wrong()


def test_only_what_is_wrong_is_called_wrong():
    report = check_layer(BiasForgotten(), (5, 4))
    assert [row.name for row in report.rows if row.wrong] == ["b"]
    report = check_layer(OppositeSign(), (5, 4))
    assert [row.name for row in report.rows if row.wrong] == ["x"]


def test_a_mistake_in_one_entry_of_a_large_weight_is_found():
    class OneEntry(Planted):
        def backward(self, dy, cache, param_grads=True, input_grad=True):
            dx = super().backward(dy, cache, param_grads, input_grad)
            if param_grads:
                self.grads["W"][61, 17] += 1.0
            return dx

    report = check_layer(OneEntry(90, 40), (5, 90), entries=50)
    (row,) = [row for row in report.rows if row.wrong]
    assert row.name == "W" and row.worst == (61, 17)
    assert "wrong in 1 of 51 entries" in row.diagnosis


def test_a_vacuous_check_is_no_pass():
    """A batch of one through a mean over the batch: every gradient is zero, right or wrong."""
    report = check_layer(Centre(), (1, 4), train=True)
    assert not report.ok
    assert "proves nothing" in report.diagnoses[0]


def test_kinks_do_not_raise_alarms_and_do_not_hide_mistakes():
    x = np.array([[0.0, 1e-7, -1e-7, 3e-6, -2.0, 2.0]])
    for layer in (ReLU(), LeakyReLU(0.2)):
        report = check_layer(layer, x)
        assert report.ok, str(report)
        assert report.rows[0].note == "left out at a kink: 1"

    class AboveSubgradient(ReLU):
        def backward(self, dy, cache, param_grads=True, input_grad=True):
            return dy * (1.0 * (cache > 0) + 3.0 * (cache == 0)) if input_grad else None

    assert not check_layer(AboveSubgradient(), x).ok


class WrongLosses:
    """non_saturating with one mistake at a time."""

    name = "spoiled"

    def __init__(self, d_real=1.0, d_fake=1.0, g_fake=1.0):
        self.factors = d_real, d_fake, g_fake

    def discriminator(self, real_logits, fake_logits):
        value, d_real, d_fake = losses.non_saturating.discriminator(real_logits, fake_logits)
        return value, self.factors[0] * d_real, self.factors[1] * d_fake

    def generator(self, fake_logits):
        value, d_fake = losses.non_saturating.generator(fake_logits)
        return value, self.factors[2] * d_fake


@pytest.mark.parametrize(
    "spoiled, where, expected",
    [
        (WrongLosses(d_real=-1), "real logits (discriminator)", "opposite sign"),
        (WrongLosses(d_fake=7), "fake logits (discriminator)", "a constant factor of N = 7 too large"),
        (WrongLosses(d_real=0.2), "real logits (discriminator)", "a constant factor of 1/N, N = 5"),
        (WrongLosses(g_fake=2), "fake logits (generator)", "a constant factor of 2 too large"),
        (WrongLosses(g_fake=0), "fake logits (generator)", "zero where it should not be"),
    ],
)
def test_wrong_losses_are_named(spoiled, where, expected):
    (diagnosis,) = check_loss(spoiled).diagnoses
    assert diagnosis.startswith(where) and expected in diagnosis


def test_an_unstable_loss_is_named():
    def naive(logits):
        p = 1 / (1 + np.exp(-logits))
        with np.errstate(all="ignore"):
            return -np.log(p).mean(), -(1 - p) / logits.size

    with np.errstate(all="ignore"):
        assert any("overflows" in diagnosis for diagnosis in check_loss(naive, (6, 1)).diagnoses)


def test_the_library_is_right(backend):
    r = rng(1)
    for layer, shape in [
        (Dense(4, 3, rng=r), (5, 4)),
        (Dense(4, 3, rng=r, bias=False), (5, 4)),
        (ReLU(), (5, 4)),
        (LeakyReLU(0.2), (5, 4)),
        (Tanh(), (5, 2, 3)),
        (Sigmoid(), (5, 4)),
        (Softplus(), (5, 4)),
        (Softmax(), (5, 4)),
        (Softmax(), (2, 3, 4)),
        (Reshape((2, 2)), (5, 4)),
        (Flatten(), (5, 2, 2)),
        (Dropout(0.4, rng=r), (5, 4)),
    ]:
        check_layer(layer, shape).raise_if_wrong()
    for loss in losses.GAMES:
        check_loss(loss).raise_if_wrong()
    network = Sequential(Flatten(), Dense(6, 5, rng=r), LeakyReLU(), Dropout(0.3, rng=r), Dense(5, 2, rng=r), Tanh())
    before = network.theta.copy()
    check_network(network, (4, 2, 3)).raise_if_wrong()
    assert bool((network.theta == before).all()) if backend != "tripwire" else True


@settings(max_examples=500)
@given(data=st.data())
def test_no_false_alarm_over_500_random_shapes(data):
    """Right layers of any shape, at any scale of their input, are called right."""
    r = rng(data.draw(st.integers(0, 2**31)))
    n, width, n_out = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 7)), data.draw(st.integers(1, 6))
    shape = (n, *data.draw(st.lists(st.integers(1, 3), max_size=2)), width)
    layer, shape = data.draw(
        st.sampled_from(
            [
                (Dense(width, n_out, rng=r), (n, width)),
                (Sequential(Dense(width, 9, rng=r), LeakyReLU(), Dense(9, n_out, rng=r), Tanh()), (n, width)),
                (Sequential(Flatten(), Dense(int(np.prod(shape[1:])), 4, rng=r), ReLU()), shape),
                (ReLU(), shape),
                (LeakyReLU(0.3), shape),
                (Tanh(), shape),
                (Sigmoid(), shape),
                (Softplus(), shape),
                (Softmax(), (*shape[:-1], width + 1)),
                (Flatten(), shape),
                (Reshape((1, width)), (n, width)),
                (Dropout(0.5, rng=r), shape),
            ]
        )
    )
    scale = data.draw(st.sampled_from([0.01, 1.0, 3.0]))
    report = check_layer(layer, scale * r.standard_normal(shape), entries=12, seed=data.draw(st.integers(0, 99)))
    wrong = [d for d in report.diagnoses if "proves nothing" not in d]  # dropout can drop all of a single number
    assert not wrong, str(report)


def test_a_student_layer_needs_no_base_class():
    class Plain:
        def __init__(self):
            self.params = {"w": np.array([0.5, -0.3], dtype="float32")}
            self.grads = {"w": np.zeros(2, dtype="float32")}

        def forward(self, x, train=True):
            return x * self.params["w"], x

        def backward(self, dy, cache):
            self.grads["w"] += (dy * cache).sum(axis=0)
            return dy * self.params["w"]

    check_layer(Plain(), (4, 2)).raise_if_wrong()


def test_plot_draws_a_panel_for_each_variable(tmp_path):
    report = check_layer(OppositeSign(), (5, 4))
    figure = report.plot(tmp_path / "errors.png")
    assert (tmp_path / "errors.png").stat().st_size > 1000
    titles = " ".join(axes.get_title() + axes.get_title(loc="left") for axes in figure.axes)
    assert all(name in titles for name in ("x (both)", "W (both)", "b (both)"))


def test_explaining_one_wrong_gradient_leaves_the_others_right():
    """The search for a reason runs the layer in the other mode, which moves batch norm's running statistics."""

    class Steep(BatchNorm):
        def backward(self, dy, cache, *args, **kwargs):
            return 1.5 * super().backward(dy, cache, *args, **kwargs) + 0.1 * dy

    told = str(check_layer(Steep(3), (6, 3), train=False))
    assert told.count("WRONG") == 1, told
