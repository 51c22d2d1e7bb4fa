"""minigan against PyTorch: tests/fixtures/torch_mlp.npz holds what torch computed (see make_torch.py beside it).

torch is not needed here. Differences are relative to the largest number of the array that torch gave.
"""

from pathlib import Path

import numpy as np
import pytest

from minigan import losses, optim, steps
from minigan.backend import rng, to_device, to_host
from minigan.layers import Dense, LeakyReLU, ReLU, Tanh
from minigan.network import Sequential

with np.load(Path(__file__).parent / "fixtures" / "torch_mlp.npz") as file:
    TORCH = dict(file)

GAMES = {loss.name: loss for loss in losses.GAMES}
D_STEPS = {"d_step": steps.d_step, "stacked_d_step": steps.stacked_d_step}


def difference(ours, torchs) -> float:
    """The largest difference, relative to the largest number."""
    ours, torchs = to_host(ours), np.asarray(torchs)
    assert ours.shape == torchs.shape
    assert np.isfinite(ours).all()
    return np.abs(ours - torchs).max() / (np.abs(torchs).max() or 1)


# ---- the games --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", ["random", "extreme"])  # extreme: logits of +-1000, +-30 and 0
@pytest.mark.parametrize("game", [*GAMES, "non_saturating smoothed", "minimax smoothed", "least_squares smoothed"])
def test_discriminator_losses(game, batch):
    name = game.removesuffix(" smoothed")
    loss = GAMES[name] if name == game else losses.smooth(GAMES[name], 0.9)
    real, fake = (to_device(TORCH[f"loss/{batch}/{key}"]) for key in ("real", "fake"))
    value, d_real, d_fake = loss.discriminator(real, fake)
    torchs = f"loss/{game}/{batch}/D"
    assert difference(value, TORCH[f"{torchs}/value"]) < 1e-10
    assert difference(d_real, TORCH[f"{torchs}/d_real"]) < 1e-10
    assert difference(d_fake, TORCH[f"{torchs}/d_fake"]) < 1e-10


@pytest.mark.parametrize("batch", ["random", "extreme"])
@pytest.mark.parametrize("game", GAMES)
def test_generator_losses(game, batch):
    value, d_fake = GAMES[game].generator(to_device(TORCH[f"loss/{batch}/fake"]))
    assert difference(value, TORCH[f"loss/{game}/{batch}/G/value"]) < 1e-10
    assert difference(d_fake, TORCH[f"loss/{game}/{batch}/G/d_fake"]) < 1e-10


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch", ["random", "extreme"])
def test_cross_entropy_over_classes(batch, weighted):
    logits, labels = to_device(TORCH[f"classes/{batch}/logits"]), to_device(TORCH["classes/labels"])
    weights = to_device(TORCH["classes/weights"]) if weighted else None
    value, dlogits = losses.softmax_cross_entropy(logits, labels, weights)
    torchs = f"classes/{batch}/{'weighted' if weighted else 'plain'}"
    assert difference(value, TORCH[f"{torchs}/value"]) < 1e-10
    assert difference(dlogits, TORCH[f"{torchs}/d_logits"]) < 1e-10


# ---- the optimizers ---------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "SGD": lambda net: optim.SGD(net, lr=0.1),
    "Momentum": lambda net: optim.Momentum(net, lr=0.1, momentum=0.9),
    "RMSProp": lambda net: optim.RMSProp(net, lr=1e-2, decay=0.99),
    "Adam": lambda net: optim.Adam(net, lr=2e-4, beta1=0.5, beta2=0.999),
    "Adam, large eps": lambda net: optim.Adam(net, lr=1e-2, beta1=0.9, beta2=0.999, eps=1e-3),
}


def forty_numbers() -> Sequential:
    """A network whose theta is a vector of forty numbers; nothing else of it matters."""
    return Sequential(Dense(8, 5, rng=rng(0), bias=False)).astype("float64")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    net, start = forty_numbers(), TORCH["optimizer/start"]
    net.theta = to_device(start)
    optimizer = OPTIMIZERS[name](net)
    for g, theta in zip(TORCH["optimizer/gradients"], TORCH[f"optimizer/{name}/theta"]):
        net.grad[...] = to_device(g)
        optimizer.step()
        assert difference(to_host(net.theta) - start, theta - start) < 1e-10  # the way gone so far


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_number_without_gradient_stays(name):
    moved = TORCH[f"optimizer/{name}/theta"] != TORCH["optimizer/start"]
    assert not moved[:, :3].any(), "torch moved a number that has no gradient"
    assert moved[-1, 3:].all(), "torch left a number where it was: this case tests nothing"


@pytest.mark.parametrize("case", ["above", "just above", "below"])
def test_clipping(case):
    net, g, limit = forty_numbers(), TORCH["clip/gradient"], float(TORCH[f"clip/{case}/limit"])
    net.grad[...] = to_device(g)
    norm = optim.clip_gradient(net, limit)
    assert difference(norm, TORCH[f"clip/{case}/norm"]) < 1e-10
    assert difference(net.grad, TORCH[f"clip/{case}/clipped"]) < 1e-10
    assert np.array_equal(to_host(net.grad), g) == (case == "below")

    net.theta, net.grad[...] = 0, to_device(g)
    optim.SGD(net, lr=0.5, clip=limit).step()
    assert difference(net.theta, -0.5 * TORCH[f"clip/{case}/clipped"]) < 1e-10


