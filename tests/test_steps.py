"""One step of the game: who moves, which way, and that the stacked form is the plain one."""

import numpy as np
import pytest

from minigan import losses, penalty, steps
from minigan.backend import rng, to_device, to_host
from minigan.layers import Dense, LeakyReLU, ReLU, Tanh
from minigan.network import Sequential
from minigan.optim import SGD, Adam, Momentum, Optimizer, RMSProp


def game(seed=0, dtype="float32"):
    """A small G and D, a real batch and noise: z (8, 4), x (8, 6)."""
    r = np.random.default_rng(seed)
    G = Sequential(Dense(4, 16, rng=rng(seed)), ReLU(), Dense(16, 6, rng=rng(seed + 1)), Tanh())
    D = Sequential(Dense(6, 16, rng=rng(seed + 2)), LeakyReLU(), Dense(16, 1, rng=rng(seed + 3)))
    x, z = (to_device(r.standard_normal(shape).astype(dtype)) for shape in ((8, 6), (8, 4)))
    return (G, D, x, z) if dtype == "float32" else (G.astype(dtype), D.astype(dtype), x, z)


D_STEPS = [steps.d_step, steps.stacked_d_step]


@pytest.mark.parametrize("d_step", D_STEPS)
@pytest.mark.parametrize("loss", losses.GAMES, ids=lambda loss: loss.name)
def test_a_d_step_widens_the_gap_and_moves_d_alone(loss, d_step, backend):
    G, D, x, z = game()
    fakes = G(z)

    def gap():
        return float(to_host(D(x)).mean() - to_host(D(fakes)).mean())

    before, G_before = gap(), to_host(G.theta).copy()
    D_before = {name: to_host(p).copy() for name, p in D.params.items()}
    value = d_step(G, D, SGD(D, lr=0.02), loss, x, z)
    assert value.shape == ()
    assert gap() > before
    assert np.array_equal(to_host(G.theta), G_before)
    if loss.name in ("hinge", "wasserstein"):  # the last bias moves real and fake alike: these games cannot see it
        D_before.pop("2.b")
    assert all((to_host(D.params[name]) != p).any() for name, p in D_before.items())


@pytest.mark.parametrize("loss", losses.GAMES, ids=lambda loss: loss.name)
def test_a_g_step_raises_d_of_g_and_moves_g_alone(loss, backend):
    G, D, _, z = game()
    before, D_before, D_grad = float(to_host(D(G(z))).mean()), to_host(D.theta).copy(), to_host(D.grad).copy()
    G_before = {name: to_host(p).copy() for name, p in G.params.items()}
    value = steps.g_step(G, D, SGD(G, lr=0.02), loss, z)
    assert value.shape == ()
    assert float(to_host(D(G(z))).mean()) > before
    assert np.array_equal(to_host(D.theta), D_before) and np.array_equal(to_host(D.grad), D_grad)
    assert all((to_host(G.params[name]) != p).any() for name, p in G_before.items())


