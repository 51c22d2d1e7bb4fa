"""LSTM, GRU and Highway: numbers of Keras and ONNX, gradients by differences, and time cut into pieces."""

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from minigan.backend import rng, to_device, to_host
from minigan.gradcheck import check_layer, check_network
from minigan.layers import GRU, LSTM, Dense, Embedding, Flatten, Highway, ShapeError
from minigan.network import Sequential

N, T, I, H = 3, 5, 4, 3  # noqa: E741
KINDS = [LSTM, GRU]
STATES = {LSTM: ["h", "c"], GRU: ["h"]}  # the names of a state's arrays


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def numbers(kind, n_in=I, n=N, steps=T):
    """x, the first state and every parameter, float64, on the host."""
    gates = kind.n_gates * H
    v = {"x": draw(0, n, steps, n_in), "Wx": 0.5 * draw(1, n_in, gates), "Wh": 0.5 * draw(2, H, gates)}
    v |= {"b": 0.5 * draw(3, gates)} | ({"bh": draw(4, H)} if kind is GRU else {})
    return v | {name: 0.8 * draw(5 + k, n, H) for k, name in enumerate(STATES[kind])}


def holding(kind, v):
    """A float64 layer with these parameters."""
    n_in, gates = v["Wx"].shape
    layer = kind(n_in, gates // kind.n_gates, rng=rng(0)).astype("float64")
    for name, p in layer.params.items():
        p[...] = to_device(v[name])
    return layer


def state_of(kind, v):
    """The arrays of v that are named as the state's, on the device, as the layer takes them; None for what is not."""
    parts = [to_device(v[name]) if name in v else None for name in STATES[kind]]
    return tuple(parts) if kind is LSTM else parts[0]


def parts(kind, state):
    """A state's arrays on the host, by name."""
    return dict(zip(STATES[kind], map(to_host, state if kind is LSTM else [state])))


def run(kind, v):
    layer = holding(kind, v)
    return layer, *layer.forward(to_device(v["x"]), state=state_of(kind, v))


def gradients(kind, v, r, **options):
    """Of <y, r_y> + <h_T, r_h> + <c_T, r_c>, for those of the three that r has: by x, the first state, parameters."""
    layer, _, cache = run(kind, v)
    dy = to_device(r["y"]) if "y" in r else None
    dx, dstate = layer.backward_state(dy, cache, state_of(kind, r), **options)
    return {"x": to_host(dx), **parts(kind, dstate), **{name: to_host(g) for name, g in layer.grads.items()}}


def assert_same(found, expected, atol=1e-12):
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=atol, err_msg=name)


# ---- numbers nobody here wrote ------------------------------------------------------------------------------------

# keras/src/layers/rnn/lstm_test.py and gru_test.py: all entries of the kernel are 0.01, of the recurrent kernel 0.02,
# of the bias 0.03, and x counts up. name: the shape of x, H, what differs, y_T of each sequence
KERAS = {
    (LSTM, "forget bias 1"): ((3, 6, 4), 3, {}, [[0.6288687], [0.86899155], [0.9460773]]),
    (LSTM, "go_backwards"): ((3, 6, 4), 3, {"turned"}, [[0.35622165], [0.74789524], [0.8872726]]),
    (LSTM, "unit_forget_bias=False"): ((3, 6, 4), 3, {"forget"}, [[0.57019705], [0.8661914], [0.9459622]]),
    (LSTM, "use_bias=False"): ((3, 6, 4), 3, {"no bias"}, [[0.54986924], [0.86226785], [0.9443936]]),
    (LSTM, "stateful"): ((2, 3, 4), 4, {"twice"}, [[0.3124785], [0.6863672]]),
    (LSTM, "initial state"): ((2, 4, 3), 2, {"state"}, [[0.20574439, 0.3558822], [0.64930826, 0.66276]]),
    (LSTM, "initial state, go_backwards"): (
        *((2, 4, 3), 2, {"state", "turned"}),
        [[0.13281618, 0.2790356], [0.5839337, 0.5992567]],
    ),
    (GRU, "reset_after"): ((3, 6, 4), 3, {}, [[0.5217289], [0.6371659], [0.39384964]]),
    (GRU, "go_backwards"): ((3, 6, 4), 3, {"turned"}, [[0.24406259], [0.611516], [0.3928808]]),
    (GRU, "use_bias=False"): ((3, 6, 4), 3, {"no bias"}, [[0.49988455], [0.64701194], [0.4103359]]),
    (GRU, "stateful"): ((2, 3, 4), 4, {"twice"}, [[0.29542392], [0.5885018]]),
    (GRU, "initial state"): ((2, 4, 3), 2, {"state"}, [[0.23774096, 0.33508456], [0.83659905, 1.0227708]]),
    (GRU, "initial state, go_backwards"): (
        *((2, 4, 3), 2, {"state", "turned"}),
        [[0.13486053, 0.23261218], [0.78257304, 0.9691353]],
    ),
}


