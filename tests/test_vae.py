"""VAE and VAE-GAN: the formulas as they are written, the bound against an integral, which gradient goes where."""

import re

import numpy as np
import pytest

from minigan import losses
from minigan.backend import rng, to_device, to_host
from minigan.data import load_digits, scale
from minigan.gradcheck import check_loss, check_network
from minigan.layers import Dense, Reshape, ShapeError, Tanh
from minigan.models.dcgan import dcgan
from minigan.models.vae import (
    VAE,
    bernoulli,
    elbo,
    encode,
    feature_distance,
    features_and_logits,
    half_logits,
    halves,
    kl_divergence,
    reconstruct,
    reparameterise,
    reparameterise_backward,
    vae,
    vae_gan,
    vae_gan_step,
    vae_step,
)
from minigan.network import Sequential
from minigan.optim import SGD, Adam

Z = 3


def batch(k, n=4, dtype="float64"):
    """x (n, 28, 28, 1), eps and z_prior (n, 3). Host arrays."""
    r = np.random.default_rng(k)
    shapes = r.uniform(-1, 1, (n, 28, 28, 1)), r.standard_normal((n, Z)), r.standard_normal((n, Z))
    return [a.astype(dtype) for a in shapes]


def players(dtype="float64", make=vae_gan):
    """encoder, G and (of a VAE-GAN) D: the published shapes, two channels wide."""
    model = make(rng(0), noise=Z, width=2)
    return [net.astype(dtype) for net in (model.encoder, model.G, model.D) if net is not None]


def stirred(net):
    """Away from the first weights, which are so small that half of what is to be tested is near 0."""
    r = np.random.default_rng(5)
    net.theta = net.theta + to_device(0.2 * r.standard_normal(net.theta.shape))
    return net


# ---- the terms

