"""Conformance to numbers nobody here wrote: the cases of the `onnx` package for our layers, losses and optimizers.

Two sources: models that PyTorch exported, with PyTorch's outputs (`pytorch-converted`, `pytorch-operator`), and
ONNX's own cases, one operator each (`node`), computed by its NumPy code. Every case found is run through minigan or
stands in UNSUPPORTED with a reason; nothing is skipped in silence.

ONNX puts channels second, minigan last; the functions under "operators" translate, on the host.
"""

import importlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import numpy_helper

from minigan.backend import rng, to_device, to_host
from minigan.layers import (
    GRU,
    LSTM,
    AveragePool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Dropout,
    Flatten,
    GlobalMaxPool,
    Layer,
    LayerNorm,
    LeakyReLU,
    MaxPool,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Softplus,
    Tanh,
    Upsample,
)
from minigan.layers.conv import Windows
from minigan.losses import softmax_cross_entropy
from minigan.network import Network
from minigan.optim import Adam, Momentum

TOLERANCE = 1e-5  # of the output's largest number; in float32, ONNX's own evaluator is within 2e-7 of PyTorch
ROUNDED = {  # both x and y were copied with four decimals: 5e-5 and the mean's 5e-5 * 4 / 9, of 0.3572
    "averagepool_2d_ceil_last_window_starts_on_pad": 2.1e-4,
}

NO_LOG_SOFTMAX = "no such layer: the losses take logits, and log-probabilities are made inside them"
NO_NLL = "takes log-probabilities, and these inputs are none (exp of them sums to 5 and more): no logits give them"
NO_GROUPS = "groups: our W joins every channel of x to every one of y"
NO_DILATED_POOL = "dilation: a pool's window has no gaps"
NO_COUNT_INSIDE = "a mean over the places inside x alone: AveragePool counts the zeros around x, too"
NO_SMALLER = "makes x smaller: Upsample's factor is at least 1"
NO_FRACTION = "2 places become 7: Upsample's factor is a whole number"
NO_RESET_BEFORE = "resets h before its product with the weights: our GRU resets the product, as PyTorch's does"
NO_OTHER_NEIGHBOUR = "asks for another neighbour than the nearest, so that places come unequally often"
UNSUPPORTED = {
    **dict.fromkeys(
        [
            "LogSoftmax",
            "log_softmax_dim3",
            "log_softmax_lastdim",
            "logsoftmax_axis_0",
            "logsoftmax_axis_1",
            "logsoftmax_axis_2",
            "logsoftmax_default_axis",
            "logsoftmax_example_1",
            "logsoftmax_large_number",
            "logsoftmax_negative_axis",
        ],
        NO_LOG_SOFTMAX,
    ),
    **dict.fromkeys(
        [
            "nllloss_NC",
            "nllloss_NCd1",
            "nllloss_NCd1_ii",
            "nllloss_NCd1_mean_weight_negative_ii",
            "nllloss_NCd1_weight",
            "nllloss_NCd1_weight_ii",
            "nllloss_NCd1d2",
            "nllloss_NCd1d2_no_weight_reduction_mean_ii",
            "nllloss_NCd1d2_reduction_mean",
            "nllloss_NCd1d2_reduction_sum",
            "nllloss_NCd1d2_with_weight",
            "nllloss_NCd1d2_with_weight_reduction_mean",
            "nllloss_NCd1d2_with_weight_reduction_sum",
            "nllloss_NCd1d2_with_weight_reduction_sum_ii",
            "nllloss_NCd1d2d3_none_no_weight_negative_ii",
            "nllloss_NCd1d2d3_sum_weight_high_ii",
            "nllloss_NCd1d2d3d4d5_mean_weight",
            "nllloss_NCd1d2d3d4d5_none_no_weight",
        ],
        NO_NLL,
    ),
    **dict.fromkeys(
        [
            "Conv1d_groups",
            "Conv2d_depthwise",
            "Conv2d_depthwise_padded",
            "Conv2d_depthwise_strided",
            "Conv2d_depthwise_with_multiplier",
            "Conv2d_groups",
            "Conv2d_groups_thnn",
            "Conv3d_groups",
            "convtranspose_group_2",
            "convtranspose_group_2_image_3",
        ],
        NO_GROUPS,
    ),
    **dict.fromkeys(
        [
            "MaxPool1d_stride_padding_dilation",
            "MaxPool2d_stride_padding_dilation",
            "averagepool_2d_dilations",
            "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False",
            "averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True",
            "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False",
            "averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True",
            "averagepool_3d_dilations_small",
            "maxpool_2d_dilations",
            "maxpool_3d_dilations",
            "maxpool_3d_dilations_use_ref_impl",
            "maxpool_3d_dilations_use_ref_impl_large",
        ],
        NO_DILATED_POOL,
    ),
    **dict.fromkeys(
        [
            "averagepool_2d_ceil",
            "averagepool_2d_pads",
            "averagepool_2d_precomputed_pads",
            "averagepool_2d_precomputed_same_upper",
            "averagepool_2d_same_lower",
            "averagepool_2d_same_upper",
        ],
        NO_COUNT_INSIDE,
    ),
    **dict.fromkeys(
        [
            "resize_downsample_scales_nearest",
            "resize_downsample_sizes_nearest",
            "resize_downsample_sizes_nearest_not_larger",
            "resize_downsample_sizes_nearest_not_smaller",
        ],
        NO_SMALLER,
    ),
    **dict.fromkeys(
        [
            "resize_upsample_sizes_nearest",
            "resize_upsample_sizes_nearest_axes_2_3",
            "resize_upsample_sizes_nearest_axes_3_2",
            "resize_upsample_sizes_nearest_not_larger",
        ],
        NO_FRACTION,
    ),
    **dict.fromkeys(
        [
            "resize_upsample_sizes_nearest_ceil_half_pixel",
            "resize_upsample_sizes_nearest_floor_align_corners",
            "resize_upsample_sizes_nearest_round_prefer_ceil_asymmetric",
        ],
        NO_OTHER_NEIGHBOUR,
    ),
    **dict.fromkeys(["gru_bidirectional", "gru_reverse", "gru_seq_length"], NO_RESET_BEFORE),
    "lstm_with_peepholes": "the gates look at c, too: our LSTM has no peepholes",
    "maxpool_2d_uint8": "whole numbers: ours are floating-point, and uint8 has no -inf for the places outside x",
    "nesterov_momentum": "Momentum is Polyak's; there is no look-ahead form",
    "reshape_allowzero_reordered": "an array without numbers: Reshape takes positive sizes only",
}