@pytest.mark.parametrize("loss", losses.GAMES, ids=lambda loss: loss.name)
def test_stacked_and_plain_steps_agree(loss):
    results = []
    for d_step in D_STEPS:
        G, D, x, z = game(dtype="float64")
        values = [d_step(G, D, SGD(D, 1e-2), loss, x, z) for _ in range(5)]
        results.append((values, D.grad, D.theta))
    for plain, stacked in zip(*results):
        np.testing.assert_allclose(stacked, plain, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", penalty.KINDS)
def test_a_penalty_adds_its_value_and_its_gradient(kind, backend):
    G, D, x, z = game(dtype="float64")
    make = {
        "wgan-gp": lambda: penalty.wgan_gp(rng(7), 3.0),
        "r1": lambda: penalty.r1(3.0),
        "r2": lambda: penalty.r2(3.0),
    }
    plain, alone, together = D.copy(), D.copy(), D.copy()
    value = steps.d_step(G, plain, SGD(plain, 0.1), losses.wasserstein, x, z)
    extra = make[kind]()(alone, x, G.forward(z)[0])
    both = steps.d_step(G, together, SGD(together, 0.1), losses.wasserstein, x, z, penalty=make[kind]())
    np.testing.assert_allclose(to_host(both), to_host(value + extra), rtol=1e-12)
    np.testing.assert_allclose(to_host(together.grad), to_host(plain.grad + alone.grad), rtol=1e-12, atol=1e-15)
    at = {"r1": x, "r2": G(z)}.get(kind)
    if at is not None:
        assert float(to_host(extra)) == float(to_host(penalty.gradient_penalty(alone, at, kind, 3.0)))


def test_the_real_batchs_gradient_uses_the_real_batch():
    """The bug of many hand-written GANs: one cache slot, so that real gradients meet fake activations."""
    G, D, x, z = game(dtype="float64")
    fakes = G(z)
    h, theta, grad = 1e-6, D.theta.copy(), np.zeros(D.theta.size)
    loss = losses.non_saturating
    for i in range(theta.size):
        for sign in (1, -1):
            D.theta = theta + sign * h * (np.arange(theta.size) == i)
            grad[i] += sign * loss.discriminator(D(x), D(fakes))[0] / (2 * h)
    D.theta = theta
    steps.d_step(G, D, SGD(D, 1e-9), loss, x, z)
    np.testing.assert_allclose(D.grad, grad, atol=1e-9)


def test_a_trace_holds_every_intermediate_value():
    G, D, x, z = game()
    trace = {}
    value = steps.d_step(G, D, SGD(D, 0.01), losses.minimax, x, z, trace)
    assert trace["x_real"] is x and trace["d_value"] is value
    assert trace["real_logits"].shape == trace["d_fake"].shape == (8, 1)
    steps.g_step(G, D, SGD(G, 0.01), losses.minimax, z, trace)
    assert trace["dx_fake"].shape == (8, 6) and trace["g_cache"].network is G and trace["d_cache"].network is D


OPTIMIZERS = [
    lambda n, **o: SGD(n, 0.1, **o),
    lambda n, **o: Momentum(n, 0.1, **o),
    lambda n, **o: RMSProp(n, 0.01, **o),
    lambda n, **o: Adam(n, 0.01, **o),
]
NAMES = ["SGD", "Momentum", "RMSProp", "Adam"]


@pytest.mark.parametrize("make", OPTIMIZERS, ids=NAMES)
def test_an_optimizer_goes_on_from_its_saved_state(make, backend):
    runs = []
    for stop in (False, True):
        G, *_ = game()
        optimizer = make(G)
        gradients = np.random.default_rng(1).standard_normal((6, G.theta.size)).astype("float32")
        for k, gradient in enumerate(gradients):
            if stop and k == 3:
                state = optimizer.state()
                kept = {name: to_host(v).copy() if name != "steps" else v for name, v in state.items()}
                optimizer = make(G)
                optimizer.load(kept)
            G.grad[...] = to_device(gradient)
            optimizer.step()
        runs.append(to_host(G.theta).copy())
    assert np.array_equal(*runs)


@pytest.mark.parametrize("make", OPTIMIZERS, ids=NAMES)
def test_pieces_make_no_difference(make, monkeypatch):
    results = []
    for piece in (7, 10**9):
        monkeypatch.setattr("minigan.optim.PIECE", piece)
        G, *_ = game()
        G.grad[...] = np.random.default_rng(0).standard_normal(G.theta.size)
        optimizer = make(G)
        optimizer.step()
        optimizer.step()
        results.append(G.theta.copy())
    assert np.array_equal(*results)


def test_theta_is_updated_in_place():
    G, *_ = game()
    theta, W = G.theta, G.params["0.W"]
    G.grad += 1
    Adam(G).step()
    assert G.theta is theta and np.shares_memory(W, theta) and G.updates == 1


def test_clipping_scales_the_whole_gradient(backend):
    G, *_ = game()
    direction = np.random.default_rng(0).standard_normal(G.theta.size).astype("float32")
    for norm, expected in ((0.5, 0.5), (20.0, 2.0)):
        G.grad[...] = to_device(direction * (norm / np.linalg.norm(direction)))
        SGD(G, 1.0, clip=2.0).step()
        after = to_host(G.grad)
        assert abs(np.linalg.norm(after) - expected) < 1e-4
        assert np.allclose(after / np.linalg.norm(after), direction / np.linalg.norm(direction), atol=1e-6)


def test_states_that_do_not_belong_are_refused():
    G, D, *_ = game()
    with pytest.raises(ValueError, match=r"Adam keeps .* but this state has"):
        Adam(G).load(SGD(G, 0.1).state())
    with pytest.raises(ValueError, match="belongs to another network"):
        Adam(G).load(Adam(D).state())
    for bad in ({"lr": 0}, {"lr": -1.0}, {"lr": 0.1, "clip": 0.0}):
        with pytest.raises(ValueError, match="positive"):
            SGD(G, **bad)
    with pytest.raises(NotImplementedError):
        Optimizer(G, 0.1).update()