N = 5
PLACES = {
    "mean": np.random.default_rng(0).standard_normal((N, Z)),
    "logvar": np.random.default_rng(1).standard_normal((N, Z)),
    "eps": np.random.default_rng(2).standard_normal((N, Z)),
    "dz": np.random.default_rng(3).standard_normal((N, Z)),
    "a": 3 * np.random.default_rng(4).standard_normal((N, 2, 4, 1)),
    "x": np.random.default_rng(5).uniform(-1, 1, (N, 2, 4, 1)),
    "f": np.random.default_rng(6).standard_normal((N, 7)),
    "f_tilde": np.random.default_rng(7).standard_normal((N, 7)),
}
WORDS = {"sum": np.sum, "exp": np.exp, "log": np.log, "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "N": N}
TERMS = {
    reparameterise: ("mean", "logvar", "eps"),
    reparameterise_backward: ("dz", "logvar", "eps"),
    kl_divergence: ("mean", "logvar"),
    bernoulli: ("a", "x"),
    feature_distance: ("f_tilde", "f"),
}


@pytest.mark.parametrize("term", TERMS, ids=lambda f: f.__name__)
def test_each_formula_of_a_docstring_is_what_comes_back(term, backend):
    """The lines "name = formula", one after another; those that define no name for a later line are the results."""
    known = {**WORDS, **PLACES}
    lines = re.findall(r"^ {8}(\w+) = (.+)$", term.__doc__, re.MULTILINE)
    for name, formula in lines:
        known[name] = eval(formula, {"__builtins__": {}}, known)
    expected = [known[name] for name, _ in lines if name != "t"]
    found = term(*(to_device(PLACES[name]) for name in TERMS[term]))
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(expected) > 0
    for ours, theirs in zip(found, expected):
        assert to_host(ours).shape == np.shape(theirs)
        np.testing.assert_allclose(to_host(ours), theirs, rtol=1e-12, atol=1e-14)


def test_the_terms_gradients_are_those_of_their_values(backend):
    x, f = to_device(PLACES["x"]), to_device(PLACES["f"])
    check_loss(lambda a: bernoulli(a, x.astype(a.dtype)), (N, 2, 4, 1)).raise_if_wrong()
    check_loss(lambda f_tilde: feature_distance(f_tilde, f.astype(f_tilde.dtype)), (N, 7)).raise_if_wrong()


def test_kls_gradients_are_those_of_its_value(backend):
    """check_loss would ask at a logvar of 1000, where the variance is no number any more."""
    at, h = [PLACES["mean"], PLACES["logvar"]], 1e-6
    for k, grad in enumerate(kl_divergence(*map(to_device, at))[1:]):
        for place in np.ndindex(N, Z):
            ends = []
            for sign in (1, -1):
                moved = [a.copy() for a in at]
                moved[k][place] += sign * h
                ends.append(to_host(kl_divergence(*map(to_device, moved))[0]))
            assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(to_host(grad)[place], abs=1e-8)


def test_kl_is_zero_at_the_prior_and_known_elsewhere():
    zero = np.zeros((2, Z))
    for part in kl_divergence(zero, zero):
        assert np.abs(part).max() == 0
    assert kl_divergence(zero + 2, zero)[0] == pytest.approx(Z * 2)  # mean^2 / 2 each
    assert kl_divergence(zero, zero + np.log(4))[0] == pytest.approx(Z * (1.5 - np.log(2)))  # (s^2 - 1) / 2 - log s


def test_kl_is_the_mean_of_log_q_over_p():
    """Monte Carlo: z from q by the reparameterisation, log q(z) - log p(z); within 4 standard errors."""
    r = np.random.default_rng(0)
    mean, logvar = np.array([[0.7, -1.2, 0.0]]), np.array([[-1.0, 0.5, -3.0]])
    many = [np.repeat(a, 40_000, axis=0) for a in (mean, logvar)]
    z = reparameterise(*many, r.standard_normal(many[0].shape))
    ratio = 0.5 * (z**2 - (z - mean) ** 2 / np.exp(logvar) - logvar).sum(axis=1)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.02 and abs(ratio.mean() - kl_divergence(mean, logvar)[0]) < 4 * error


def test_the_reparameterised_gradient_is_the_gradient_of_an_expectation():
    """E z^2 = mean^2 + var. From z's alone: dz = 2 z, and its mean on mean and logvar is 2 mean and var."""
    r = np.random.default_rng(0)
    mean, logvar = np.full((40_000, 1), 0.8), np.full((40_000, 1), -0.6)
    eps = r.standard_normal(mean.shape)
    grads = reparameterise_backward(2 * reparameterise(mean, logvar, eps), logvar, eps)
    for grad, expected in zip(grads, (1.6, np.exp(-0.6))):
        assert abs(grad.mean() - expected) < 4 * grad.std() / np.sqrt(len(grad)) < 0.1


def test_huge_logits_stay_finite():
    a = np.array([[-1000.0, 1000.0, 1000.0, 0.0]])
    value, da = bernoulli(a, np.array([[-1.0, 1.0, -1.0, 0.0]]))
    assert value == pytest.approx(1000 + np.log(2))
    np.testing.assert_allclose(da, [[0, 0, 1, 0]], atol=1e-12)


# ---- the decoder is a G, and the bound is a bound


def test_the_decoders_images_are_the_means_of_its_pixels(backend):
    """tanh(a/2) = 2 sigmoid(a) - 1, and the gradient on h = a / 2 is (x~ - x) / N."""
    _, G = map(stirred, players(make=vae))
    x, _, z = map(to_device, batch(0))
    h, _ = half_logits(G, z)
    x_tilde = to_host(G.forward(z)[0])
    assert np.abs(x_tilde).max() <= 1 and x_tilde.shape == (4, 28, 28, 1)
    np.testing.assert_allclose(2 / (1 + np.exp(-2 * to_host(h))) - 1, x_tilde, atol=1e-14)
    _, da = bernoulli(2 * h, x)
    np.testing.assert_allclose(2 * to_host(da), (x_tilde - to_host(x)) / 4, atol=1e-14)


def log_normal(z, mean=0.0, logvar=0.0):
    return -0.5 * (np.log(2 * np.pi) + logvar + (z - mean) ** 2 / np.exp(logvar))


def test_the_bound_and_what_it_lacks_make_the_likelihood():
    """log p(x) = ELBO + KL(q || p(z|x)), all three integrals taken on a grid, for one z and six binary pixels."""
    r = rng(0)
    encoder = stirred(Sequential(Reshape((6,)), Dense(6, 2, rng=r)).astype("float64"))
    decoder = stirred(Sequential(Dense(1, 6, rng=r), Reshape((2, 3, 1)), Tanh()).astype("float64"))
    x = np.array([1.0, -1, -1, 1, 1, -1]).reshape(1, 2, 3, 1)
    z = np.linspace(-12, 12, 4001)[:, None]
    p = (decoder(z) + 1) / 2  # of ink
    log_joint = np.log(np.where(x > 0, p, 1 - p)).sum(axis=(1, 2, 3)) + log_normal(z[:, 0])
    evidence = np.trapezoid(np.exp(log_joint), z[:, 0])
    mean, logvar = halves(encoder(x))
    q = np.exp(log_normal(z[:, 0], mean[0, 0], logvar[0, 0]))
    lacking = np.trapezoid(q * (np.log(q + 1e-300) - log_joint + np.log(evidence)), z[:, 0])

    eps = (z - mean) / np.exp(logvar / 2)
    bounds = np.array([elbo(encoder, decoder, x, e[None]) for e in eps[::10]])
    bound = np.trapezoid(q[::10] * bounds, z[::10, 0])
    assert lacking > 0.01 and bound == pytest.approx(np.log(evidence) - lacking, abs=1e-8)


def test_reconstructions_and_the_bound_take_the_inference_form():
    encoder, G = map(stirred, players(make=vae))
    x, eps, _ = batch(0)
    before = [a.copy() for net in (encoder, G) for a in net.statistics.values()]
    np.testing.assert_array_equal(reconstruct(encoder, G, x), G(encoder(x)[:, :Z]))
    assert elbo(encoder, G, x, eps).shape == ()
    alone = [elbo(encoder, G, x[n : n + 1], eps[n : n + 1]) for n in range(4)]
    assert elbo(encoder, G, x, eps) == pytest.approx(np.mean(alone), rel=1e-12)
    for kept, now in zip(before, [a for net in (encoder, G) for a in net.statistics.values()]):
        np.testing.assert_array_equal(kept, now)


# ---- networks


@pytest.mark.parametrize("which", [0, 1, 2])
def test_networks_whole(which, backend):
    net = players("float32")[which]
    report = check_network(net, (3, Z) if which == 1 else (3, 28, 28, 1), entries=2, train=True, smooth=False)
    assert report.ok, str(report)
    assert {row.name for row in report.rows} == {"x", *net.params}


@pytest.mark.parametrize("upto", [-1, 3, 0])
def test_features_and_logits_are_forwards_and_both_caches_serve(upto):
    D = stirred(players()[2])
    x, r = batch(0)[0], np.random.default_rng(1)
    f, logits, below, cache = features_and_logits(D, x, upto)
    for found, k in ((f, upto), (logits, None)):
        expected, its_cache = D.forward(x, upto=k)
        np.testing.assert_array_equal(found, expected)
        dy = r.standard_normal(found.shape)
        ours = D.backward(dy, cache if k is None else below, param_grads=False)
        np.testing.assert_array_equal(ours, D.backward(dy, its_cache, param_grads=False))


# ---- the steps against their objectives


def softplus(a):
    return np.logaddexp(0, a)


def drawn(encoder, G, x, eps):
    y = encoder.forward(x)[0]
    mean, s = y[:, :Z], np.exp(y[:, Z:] / 2)
    kl = (0.5 * (mean**2 + s**2 - 1) - np.log(s)).sum(axis=1).mean()
    return G.forward(mean + s * eps)[0], kl


def vae_objective(encoder, G, x, eps, beta=1.0):
    x_tilde, kl = drawn(encoder, G, x, eps)
    p, t = (x_tilde + 1) / 2, (x + 1) / 2
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean() + beta * kl


def distance_of(D, x, x_tilde, upto):
    f, f_tilde = (D.forward(a, upto=upto)[0].reshape(len(a), -1) for a in (x, x_tilde))
    return 0.5 * ((f - f_tilde) ** 2).sum(axis=1).mean()


def encoder_objective(encoder, G, D, x, eps, z_prior, gamma, upto, game):
    x_tilde, kl = drawn(encoder, G, x, eps)
    return kl + distance_of(D, x, x_tilde, upto)


def g_objective(encoder, G, D, x, eps, z_prior, gamma, upto, game):
    x_tilde, _ = drawn(encoder, G, x, eps)
    b_tilde, b_prior = (D.forward(a)[0] for a in (x_tilde, G.forward(z_prior)[0]))
    s = 1 if game is losses.minimax else -1  # log(1 - D) of a fake is -softplus(b), -log D is softplus(-b)
    return gamma * distance_of(D, x, x_tilde, upto) - s / 2 * (softplus(s * b_tilde) + softplus(s * b_prior)).mean()


def d_objective(encoder, G, D, x, eps, z_prior, gamma, upto, game):
    a, b_tilde, b_prior = (D.forward(s)[0] for s in (x, drawn(encoder, G, x, eps)[0], G.forward(z_prior)[0]))
    return softplus(-a).mean() + 0.5 * softplus(b_tilde).mean() + 0.5 * softplus(b_prior).mean()


def slopes_agree(net, gradient, objective, h=1e-6):
    theta, r = net.theta.copy(), np.random.default_rng(2)
    for _ in range(3):
        way, ends = r.standard_normal(theta.shape), []
        for sign in (1, -1):
            net.theta = theta + sign * h * way
            ends.append(objective())
        net.theta = theta
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(gradient @ way, rel=1e-5)


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_a_vae_step_descends_its_objective(beta):
    encoder, G = map(stirred, players(make=vae))
    x, eps, _ = batch(0)
    thetas, expected = [net.theta.copy() for net in (encoder, G)], vae_objective(encoder, G, x, eps, beta)
    for net in (encoder, G):
        net.grad[...] = 7  # of a step before
    value = vae_step(encoder, G, SGD(encoder, 0.1), SGD(G, 0.1), x, eps, beta)
    assert value.shape == () and value == pytest.approx(expected, rel=1e-12)
    for net, theta in zip((encoder, G), thetas):
        np.testing.assert_allclose(theta - net.theta, 0.1 * net.grad, rtol=1e-7, atol=1e-9)
        assert all(np.abs(g).max() > 0 for g in net.grads.values())
        net.theta = theta
    for net in (encoder, G):
        slopes_agree(net, net.grad.copy(), lambda: vae_objective(encoder, G, x, eps, beta))


@pytest.mark.parametrize(
    "gamma, upto, game",
    [(0.01, -1, losses.non_saturating), (3.0, 3, losses.non_saturating), (0.5, 0, losses.minimax)],
)
def test_each_player_of_a_vae_gan_descends_its_own_objective_and_no_other(gamma, upto, game):
    """Values and whole gradients of all three; the encoder's knows no game, D's knows no distance."""
    nets, data = [*map(stirred, players())], batch(0)
    thetas = [net.theta.copy() for net in nets]
    objectives = [
        lambda f=f: f(*nets, *data, gamma, upto, game) for f in (encoder_objective, g_objective, d_objective)
    ]
    expected = [objective() for objective in objectives]
    for net in nets:
        net.grad[...] = 7  # of a step before
    values = vae_gan_step(*nets, *(SGD(net, 0.1) for net in nets), *data, gamma, game, upto)
    assert all(value.shape == () for value in values)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    for net, theta in zip(nets, thetas):
        np.testing.assert_allclose(theta - net.theta, 0.1 * net.grad, rtol=1e-7, atol=1e-9)
        assert all(np.abs(g).max() > 0 for g in net.grads.values())
        net.theta = theta
    for net, objective in zip(nets, objectives):
        slopes_agree(net, net.grad.copy(), objective)


@pytest.mark.parametrize("moving", [0, 1, 2])
def test_a_player_without_an_optimizer_stays_bit_for_bit(moving):
    nets = players("float32")
    before = [net.theta.copy() for net in nets]
    params = {name: p.copy() for name, p in nets[moving].params.items()}
    optimizers = [Adam(net) if k == moving else None for k, net in enumerate(nets)]
    vae_gan_step(*nets, *optimizers, *batch(0, dtype="float32"))
    for k, (net, theta) in enumerate(zip(nets, before)):
        assert np.array_equal(net.theta, theta) == (k != moving)
    assert all((nets[moving].params[name] != p).any() for name, p in params.items())


def test_what_the_traces_hold():
    encoder, G = players(make=vae)
    (x, eps, z_prior), trace = batch(0), {}
    z, q = encode(encoder, x, eps)
    x_tilde = G.forward(z)[0]
    value = vae_step(encoder, G, SGD(encoder, 1e-3), SGD(G, 1e-3), x, eps, 2.0, trace)
    assert value == trace["reconstruction"] + 2 * trace["kl"]
    for name, array in (("z", z), ("x_tilde", x_tilde), ("mean", q.mean), ("logvar", q.logvar)):
        np.testing.assert_array_equal(trace[name], array)
    nets, trace = players(), {}
    values = vae_gan_step(*nets, None, None, None, x, eps, z_prior, 0.5, trace=trace)
    terms = trace["kl"] + trace["distance"], 0.5 * trace["distance"] + trace["g_game"]
    assert values[:2] == pytest.approx(terms, rel=1e-14)
    np.testing.assert_array_equal(trace["x_prior"], nets[1].forward(z_prior)[0])
    assert trace["real_logits"].shape == (4, 1) and trace["fake_logits"].shape == (8, 1)


# Ten steps with Adam (1e-3, 0.5), N = 4, float64, from PyTorch 2's autograd on the same numbers, its networks written
# for images (N, C, H, W) and its objectives from the papers: beta = 2; gamma = 0.03, encoder, G and D.
GOLDEN_VAE = [551.723174472, 549.178437505, 546.515863968, 547.372233539, 546.419916582,
              545.373426268, 544.596877504, 545.556807869, 545.620716628, 544.808128704]  # fmt: skip
GOLDEN_VAE_GAN = [
    [35.090948425, 35.9741265538, 33.5619927631, 34.0592347902, 35.5828832669,
     34.8962188237, 33.7995917014, 31.4260359377, 32.2702579788, 32.9303398558],
    [1.74032627429, 1.74229070409, 1.65751923459, 1.67953362632, 1.70765602654,
     1.68247888992, 1.66208641493, 1.59225794753, 1.61983233038, 1.63218401342],
    [1.35534222774, 1.48346614914, 1.40315690273, 1.3755126882, 1.41567083765,
     1.43081538575, 1.43573458525, 1.35014206743, 1.3525372925, 1.26243272906],
]  # fmt: skip


def test_ten_golden_losses():
    nets = players(make=vae)
    optimizers = [Adam(net, 1e-3) for net in nets]
    values = [vae_step(*nets, *optimizers, *batch(k)[:2], beta=2.0) for k in range(10)]
    np.testing.assert_allclose(values, GOLDEN_VAE, rtol=1e-10)
    nets = players()
    optimizers = [Adam(net, 1e-3) for net in nets]
    values = [vae_gan_step(*nets, *optimizers, *batch(k), gamma=0.03) for k in range(10)]
    np.testing.assert_allclose(np.transpose(values), GOLDEN_VAE_GAN, rtol=1e-10)


def test_the_steps_cross_to_the_host_nowhere(backend):
    nets, data = players("float32"), [to_device(a) for a in batch(0, dtype="float32")]
    values = vae_gan_step(*nets, *(Adam(net) for net in nets), *data, trace={})
    nets = players("float32", vae)
    values += (vae_step(*nets, *(Adam(net) for net in nets), *data[:2], trace={}), elbo(*nets, *data[:2]))
    for value in values:
        assert value.ndim == 0 and value.dtype == "float32" and np.isfinite(to_host(value))
    assert to_host(reconstruct(*nets, data[0])).dtype == "float32"


def test_thirty_steps_on_digits_raise_the_bound():
    """On test digits, in inference form: from 784 log 2, a guess for each pixel, to well below."""
    train, test = (scale(load_digits(split)[0][:600]) for split in ("train", "test"))
    model, r = vae(rng(0), noise=8, width=4), np.random.default_rng(1)
    encoder, G = model.encoder, model.G
    optimizers = Adam(encoder, 2e-3), Adam(G, 2e-3)
    held_out = test[:64], model.draw_noise(r, 64)
    before, trace = float(elbo(encoder, G, *held_out)), {}
    assert before == pytest.approx(-784 * np.log(2), rel=0.05)
    for k in range(30):
        vae_step(encoder, G, *optimizers, train[20 * k : 20 * k + 20], model.draw_noise(r, 20), trace=trace)
    assert elbo(encoder, G, *held_out) > before + 250
    assert trace["kl"] > 0.5  # the code says something of x


# ---- the systems


def test_vae_and_vae_gan_have_the_g_of_dcgan():
    gan = dcgan(rng(0), noise=Z, width=2)
    for make in (vae, vae_gan):
        model = make(rng(0), noise=Z, width=2)
        assert repr(model.G) == repr(gan.G) and np.array_equal(model.G.theta, gan.G.theta)
        assert model.name == make.__name__.replace("_", "-") and model.pixels == (-1, 1)
        assert model.image_shape == (28, 28, 1) and model.draw_noise(rng(1), 5).shape == (5, Z)
    assert repr(model.D) == repr(gan.D) and vae(rng(0), noise=Z, width=2).D is None
    assert vae(rng(0)).noise == 32 and vae(rng(0)).encoder.theta.dtype == "float32"


@pytest.mark.parametrize("size, channels", [(28, 1), (28, 3), (32, 3), (64, 1), (128, 3)])
def test_every_size_of_dcgan(size, channels):
    model = vae_gan(rng(0), (size, size, channels), noise=5, width=1)
    x = np.random.default_rng(0).uniform(-1, 1, (2, size, size, channels)).astype("float32")
    assert model.encoder(x).shape == (2, 10) and reconstruct(model.encoder, model.G, x).shape == x.shape
    assert features_and_logits(model.D, x, -1)[0].shape == model.encoder.forward(x, upto=-1)[0].shape


def test_what_does_not_fit_is_said_in_one_sentence():
    encoder, G, D = players()
    x, eps, z_prior = batch(0)
    pair = SGD(encoder, 0.1), SGD(G, 0.1)
    for wrong, message in (
        ((x, eps[:1]), r"eps must have the shape of the mean, \(4, 3\), but has \(1, 3\)"),
        ((x, eps[:, :2]), r"eps must have the shape of the mean, \(4, 3\), but has \(4, 2\)"),
        ((np.repeat(x, 3, axis=-1), eps), r"layer 0: .* \(N, 28, 28, 3\)"),
        ((x[:, :24, :24], eps), r"layer 6: Dense\(196, 6\) takes \(N, 196\), not \(N, 144\)"),
    ):
        before = G.theta.copy()
        with pytest.raises(ShapeError, match=message):
            vae_step(encoder, G, *pair, *wrong)
        assert np.array_equal(G.theta, before)
    with pytest.raises(ShapeError, match=r"layer 0: Dense\(3, 392, bias=False\) takes \(N, 3\)"):
        vae_gan_step(encoder, G, D, None, None, None, x, eps, z_prior[:, :2])
    with pytest.raises(ShapeError, match=r"logvar must have the shape of the mean, \(4, 3\), but has \(4, 1\)"):
        kl_divergence(eps, eps[:, :1])
    with pytest.raises(ShapeError, match=r"x must have the shape of what the decoder draws, \(4, 28, 28, 1\)"):
        bernoulli(x, x[..., 0])
    with pytest.raises(ShapeError, match=r"gives \(N, 2Z\), mean and log variance side by side, but got \(4, 5\)"):
        halves(np.ones((4, 5)))
    linear = Sequential(Dense(Z, 784, rng=rng(0)), Reshape((28, 28, 1)))
    with pytest.raises(ValueError, match="last layer must be Tanh.*it is Reshape"):
        half_logits(linear, eps)
    with pytest.raises(ShapeError, match="vae-gan has the G of dcgan, and dcgan draws 28x28, .* not 30x30"):
        vae_gan(rng(0), (30, 30, 1))
    model = vae_gan(rng(0), noise=Z, width=2)
    with pytest.raises(ShapeError, match=r"z \(N, 3\), so the encoder must give \(N, 6\).* but it gives \(N, 1\)"):
        VAE("odd", model.G, None, Z, None, model.D)
    with pytest.raises(ShapeError, match="G and D do not meet"):
        VAE("odd", model.G, model.G, Z, None, model.encoder)