# ---- operators: ONNX's arrays and attributes in, what minigan makes of them out -----------------------------------


def through(layer, x, train=False):
    """x through the layer, on the backend in use; without `train` in its inference form."""
    return to_host(layer.forward(to_device(x), train=train)[0])


def through_places(layer, x, train=False):
    """As `through`, for x and y with channels second."""
    return np.moveaxis(through(layer, np.moveaxis(x, 1, -1), train), -1, 1)


def holding(layer, dtype, **arrays):
    """The layer in this dtype with these parameters and statistics; None: the layer has no such array."""
    layer = layer.astype(dtype)
    for name, array in arrays.items():
        if array is not None:
            (layer.params if name in layer.params else layer.statistics)[name][...] = to_device(array)
    return layer


def gemm(A, B, C=None, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0):
    """alpha A' B' + beta C: a Dense with W = alpha B' and b = beta C."""
    x, W = A.T if transA else A, alpha * (B.T if transB else B)
    b = None if C is None else np.broadcast_to(beta * C, (len(x), W.shape[1]))
    if b is not None and (b != b[0]).any():  # a bias of its own for each row: a weight on the row's one-hot number
        x, W, b = np.hstack([x, np.eye(len(x), dtype=x.dtype)]), np.vstack([W, b]), None
    layer = Dense(*W.shape, rng=rng(0), bias=b is not None)
    return through(holding(layer, x.dtype, W=W, b=None if b is None else b[0]), x)


def windows_of(sizes, kernel_shape, strides=None, pads=None, dilations=None, auto_pad=b"NOTSET", group=1):
    """ONNX's attributes as our arguments. pads: the zeros before in each dimension, then those after."""
    assert group == 1, NO_GROUPS
    stride, dilation = strides or [1] * len(sizes), dilations or [1] * len(sizes)
    padding = tuple(zip(pads[: len(sizes)], pads[len(sizes) :])) if pads else "valid"
    if auto_pad == b"SAME_UPPER":
        padding = "same"
    elif auto_pad == b"SAME_LOWER":  # an odd zero goes to the front
        padding = tuple(pair[::-1] for pair in Windows(kernel_shape, stride, "same", dilation).sides(sizes))
    return {"kernel": kernel_shape, "stride": stride, "padding": padding, "dilation": dilation}