def keras_layer(kind, n_in, h, without_bias=False, forget=1.0):
    """GRU: Keras has a bias of 0.03 on the side of x and one on that of h, for r and z as for n."""
    gates = kind.n_gates * h
    v = {"Wx": np.full((n_in, gates), 0.01), "Wh": np.full((h, gates), 0.02)}
    v |= {"b": np.full(gates, 0.03 if kind is LSTM else 0.06), "bh": np.full(h, 0.03)}
    v["b"][h : 2 * h] = forget if kind is LSTM else 0.06
    v["b"][2 * h : 3 * h] = 0.03
    if without_bias:
        v["b"], v["bh"] = 0 * v["b"], 0 * v["bh"]
    return holding(kind, v)


@pytest.mark.parametrize("kind, name", KERAS)
def test_kerass_numbers(kind, name, backend):
    shape, h, said, expected = KERAS[kind, name]
    x = np.arange(np.prod(shape), dtype="float64").reshape(shape)
    layer = keras_layer(kind, shape[-1], h, "no bias" in said, 0.03 if "forget" in said else 1.0)
    given = np.arange(4.0).reshape(2, 2)
    state = state_of(kind, {"h": given, "c": given}) if "state" in said else None
    x = to_device(x[:, ::-1] if "turned" in said else x)
    if "twice" in said:
        state = layer.final(layer.forward(x)[1])
    y, cache = layer.forward(x, state=state)
    np.testing.assert_allclose(to_host(y)[:, -1], np.broadcast_to(expected, (shape[0], h)), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(parts(kind, layer.final(cache))["h"], to_host(y)[:, -1])


def test_kerass_numbers_at_every_step():
    """From Keras's masked cases, the steps before the mask."""
    layer = keras_layer(LSTM, 3, 2)
    y = layer.forward(np.arange(24.0).reshape(2, 4, 3))[0]
    for k in range(2):  # all units are equal
        np.testing.assert_allclose(y[0, :3, k], [0.01588910, 0.05552048, 0.11755939], rtol=0, atol=1e-6)
        np.testing.assert_allclose(y[1, :2, k], [0.14185596, 0.28556206], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_onnxs_numbers(kind, backend):
    """ONNX's reference evaluator with a weight of its own everywhere, so that no two gates can be mistaken."""
    order = {LSTM: [0, 3, 1, 2], GRU: [1, 0, 2]}[kind]  # of our gates, to ONNX's: i, o, f, c and z, r, h
    v = numbers(kind)
    turned = {
        name: np.concatenate([np.split(v[name], kind.n_gates, -1)[k] for k in order], -1)
        for name in ("Wx", "Wh", "b")
    }
    R_b = np.zeros(kind.n_gates * H)
    R_b[-H:] = v.get("bh", 0)
    inputs = {
        "X": v["x"].swapaxes(0, 1),
        "W": turned["Wx"].T[None],
        "R": turned["Wh"].T[None],
        "B": np.concatenate([turned["b"], R_b])[None],
        "": None,  # sequence_lens
        **{name: v[name][None] for name in STATES[kind]},
    }
    attributes = {} if kind is LSTM else {"linear_before_reset": 1}
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(STATES[kind])]
    node = onnx.helper.make_node(kind.__name__, list(inputs), outputs, hidden_size=H, **attributes)
    found = ReferenceEvaluator(node).run(None, {name: a for name, a in inputs.items() if name})
    layer, y, cache = run(kind, v)
    np.testing.assert_allclose(to_host(y), found[0][:, 0].swapaxes(0, 1), rtol=0, atol=1e-12)
    for ours, theirs in zip(parts(kind, layer.final(cache)).values(), found[1:]):
        np.testing.assert_allclose(ours, theirs[0], rtol=0, atol=1e-12)


# ---- gradients ----------------------------------------------------------------------------------------------------

UPSTREAM = [(LSTM, on) for on in ("yhc", "y", "h", "c")] + [(GRU, on) for on in ("yh", "y", "h")]


@pytest.mark.parametrize("kind, on", UPSTREAM, ids=[f"{kind.__name__} {on}" for kind, on in UPSTREAM])
def test_gradients_by_differences(kind, on, backend):
    """Along random directions, with an upstream gradient on y, on the last h, on the last c, and on all of them."""
    v = numbers(kind)
    r = {name: draw(20 + k, *((N, T, H) if name == "y" else (N, H))) for k, name in enumerate(on)}

    def value(v):
        layer, y, cache = run(kind, v)
        ends = {"y": to_host(y), **parts(kind, layer.final(cache))}
        return sum((ends[name] * r[name]).sum() for name in on)

    yours, h = gradients(kind, v, r), 1e-5
    assert set(yours) == set(v)
    for k, (name, at) in enumerate(v.items()):
        for seed in (30 + k, 50 + k):
            d = draw(seed, *at.shape)
            numeric = (value(v | {name: at + h * d}) - value(v | {name: at - h * d})) / (2 * h)
            claimed = (yours[name] * d).sum()
            assert abs(claimed - numeric) <= 1e-6 * abs(numeric), (name, claimed, numeric)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_gradient_and_the_layer_contract(kind, shape, backend):
    check_layer(kind(shape[-1], 2, rng=rng(0)), shape).raise_if_wrong()


def test_a_network_of_them(backend):
    network = Sequential(LSTM(2, 3, rng=rng(0)), GRU(3, 2, rng=rng(1)), Flatten(), Dense(6, 1, rng=rng(2)))
    check_network(network, (2, 3, 2)).raise_if_wrong()


def test_words_in_a_logit_out(backend):
    """A gradient on every word's vector, whichever of its places it stands at."""
    layers = Embedding(6, 3, rng=rng(0)), LSTM(3, 4, rng=rng(1)), Flatten(), Dense(20, 1, rng=rng(2))
    network = Sequential(*layers).astype("float64")
    assert network.output_shape((5,)) == (1,)
    ids = np.array([[1, 2, 2, 5, 0], [3, 1, 2, 1, 1]])
    _, cache = network.forward(ids)
    network.backward(to_device(np.ones((2, 1))), cache, input_grad=False)
    grad, d, h = to_host(network.grad), draw(0, network.theta.size), 1e-5
    values = []
    for sign in (1, -1):
        network.theta += to_device(sign * h * d)
        values.append(to_host(network(ids)).sum())
        network.theta -= to_device(sign * h * d)
    assert abs((values[0] - values[1]) / (2 * h) - grad @ d) <= 1e-6 * abs(grad @ d)
    word_4 = to_host(network.grads["0.W"])[4]
    assert (word_4 == 0).all()  # it stood nowhere


def test_what_is_kept_is_kept(backend):
    """f = 1 and i = 0: c and its gradient pass all steps unchanged (the "constant error carousel")."""
    v = numbers(LSTM) | {"Wx": np.zeros((I, 4 * H)), "Wh": np.zeros((H, 4 * H)), "b": np.repeat([-99, 99, 0, 0.0], H)}
    layer, _, cache = run(LSTM, v)
    dc = draw(9, N, H)
    np.testing.assert_array_equal(to_host(layer.final(cache)[1]), v["c"])
    np.testing.assert_allclose(to_host(layer.final(cache)[0]), 0.5 * np.tanh(v["c"]), rtol=1e-12)
    _, (dh_0, dc_0) = layer.backward_state(None, cache, (None, to_device(dc)))
    np.testing.assert_array_equal(to_host(dc_0), dc)
    np.testing.assert_array_equal(to_host(dh_0), 0 * dc)


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_of_any_size_give_finite_numbers(kind):
    layer = kind(I, H, rng=rng(0))
    x = (1e6 * draw(0, N, T, I)).astype("float32")
    with np.errstate(all="raise", under="ignore"):
        y, cache = layer.forward(x)
        dx = layer.backward(np.ones_like(y), cache)
    assert (abs(y) <= 1).all() and np.isfinite(dx).all()


@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32(kind, backend):
    layer = kind(I, H, rng=rng(0))
    x = to_device(draw(0, N, T, I).astype("float32"))
    y, cache = layer.forward(x)
    dx, dstate = layer.backward_state(y, cache, layer.final(cache))
    after = layer.step(x[:, 0], layer.final(cache))
    arrays = [y, dx, *cache, *layer.grads.values()]
    arrays += [*dstate, *after] if kind is LSTM else [dstate, after]
    assert {str(a.dtype) for a in arrays} == {"float32"}


# ---- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_single_steps_are_forward(kind, begun, backend):
    v = numbers(kind)
    v = v if begun else {name: a for name, a in v.items() if name not in STATES[kind]}
    layer, y, cache = run(kind, v)
    state = words = state_of(kind, v) if begun else None
    table = layer.project(to_device(v["x"].reshape(-1, I)))  # each step of each sequence as a word of its own
    for t in range(T):
        given = None if state is None else {name: a.copy() for name, a in parts(kind, state).items()}
        before, state = state, layer.step(to_device(v["x"][:, t]), state)
        rows = table[to_device(np.arange(N) * T + t)]
        kept = to_host(rows).copy()
        words = layer.advance(rows, words)
        np.testing.assert_array_equal(to_host(rows), kept)
        for found in (parts(kind, state), parts(kind, words)):
            np.testing.assert_allclose(found["h"], to_host(y)[:, t], rtol=0, atol=1e-14)
        if given is not None:
            assert_same(parts(kind, before), given, atol=0)  # a state is left as it was
    assert_same(parts(kind, state), parts(kind, layer.final(cache)), atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_two_halves_are_the_whole(kind, backend):
    """Forward hands over the state, backward its gradient."""
    v, r = numbers(kind), {"y": draw(8, N, T, H), **{name: draw(9, N, H) for name in STATES[kind]}}
    whole = gradients(kind, v, r)
    layer, x, dy = holding(kind, v), to_device(v["x"]), to_device(r["y"])
    y_1, cache_1 = layer.forward(x[:, :2], state=state_of(kind, v))
    y_2, cache_2 = layer.forward(x[:, 2:], state=layer.final(cache_1))
    dx_2, dstate = layer.backward_state(dy[:, 2:], cache_2, state_of(kind, r))
    dx_1, dstate = layer.backward_state(dy[:, :2], cache_1, dstate)
    found = {"x": np.concatenate([to_host(dx_1), to_host(dx_2)], axis=1), **parts(kind, dstate)}
    assert_same(found | {name: to_host(g) for name, g in layer.grads.items()}, whole)
    y = np.concatenate([to_host(y_1), to_host(y_2)], axis=1)
    np.testing.assert_allclose(y, to_host(run(kind, v)[1]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("k", [1, 2, 3, T, T + 1])
@pytest.mark.parametrize("kind", KINDS)
def test_truncation(kind, k, backend):
    """After k steps the gradient ends: pieces of k steps, of which each gets the last one's state as a number."""
    v, r = numbers(kind), {"y": draw(8, N, T, H), **{name: draw(9, N, H) for name in STATES[kind]}}
    found = gradients(kind, v, r, truncate=k)
    layer, state, dx, dfirst = holding(kind, v), state_of(kind, v), [], []
    for start in range(0, T, k):
        piece = slice(start, start + k)
        _, cache = layer.forward(to_device(v["x"][:, piece]), state=state)
        state = layer.final(cache)
        dstate = state_of(kind, r) if start + k >= T else None
        dx_piece, dfirst_piece = layer.backward_state(to_device(r["y"][:, piece]), cache, dstate)
        dx.append(to_host(dx_piece))
        dfirst.append(dfirst_piece)
    expected = {"x": np.concatenate(dx, axis=1), **parts(kind, dfirst[0])}
    assert_same(found, expected | {name: to_host(g) for name, g in layer.grads.items()})
    whole = gradients(kind, v, r)
    if k >= T:
        assert_same(found, whole, atol=0)
    else:
        assert abs(found["Wh"] - whole["Wh"]).max() > 1e-3
    layer, _, cache = run(kind, v)
    np.testing.assert_array_equal(
        to_host(layer.backward(to_device(r["y"]), cache, dstate=state_of(kind, r), truncate=k)), found["x"]
    )


def test_truncation_after_one_step_by_hand():
    """k = 1: y_t alone teaches step t, by the derivative of h' = o tanh(f c + i g)."""
    v = numbers(LSTM)
    dy = draw(8, N, T, H)
    found = gradients(LSTM, v, {"y": dy}, truncate=1)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    h, c, dWh = v["h"], v["c"], 0
    for t in range(T):
        a = v["x"][:, t] @ v["Wx"] + h @ v["Wh"] + v["b"]
        (a_i, a_f, a_g, a_o), last_h, last_c = np.split(a, 4, axis=1), h, c
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c = f * last_c + i * g
        h = o * np.tanh(c)
        dc = dy[:, t] * o * (1 - np.tanh(c) ** 2)
        da = [dc * g * i * (1 - i), dc * last_c * f * (1 - f), dc * i * (1 - g**2)]
        da = np.hstack([*da, dy[:, t] * np.tanh(c) * o * (1 - o)])
        np.testing.assert_allclose(found["x"][:, t], da @ v["Wx"].T, rtol=0, atol=1e-12)
        dWh = dWh + last_h.T @ da
    np.testing.assert_allclose(found["Wh"], dWh, rtol=0, atol=1e-12)


# ---- the contract, with states ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_two_calls_do_not_meet(kind, backend):
    """Two forwards, of other lengths and states, and their backwards in either order."""
    v = numbers(kind)
    other = v | {"x": draw(11, N + 1, T - 2, I)} | {name: draw(12, N + 1, H) for name in STATES[kind]}
    r = [{"y": draw(13, N, T, H), "h": draw(14, N, H)}, {"y": draw(15, N + 1, T - 2, H)}]
    alone = [gradients(kind, u, r_u) for u, r_u in zip((v, other), r)]
    for order in ((0, 1), (1, 0)):
        layer = holding(kind, v)
        caches = [layer.forward(to_device(u["x"]), state=state_of(kind, u))[1] for u in (v, other)]
        for k in order:
            layer.zero_grad()
            dx, dstate = layer.backward_state(to_device(r[k]["y"]), caches[k], state_of(kind, r[k]))
            found = {"x": to_host(dx), **parts(kind, dstate)}
            assert_same(found | {name: to_host(g) for name, g in layer.grads.items()}, alone[k])


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_may_lie_in_memory_as_they_like(kind):
    v, r = numbers(kind), {"y": draw(8, N, T, H), **{name: draw(9, N, H) for name in STATES[kind]}}
    expected = gradients(kind, v, r)

    def scattered(a):
        wide = np.zeros([2 * n for n in a.shape[::-1]])
        view = wide[tuple(slice(None, None, -2) for _ in a.shape)].T
        view[...] = a
        view.flags.writeable = False
        return view

    layer = holding(kind, v)
    x, dy, states = scattered(v["x"]), scattered(r["y"]), STATES[kind]
    assert not (x.flags.c_contiguous or x.flags.f_contiguous)
    state, dstate = (state_of(kind, {name: scattered(a[name]) for name in states}) for a in (v, r))
    _, cache = layer.forward(x, state=state)
    for a in cache:
        a.flags.writeable = False  # backward leaves it alone
    dx, dfirst = layer.backward_state(dy, cache, dstate)
    assert_same({"x": dx, **parts(kind, dfirst), **layer.grads}, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_flags(kind):
    v, r = numbers(kind), {"y": draw(8, N, T, H)}
    full = gradients(kind, v, r)
    layer, _, cache = run(kind, v)
    dx, dfirst = layer.backward_state(r["y"], cache, param_grads=False)
    assert_same({"x": dx, **parts(kind, dfirst)}, {name: full[name] for name in ("x", *STATES[kind])})
    assert not any(g.any() for g in layer.grads.values())
    dx, dfirst = layer.backward_state(r["y"], cache, input_grad=False)
    assert dx is None and layer.backward(r["y"], cache, param_grads=False, input_grad=False) is None
    assert_same(parts(kind, dfirst) | layer.grads, {name: full[name] for name in (*STATES[kind], *layer.grads)})


def test_what_does_not_fit_is_one_clear_sentence(backend):
    lstm, gru = LSTM(I, H, rng=rng(0)), GRU(I, H, rng=rng(0))
    zeros = lambda *shape: to_device(np.zeros(shape, "float32"))
    x, h = zeros(N, T, I), zeros(N, H)
    y, cache = lstm.forward(x)
    for make, error, message in [
        (lambda: lstm.forward(zeros(N, I)), ShapeError, "LSTM(4, 3) takes (N, T, 4), not (N, 4)"),
        (lambda: gru.forward(zeros(N, T, 5)), ShapeError, "GRU(4, 3) takes (N, T, 4), not (N, 5, 5)"),
        (lambda: lstm.forward(x, state=(h, zeros(2, H))), ShapeError, "takes (3, 3) for the state c of this batch"),
        (lambda: lstm.forward(x, state=h), ShapeError, "takes its state as two arrays (h, c), each (3, 3)"),
        (lambda: gru.forward(x, state=(h, h)), ShapeError, "for the state h of this batch, not tuple"),
        (lambda: lstm.step(x), ShapeError, "takes (N, 4) at a single step, not (3, 5, 4)"),
        (lambda: lstm.advance(h), ShapeError, "LSTM(4, 3) advances by (N, 12), not by (3, 3)"),
        (lambda: lstm.backward(y[:1], cache), ShapeError, "gave y (3, 5, 3), but dy is (1, 5, 3)"),
        (lambda: lstm.backward(y, cache, dstate=(h[:1], None)), ShapeError, "takes (3, 3) for the state h"),
        (lambda: lstm.backward(y, cache, truncate=0), ValueError, "at least one step, but got truncate=0."),
        (lambda: LSTM(0, 3, rng=rng(0)), ShapeError, "LSTM(0, 3) cannot be: it needs at least one input"),
        (lambda: Sequential(Flatten(), lstm, Dense(4, 1, rng=rng(0))), ShapeError, "LSTM(4, 3) gives (N, ?, 3)"),
    ]:
        with pytest.raises(error) as caught:
            make()
        assert message in str(caught.value) and "\n" not in str(caught.value)


def test_lstms_initial_weights():
    layer = LSTM(I, H, rng=rng(0))
    assert {name: p.shape for name, p in layer.params.items()} == {"Wx": (4, 12), "Wh": (3, 12), "b": (12,)}
    assert (layer.params["b"] == 0).all() and (layer.params["Wx"] != 0).all()
    ones = LSTM(I, H, rng=rng(0), init=lambda rng, shape: np.ones(shape, "float32"))
    assert (ones.params["Wx"] == 1).all() and (ones.params["Wh"] == 1).all()
    assert "LSTM(4, 3)  (N, 5, 3)" in Sequential(layer).summary((T, I))


# ---- highway ------------------------------------------------------------------------------------------------------


def test_highways_gradients(backend):
    check_layer(Highway(4, rng=rng(0)), (3, 4)).raise_if_wrong()


def test_highway_is_its_formula(backend):
    layer, x = Highway(4, rng=rng(0)).astype("float64"), draw(0, 5, 4)
    for k, p in enumerate(layer.params.values()):
        p[...] = to_device(draw(1 + k, *p.shape))
    p = {name: to_host(a) for name, a in layer.params.items()}
    t = 1 / (1 + np.exp(-(x @ p["Wt"] + p["bt"])))
    expected = t * np.maximum(x @ p["Wh"] + p["bh"], 0) + (1 - t) * x
    np.testing.assert_allclose(to_host(layer.forward(to_device(x))[0]), expected, rtol=0, atol=1e-12)


def test_highway_with_a_shut_gate_lets_x_pass_and_with_an_open_one_is_dense(backend):
    x = draw(0, 5, 4).astype("float32")
    for gate_bias in (-200.0, 200.0):
        layer = Highway(4, rng=rng(0), gate_bias=gate_bias)
        dense = np.maximum(x @ to_host(layer.params["Wh"]), 0)
        y, cache = layer.forward(to_device(x))
        np.testing.assert_allclose(to_host(y), x if gate_bias < 0 else dense, rtol=0, atol=1e-6)
        dx = to_host(layer.backward(to_device(np.ones_like(x)), cache))
        slope = np.ones_like(x) if gate_bias < 0 else (dense > 0) @ to_host(layer.params["Wh"]).T
        np.testing.assert_allclose(dx, slope, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(to_host(Highway(4, rng=rng(0)).params["bt"]), 0)
    with pytest.raises(ShapeError, match=r"Highway\(4\) takes \(N, 4\), not \(N, 3\)"):
        layer.forward(to_device(x[:, :3]))
    with pytest.raises(ShapeError, match="at least one feature"):
        Highway(0, rng=rng(0))
