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
from minigan.losses import softmax_cross_entropy
from minigan.network import Network
from minigan.optim import Adam, Momentum

TOLERANCE = 1e-5  # of the output's largest number; in float32, ONNX's own evaluator is within 2e-7 of PyTorch

NO_LOG_SOFTMAX = "no such layer: the losses take logits, and log-probabilities are made inside them"
NO_NLL = "takes log-probabilities, and these inputs are none (exp of them sums to 5 and more): no logits give them"
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
    "nesterov_momentum": "Momentum is Polyak's; there is no look-ahead form",
    "reshape_allowzero_reordered": "an array without numbers: Reshape takes positive sizes only",
}


# ---- operators: ONNX's arrays and attributes in, what minigan makes of them out -----------------------------------


def through(layer, x):
    """x through the layer's inference form, on the backend in use."""
    return to_host(layer.forward(to_device(x), train=False)[0])


def gemm(A, B, C=None, alpha=1.0, beta=1.0, transA=0, transB=0, broadcast=0):
    """alpha A' B' + beta C: a Dense with W = alpha B' and b = beta C."""
    x, W = A.T if transA else A, alpha * (B.T if transB else B)
    b = None if C is None else np.broadcast_to(beta * C, (len(x), W.shape[1]))
    if b is not None and (b != b[0]).any():  # a bias of its own for each row: a weight on the row's one-hot number
        x, W, b = np.hstack([x, np.eye(len(x), dtype=x.dtype)]), np.vstack([W, b]), None
    layer = Dense(*W.shape, rng=rng(0), bias=b is not None).astype(x.dtype)
    layer.params["W"][...] = to_device(W)
    if b is not None:
        layer.params["b"][...] = to_device(b[0])
    return through(layer, x)


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
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "LeakyRelu": lambda x, alpha=0.01: through(LeakyReLU(alpha), x),
    "MatMul": gemm,
    "Momentum": momentum,
    "Relu": lambda x: through(ReLU(), x),
    "Reshape": reshape,
    "Sigmoid": lambda x: through(Sigmoid(), x),
    "Softmax": softmax,
    "SoftmaxCrossEntropyLoss": cross_entropy,
    "Softplus": lambda x: through(Softplus(), x),
    "Tanh": lambda x: through(Tanh(), x),
}
GLUE = {  # between our layers in PyTorch's models
    "Add": np.add,
    "Constant": numpy_helper.to_array,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Split": lambda x, axis: tuple(np.split(x, 2, axis)),
    "Tile": np.tile,
    "Transpose": lambda x, perm: x.transpose(perm),
}


# ---- the cases -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    source: str
    model: onnx.ModelProto
    inputs: list
    outputs: list


NODE_MODULES = (  # of onnx.backend.test.case.node: all its modules would take 5 s and give the same cases
    "adam dropout flatten gemm leakyrelu logsoftmax momentum negativeloglikelihoodloss relu reshape sigmoid softmax "
    "softmax_cross_entropy_loss softplus tanh"
).split()
SELECTED = {*OPERATORS, "LogSoftmax", "NegativeLogLikelihoodLoss"} - {"MatMul"}


def node_cases():
    """Models of one operator. Others, named "_expanded", are the same arrays with the operator taken to pieces."""
    package = "onnx.backend.test.case.node"
    state = np.random.get_state()
    for module in NODE_MODULES:
        importlib.import_module(f"{package}.{module}")
    np.random.set_state(state)  # importing seeds it
    for case in importlib.import_module(package)._NodeTestCases:
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in SELECTED:
            (data,) = case.data_sets
            yield case.name, Case("node", case.model, *data)


def pytorch_cases(source):
    """Models with one of our operators in them, or the product of a Linear without bias."""

    def array(path):
        return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))

    for folder in sorted((Path(onnx.backend.test.__file__).parent / "data" / source).iterdir()):
        model = onnx.load(folder / "model.onnx")
        if any(node.op_type in SELECTED | {"MatMul"} for node in model.graph.node):
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
    assert counts == {"node": 123, "pytorch-converted": 18, "pytorch-operator": 7}
    assert (len(RUN), len(UNSUPPORTED)) == (118, 30)
    assert all(UNSUPPORTED.values())


def evaluate(case, dtype):
    """The model's outputs, operator by operator, with its floating-point numbers in this dtype."""

    def cast(array):
        array = np.asarray(array)
        return array.astype(dtype) if array.dtype.kind == "f" else array

    graph = case.model.graph
    opset = max(imported.version for imported in case.model.opset_import)
    values = {tensor.name: cast(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
    values |= zip([value.name for value in graph.input if value.name not in values], map(cast, case.inputs))
    for node in graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        function = OPERATORS.get(node.op_type) or GLUE[node.op_type]
        if node.op_type == "Softmax" and opset < 13:
            function = softmax_before_13
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
            if expected.dtype == bool:
                assert (result == expected).all()
            else:
                assert result.dtype == dtype
                assert abs(result - expected).max() <= TOLERANCE * abs(expected).max()