def conv(x, W, b=None, **attributes):
    """W (O, I, k...)."""
    n_out, n_in, *kernel = W.shape
    windows = windows_of(x.shape[2:], **{"kernel_shape": kernel, **attributes})
    layer = Conv(n_in, n_out, **windows, bias=b is not None, rng=rng(0))
    return through_places(holding(layer, x.dtype, W=np.moveaxis(W, (0, 1), (-1, -2)), b=b), x)


def conv_transpose(x, W, b=None, output_padding=0, output_shape=None, **attributes):
    """W (I, O, k...). output_shape stands in place of pads; what y lacks of it comes at the end."""
    n_in, n_out, *kernel = W.shape
    assert attributes.get("auto_pad") != b"SAME_LOWER", "those zeros follow from the sizes of y, not of x"
    windows = windows_of(x.shape[2:], **{"kernel_shape": kernel, **attributes})
    if output_shape:
        assert windows["padding"] == "valid"
        bare = ConvTranspose(n_in, n_out, **windows, rng=rng(0)).output_shape((*x.shape[2:], n_in))
        output_padding = [wanted - n for wanted, n in zip(output_shape, bare)]
    layer = ConvTranspose(n_in, n_out, **windows, output_padding=output_padding, bias=b is not None, rng=rng(0))
    return through_places(holding(layer, x.dtype, W=np.moveaxis(W, (0, 1), (-2, -1)), b=b), x)


def batch_norm(x, gamma, beta, mean, var, epsilon=1e-5, momentum=0.9, training_mode=0, is_test=1):
    """momentum is the old statistics' weight. is_test: before opset 7, where training had other outputs.

    ONNX's running var takes the batch's biased variance, ours the unbiased one, M / (M - 1) times as large.
    """
    assert is_test
    layer = BatchNorm(len(gamma), momentum, epsilon)
    layer = holding(layer, x.dtype, gamma=gamma, beta=beta, mean=mean, var=var)
    y = through_places(layer, x, train=bool(training_mode))
    if not training_mode:
        return y
    m = x.size // len(gamma)
    kept = momentum * var
    biased = (to_host(layer.statistics["var"]) - kept) * ((m - 1) / m) + kept
    return y, to_host(layer.statistics["mean"]), biased


def layer_norm(x, gamma, beta=None, axis=-1, epsilon=1e-5):
    """y, the mean and 1 / sqrt(var + eps); our cache holds the last, and xhat, and x = mean + xhat / scale."""
    axis = axis + x.ndim if axis < 0 else axis
    layer = holding(LayerNorm(gamma.shape, epsilon), x.dtype, gamma=gamma, beta=beta)
    y, (xhat, scale) = layer.forward(to_device(x if axis else x[None]), train=False)  # axis 0: x is one sample
    xhat, scale = to_host(xhat), to_host(scale)
    mean = (x.reshape(xhat.shape) - xhat / scale).mean(axis=1)  # over equal numbers, against rounding
    each = (*x.shape[:axis], *(1 for _ in gamma.shape))
    return to_host(y).reshape(x.shape), mean.reshape(each), scale.reshape(each)