# ---- ten golden losses --------------------------------------------------------------------------------------------

GOLDEN = {  # game: the optimizer of both players
    "non_saturating": lambda net: optim.Adam(net, lr=2e-3, beta1=0.5, beta2=0.999),
    "hinge": lambda net: optim.RMSProp(net, lr=1e-3, decay=0.99, eps=1e-4),
}


def torchs_name(name: str) -> str:
    """ "2.W" -> "2.weight": the layers are counted alike."""
    return name.replace("W", "weight").replace("b", "bias")


def torchs(net: Sequential, path: str, what: str = "") -> np.ndarray:
    """What torch has for every parameter of the network, as one vector in theta's order; its W are (out, in)."""
    return np.concatenate([TORCH[f"{path}/{torchs_name(name)}{what}"].T.ravel() for name in net.params])


def players(dtype="float64", slope=0.2) -> tuple[Sequential, Sequential]:
    """G and D as torch began with them."""
    r = rng(0)
    G = Sequential(Dense(8, 16, rng=r), ReLU(), Dense(16, 32, rng=r), ReLU(), Dense(32, 20, rng=r), Tanh())
    D = Sequential(
        *(Dense(20, 32, rng=r), LeakyReLU(slope)), *(Dense(32, 16, rng=r), LeakyReLU(slope)), Dense(16, 1, rng=r)
    )
    G, D = G.astype(dtype), D.astype(dtype)
    for name, net in (("G", G), ("D", D)):
        net.theta = to_device(torchs(net, f"golden/{name}").astype(dtype))
    return G, D


def play(G, D, loss, make_optimizer, d_step=steps.d_step, z_g="z_g"):
    """Ten steps of both; the losses of D and of G, (10,) each, and the gradients of the first step."""
    optimizer_G, optimizer_D = make_optimizer(G), make_optimizer(D)
    d_values, g_values, first = [], [], {}
    for x_real, z_d, z in zip(TORCH["golden/x_real"], TORCH["golden/z_d"], TORCH[f"golden/{z_g}"]):
        x_real, z_d, z = (to_device(a.astype(G.theta.dtype)) for a in (x_real, z_d, z))
        d_values.append(to_host(d_step(G, D, optimizer_D, loss, x_real, z_d)))
        g_values.append(to_host(steps.g_step(G, D, optimizer_G, loss, z)))
        first = first or {"G": to_host(G.grad).copy(), "D": to_host(D.grad).copy()}
    return np.array(d_values), np.array(g_values), first


@pytest.mark.parametrize("d_step", D_STEPS)
@pytest.mark.parametrize("game", GOLDEN)
def test_ten_golden_losses(game, d_step):
    G, D = players()
    d_values, g_values, first = play(G, D, GAMES[game], GOLDEN[game], D_STEPS[d_step])
    assert difference(d_values, TORCH[f"golden/{game}/d_values"]) < 1e-10
    assert difference(g_values, TORCH[f"golden/{game}/g_values"]) < 1e-10
    for name, net in (("G", G), ("D", D)):
        net.grad[...] = to_device(first[name])
        for parameter, gradient in net.grads.items():
            expected = TORCH[f"golden/{game}/{name}/{torchs_name(parameter)}/first gradient"].T
            assert difference(gradient, expected) < 1e-10, f"first gradient of {name}'s {parameter}"
        for parameter, value in net.params.items():
            expected = TORCH[f"golden/{game}/{name}/{torchs_name(parameter)}/final"].T
            assert difference(value, expected) < 1e-9, f"final {parameter} of {name}"


@pytest.mark.parametrize("d_step", D_STEPS)
@pytest.mark.parametrize("game", GOLDEN)
def test_ten_golden_losses_in_float32(game, d_step):
    G, D = players("float32")
    d_values, g_values, _ = play(G, D, GAMES[game], GOLDEN[game], D_STEPS[d_step])
    assert d_values.dtype == g_values.dtype == np.float32
    assert difference(d_values, TORCH[f"golden/{game}/d_values"]) < 1e-4
    assert difference(g_values, TORCH[f"golden/{game}/g_values"]) < 1e-4


FAULTS = {
    "another slope": dict(slope=0.1),
    "G meets D's noise again": dict(z_g="z_d"),
    "the saturating generator": dict(loss=losses.minimax),
    "beta1 of another paper": dict(make_optimizer=lambda net: optim.Adam(net, lr=2e-3, beta1=0.9)),
    "eps ten times too large": dict(make_optimizer=lambda net: optim.Adam(net, lr=2e-3, eps=1e-7)),
    "smoothed labels": dict(loss=losses.smooth(losses.non_saturating, 0.999)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_golden_losses_notice(fault):
    game = dict(loss=losses.non_saturating, make_optimizer=GOLDEN["non_saturating"]) | FAULTS[fault]
    G, D = players(slope=game.pop("slope", 0.2))
    d_values, g_values, _ = play(G, D, **game)
    assert (
        difference(d_values, TORCH["golden/non_saturating/d_values"]) > 1e-9
        or difference(g_values, TORCH["golden/non_saturating/g_values"]) > 1e-9
    )