def pool_layer(kind, sizes, ceil_mode=0, count_include_pad=0, **attributes):
    windows = windows_of(sizes, **attributes)
    assert set(windows.pop("dilation")) == {1}, NO_DILATED_POOL
    layer = kind(**windows)
    if ceil_mode:  # a last window hangs over the end if it begins before it: so many places more after x
        w, sides = layer.windows, []
        for n, k, s, (before, after) in zip(sizes, w.kernel, w.stride, w.sides(sizes)):
            last = min(-(-(n + before + after - k) // s), (n + before - 1) // s) * s
            sides.append((before, max(last + k - n - before, 0)))
        layer = kind(**windows | {"padding": sides})
    padded = any(sum(pair) for pair in layer.windows.sides(sizes))
    assert kind is MaxPool or count_include_pad or not padded, NO_COUNT_INSIDE
    return layer


def pool(kind, x, **attributes):
    return through_places(pool_layer(kind, x.shape[2:], **attributes), x)


def max_pool_with_indices(x, storage_order=0, **attributes):
    """y and where in x its numbers stood, which backward says: dy of 1 at one y alone goes to that place of x.

    storage_order 1 counts down the columns first.
    """
    assert x.shape[:2] == (1, 1)
    layer = pool_layer(MaxPool, x.shape[2:], **attributes)
    y = through_places(layer, x)
    copies = np.repeat(np.moveaxis(x, 1, -1), y.size, axis=0)  # a sample for each y
    _, cache = layer.forward(to_device(copies))
    dy = np.eye(y.size, dtype=x.dtype).reshape(y.size, *y.shape[2:], 1)
    dx = to_host(layer.backward(to_device(dy), cache))[..., 0]
    dx = dx.swapaxes(-1, -2) if storage_order else dx
    return y, dx.reshape(y.size, -1).argmax(axis=1).reshape(y.shape)


def global_max_pool(x):
    return through(GlobalMaxPool(), np.moveaxis(x, 1, -1)).reshape(*x.shape[:2], *(1 for _ in x.shape[2:]))


def upsample(x, scales, mode=b"nearest"):
    assert mode == b"nearest" and (scales[:2] == 1).all()
    factors = [int(scale) for scale in scales[2:]]
    assert factors == list(scales[2:]), "Upsample's factor is a whole number of at least 1"
    if len(set(factors)) == 1:
        return through_places(Upsample(factors[0]), x)
    for axis, factor in enumerate(factors, start=2):  # ours has one factor for all dimensions: one at a time
        rows = np.moveaxis(x, axis, -1)
        y = through(Upsample(factor), rows.reshape(-1, rows.shape[-1], 1))
        x = np.moveaxis(y.reshape(*rows.shape[:-1], -1), -1, axis)
    return x


def resize(
    x,
    roi,
    scales,
    sizes=None,
    mode=b"nearest",
    axes=None,
    keep_aspect_ratio_policy=b"stretch",
    coordinate_transformation_mode=b"half_pixel",
    nearest_mode=b"round_prefer_floor",
):
    """With whole factors the nearest neighbour, place centre to place centre, is the place repeated."""
    modes = coordinate_transformation_mode, nearest_mode
    assert modes == (b"half_pixel", b"round_prefer_floor"), NO_OTHER_NEIGHBOUR
    axes = list(range(x.ndim)) if axes is None else axes
    factors = np.ones(x.ndim)
    factors[axes] = scales if sizes is None else sizes / np.array(x.shape)[axes]
    if keep_aspect_ratio_policy != b"stretch":
        factors[axes] = (min if keep_aspect_ratio_policy == b"not_larger" else max)(factors[axes])
    return upsample(x, factors, mode)


def softmax(x, axis=-1):
    return np.moveaxis(through(Softmax(), np.moveaxis(x, axis, -1)), -1, axis)


def softmax_before_13(x, axis=1):
    """Before opset 13 all axes from `axis` on were one."""
    return through(Softmax(), x.reshape(math.prod(x.shape[:axis]), -1)).reshape(x.shape)


class NumPysNoise:
    """ONNX leaves the generator open; the expected outputs come from NumPy's old one, and here it draws again."""

    def __init__(self, seed):
        self.generator = np.random.RandomState(seed)

    def random(self, shape, dtype):
        return to_device(self.generator.uniform(size=shape).astype(dtype))


def dropout(x, ratio=0.5, training=False, seed=0):
    y, m = Dropout(float(ratio), rng=NumPysNoise(seed)).forward(to_device(x), train=bool(training))
    return to_host(y), np.ones(x.shape, bool) if m is None else to_host(m) > 0


def flatten(x, axis=1):
    """All axes before `axis` are the batch."""
    axis = axis + x.ndim if axis < 0 else axis
    return through(Flatten(), x.reshape(math.prod(x.shape[:axis]), *x.shape[axis:]))


def reshape(x, shape, allowzero=0):
    """0 keeps a size, -1 is what remains. Where the batch axis changes too, all of x is one sample."""
    sizes = [x.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.size // -math.prod(sizes)
    if sizes[0] == len(x) and len(sizes) > 1:
        return through(Reshape(tuple(sizes[1:])), x)
    return through(Reshape(tuple(sizes)), x[None])[0]


def recurrent(kind, order, X, W, R, B, reset_bias=0, hidden_size=None, direction=b"forward", layout=0):
    """W (D, gH, I), R (D, gH, H): D directions, each a layer of its own, for which the second one's time is turned.

    order: where our gates stand among ONNX's. B (D, 2gH): a bias on the side of x and one on that of h, in which
    `reset_bias` gates have one that is not added but reset. y: (T, D, N, H), and the last states (D, N, H).
    """
    ys, states = [], []
    for d in range(len(W)):
        turn = slice(None, None, -1) if d == 1 or direction == b"reverse" else slice(None)
        ours = lambda a: np.concatenate([np.split(a, len(order))[k] for k in order]).T
        layer = kind(W.shape[2], R.shape[2], rng=rng(0))
        layer = holding(layer, X.dtype, Wx=ours(W[d]), Wh=ours(R[d]))
        if B is not None:
            b, Rb = (ours(part) for part in np.split(B[d], 2))
            kept = len(Rb) - reset_bias * R.shape[2]
            layer.params["b"][...] = to_device(b + Rb * (np.arange(len(Rb)) < kept))
            if reset_bias:
                layer.params["bh"][...] = to_device(Rb[kept:])
        x = X if layout else X.swapaxes(0, 1)  # (N, T, I)
        y, cache = layer.forward(to_device(x[:, turn]), train=False)
        ys.append(to_host(y)[:, turn].swapaxes(0, 1))
        last = layer.final(cache)
        states.append([to_host(a) for a in (last if isinstance(last, tuple) else (last,))])
    found = [np.stack(ys, axis=1), *(np.stack(parts) for parts in zip(*states))]
    return tuple(np.moveaxis(a, -2, 0) if layout else a for a in found)  # layout 1: N first


def lstm(X, W, R, B=None, lengths=None, h=None, c=None, P=None, **attributes):
    """ONNX's gates: i, o, f, c."""
    assert lengths is None and h is None and c is None and P is None
    return recurrent(LSTM, (0, 2, 3, 1), X, W, R, B, **attributes)


def gru(X, W, R, B=None, linear_before_reset=0, **attributes):
    """ONNX's gates: z, r, h. Reset before or after the product is one for h = 0, where b_h is 0 too: at one step."""
    steps = X.shape[1 if attributes.get("layout") else 0]
    assert linear_before_reset or (steps == 1 and (B is None or not B[:, -R.shape[2] :].any())), NO_RESET_BEFORE
    return recurrent(GRU, (1, 0, 2), X, W, R, B, reset_bias=1, **attributes)


def cross_entropy(x, labels, class_weights=None, reduction=b"mean", ignore_index=None):
    """Our value is the mean over positions of w nll: the class's weight is w, 0 what is ignored, w / mean(w) a
    weighted mean, and a sum is the mean times the count. Second output: log p, from the gradient, which is
    w (p - onehot) / count at each position.
    """
    logits = np.moveaxis(x, 1, -1)
    kept = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    labels = np.where(kept, labels, 0)  # what is ignored may be no class at all
    weights = None
    if class_weights is not None or not kept.all():
        classes = np.ones(x.shape[1]) if class_weights is None else class_weights
        weights = (kept * classes[labels]).astype(x.dtype)

    def loss(logits, labels, weights):
        value, dlogits = softmax_cross_entropy(
            to_device(logits), to_device(labels), None if weights is None else to_device(weights)
        )
        return to_host(value), to_host(dlogits)

    if reduction == b"none":
        flat = logits.reshape(-1, x.shape[1]), labels.ravel(), None if weights is None else weights.ravel()
        parts = [[a if a is None else a[i : i + 1] for a in flat] for i in range(labels.size)]
        value = np.array([loss(*part)[0] for part in parts]).reshape(labels.shape)
    elif reduction == b"sum":
        value = loss(logits, labels, weights)[0] * labels.size
    else:
        value = loss(logits, labels, None if weights is None else weights / weights.mean())[0]
    w = None if weights is None else (1 + labels).astype(x.dtype)  # any but 0 will do
    slope = loss(logits, labels, w)[1] * labels.size / (1 if w is None else w[..., None])
    p = slope + np.eye(x.shape[1], dtype=x.dtype)[labels]
    return value, np.moveaxis(np.log(p), -1, 1)


def updated(make, x, g, moments):
    """Tensors x as the parameters of one network, one step on the gradients g; the new x, then the new moments."""
    layer = Layer()
    for i, tensor in enumerate(x):
        layer.add_param(str(i), to_device(tensor))
    network = Network(layer)
    network.grad[...] = to_device(np.concatenate(g))
    optimizer = make(network)
    # ONNX's T = 0 is no correction of the moments' start at zero; ours has none left after so many steps
    optimizer.load({"steps": 10**9, **{name: np.concatenate(tensors) for name, tensors in moments.items()}})
    optimizer.step()
    ends = np.cumsum([len(tensor) for tensor in x])[:-1]
    vectors = [network.theta, *(getattr(optimizer, name) for name in moments)]
    return tuple(part for vector in vectors for part in np.split(to_host(vector), ends))


def adam(R, T, *tensors, alpha, beta, epsilon, norm_coefficient):
    assert T == 0, "with T > 0 ONNX's epsilon stands at another place than PyTorch's and ours"
    n = len(tensors) // 4
    x, g, m, v = (tensors[k * n : (k + 1) * n] for k in range(4))
    g = [g + norm_coefficient * x for g, x in zip(g, x)]  # the penalty on x is a part of the gradient
    make = lambda network: Adam(network, lr=float(R), beta1=alpha, beta2=beta, eps=epsilon)
    return updated(make, x, g, {"m": m, "v": v})


def momentum(R, T, *tensors, alpha, beta, norm_coefficient, mode):
    assert T == 0 and mode == b"standard", "with T > 0 ONNX damps the gradient by beta; PyTorch and ours do not"
    n = len(tensors) // 3
    x, g, m = (tensors[k * n : (k + 1) * n] for k in range(3))
    g = [g + norm_coefficient * x for g, x in zip(g, x)]
    return updated(lambda network: Momentum(network, lr=float(R), momentum=alpha), x, g, {"m": m})


OPERATORS = {
    "Adam": adam,
    "AveragePool": lambda x, **attributes: pool(AveragePool, x, **attributes),
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Dropout": dropout,
    "Flatten": flatten,
    "GRU": gru,
    "Gemm": gemm,
    "GlobalAveragePool": lambda x: through_places(AveragePool(x.shape[2:]), x),
    "GlobalMaxPool": global_max_pool,
    "LSTM": lstm,
    "LayerNormalization": layer_norm,
    "LeakyRelu": lambda x, alpha=0.01: through(LeakyReLU(alpha), x),
    "MatMul": gemm,
    "MaxPool": lambda x, **attributes: pool(MaxPool, x, **attributes),
    "Momentum": momentum,
    "Relu": lambda x: through(ReLU(), x),
    "Reshape": reshape,
    "Resize": resize,
    "Sigmoid": lambda x: through(Sigmoid(), x),
    "Softmax": softmax,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "Softplus": lambda x: through(Softplus(), x),
    "Tanh": lambda x: through(Tanh(), x),
    "Upsample": upsample,
}
GLUE = {  # between our layers in PyTorch's models
    "Add": np.add,
    "Constant": numpy_helper.to_array,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Split": lambda x, axis: tuple(np.split(x, 2, axis)),
    "Squeeze": lambda x, axes: x.squeeze(tuple(axes)),
    "Tile": np.tile,
    "Transpose": lambda x, perm: x.transpose(perm),
    "Unsqueeze": lambda x, axes: np.expand_dims(x, tuple(axes)),
}


# ---- the cases -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    source: str
    model: onnx.ModelProto
    inputs: list
    outputs: list


NODE_MODULES = (  # of onnx.backend.test.case.node: the other modules would take 3 s and give no case more
    "adam averagepool batch_normalization conv convtranspose dropout flatten gemm globalaveragepool globalmaxpool "
    "gru layernormalization leakyrelu logsoftmax lstm maxpool momentum negativeloglikelihoodloss relu reshape resize "
    "sigmoid softmax softmax_cross_entropy_loss softplus tanh upsample"
).split()
SELECTED = {*OPERATORS, "LogSoftmax", "NegativeLogLikelihoodLoss"} - {"MatMul"}


def is_selected(node):
    """Resize is several operators in one, and only the one of the nearest neighbour is like a layer of ours."""
    if node.op_type == "Resize":
        return all(a.s == b"nearest" for a in node.attribute if a.name == "mode")
    return node.op_type in SELECTED


def node_cases():
    """Models of one operator. Others, named "_expanded", are the same arrays with the operator taken to pieces."""
    package = "onnx.backend.test.case.node"
    state = np.random.get_state()
    for module in NODE_MODULES:
        importlib.import_module(f"{package}.{module}")
    np.random.set_state(state)  # importing seeds it
    for case in importlib.import_module(package)._NodeTestCases:
        if len(case.model.graph.node) == 1 and is_selected(case.model.graph.node[0]):
            (data,) = case.data_sets
            yield case.name, Case("node", case.model, *data)


def pytorch_cases(source):
    """Models with one of our operators in them, or the product of a Linear without bias."""

    def array(path):
        return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))

    for folder in sorted((Path(onnx.backend.test.__file__).parent / "data" / source).iterdir()):
        model = onnx.load(folder / "model.onnx")
        if any(is_selected(node) or node.op_type == "MatMul" for node in model.graph.node):
            (data,) = folder.glob("test_data_set_*")
            inputs, outputs = ([array(p) for p in sorted(data.glob(f"{kind}_*.pb"))] for kind in ("input", "output"))
            yield folder.name, Case(source, model, inputs, outputs)


def all_cases():
    found = {}
    for cases in (node_cases(), pytorch_cases("pytorch-converted"), pytorch_cases("pytorch-operator")):
        for name, case in cases:
            name = name.removeprefix("test_")
            assert name not in found, name
            found[name] = case
    return found


CASES = all_cases()
RUN = sorted(set(CASES) - set(UNSUPPORTED))


def test_every_case_is_run_or_listed():
    assert set(RUN) | set(UNSUPPORTED) == set(CASES), "UNSUPPORTED names a case that onnx does not have"
    sources = [case.source for case in CASES.values()]
    counts = {source: sources.count(source) for source in sorted(set(sources))}
    # Other counts mean another onnx package: look at what is new, and run it or say why not.
    assert counts == {"node": 234, "pytorch-converted": 66, "pytorch-operator": 10}
    assert (len(RUN), len(UNSUPPORTED)) == (236, 74)
    assert all(UNSUPPORTED.values())


def evaluate(case, dtype):
    """The model's outputs, operator by operator, with its floating-point numbers in this dtype."""

    def cast(array):
        array = np.asarray(array)
        return array.astype(dtype) if array.dtype.kind == "f" else array

    graph = case.model.graph
    opset = max(imported.version for imported in case.model.opset_import)
    values = {"": None}  # an input left out, before one that is not
    values |= {tensor.name: cast(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    values |= zip([value.name for value in graph.input if value.name not in values], map(cast, case.inputs))
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        function = OPERATORS.get(node.op_type) or GLUE[node.op_type]
        if node.op_type == "Softmax" and opset < 13:
            function = softmax_before_13
        if node.op_type == "MaxPool" and len(node.output) == 2:
            function = max_pool_with_indices
        operands = [attributes.pop("value")] if node.op_type == "Constant" else [values[name] for name in node.input]
        results = function(*operands, **attributes)
        results = results if isinstance(results, tuple) else (results,)
        values |= zip(node.output, [cast(result) if node.op_type == "Constant" else result for result in results])
    return [values[value.name] for value in graph.output]


@pytest.mark.parametrize("name", RUN)
def test_case(name, backend):
    case = CASES[name]
    for dtype in ("float32", "float64"):
        found = evaluate(case, dtype)
        assert len(found) == len(case.outputs)
        for result, expected in zip(found, case.outputs):
            expected = np.asarray(expected)
            assert result.shape == expected.shape
            if expected.dtype.kind != "f":
                assert (result == expected).all()
            else:
                assert result.dtype == dtype
                assert abs(result - expected).max() <= ROUNDED.get(name, TOLERANCE) * abs(expected).max()
