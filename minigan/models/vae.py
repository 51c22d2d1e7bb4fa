"""A VAE beside the GANs, and the VAE-GAN, which is both: one generator, trained in three ways.

A VAE's decoder is a GAN's G: it draws an image from z ~ N(0, I). It learns with no opponent: an encoder guesses
which z an image may have come from, and G shall draw the image again from there (Kingma and Welling 2014). A VAE-GAN
does the same, but a discriminator's features judge the likeness, and G shall also deceive it (Larsen et al. 2016).
`dcgan`, `vae` and `vae_gan` of equal `width` and `noise` have the same G: what differs is how it was trained.

N samples, Z numbers in z, images x (N, H, W, C) with pixels in [-1, 1], x~ (x_tilde) what G draws from x's z.
mean, logvar, eps, z: (N, Z). Losses are in nats: sums over pixels, features or Z, and means over N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from minigan.backend import Array, xp
from minigan.layers import BatchNorm, Conv, Dense, Flatten, Layer, LeakyReLU, ShapeError, Tanh
from minigan.layers import dcgan as normal
from minigan.layers.activations import sigmoid, softplus
from minigan.layers.base import batch_of
from minigan.losses import Loss, non_saturating
from minigan.models.dcgan import dcgan
from minigan.models.gan import GAN
from minigan.network import Cache, Network, Sequential
from minigan.optim import Optimizer

# ---- the terms of the losses: each a value and its gradients -----------------------------------------------------


def halves(y: Array) -> tuple[Array, Array]:
    """The encoder's output y (N, 2Z) as q(z|x) = N(mean, exp(logvar)): mean (N, Z) and logvar (N, Z).

    The logarithm of the variance may be any number, so no layer has to keep it positive.
    """
    if y.ndim != 2 or y.shape[1] % 2:
        raise ShapeError(f"An encoder gives (N, 2Z), mean and log variance side by side, but got {tuple(y.shape)}.")
    return y[:, : y.shape[1] // 2], y[:, y.shape[1] // 2 :]


def reparameterise(mean: Array, logvar: Array, eps: Array) -> Array:
    """z from q(z|x), as a function of mean and logvar: the chance is in eps ~ N(0, I), which comes from outside.

        z = mean + exp(logvar/2)*eps

    Drawing z from N(mean, exp(logvar)) has no derivative; this has. Raises ShapeError unless all three have one
    shape. (Kingma and Welling 2014, section 2.4.)
    """
    same_shape("eps", eps, "the mean", mean)
    same_shape("logvar", logvar, "the mean", mean)
    return mean + xp.exp(logvar / 2) * eps


def reparameterise_backward(dz: Array, logvar: Array, eps: Array) -> tuple[Array, Array]:
    """dmean and dlogvar, both (N, Z), from dz (N, Z).

        dmean = dz
        dlogvar = dz*eps*exp(logvar/2)/2

    eps says how far a change of the spread moves z.
    """
    return dz, dz * eps * xp.exp(logvar / 2) / 2


def kl_divergence(mean: Array, logvar: Array) -> tuple[Array, Array, Array]:
    """How far q(z|x) is from the prior N(0, I): KL(q || prior), 0-d; dmean and dlogvar, (N, Z).

        L = -0.5*sum(1 + logvar - mean**2 - exp(logvar))/N
        dmean = mean/N
        dlogvar = 0.5*(exp(logvar) - 1)/N

    Raises ShapeError unless both have one shape. (Kingma and Welling 2014, appendix B.)
    """
    same_shape("logvar", logvar, "the mean", mean)
    n, var = len(mean), xp.exp(logvar)
    value = -0.5 * (1 + logvar - mean * mean - var).sum() / n
    return value, mean / n, 0.5 * (var - 1) / n


def bernoulli(logits: Array, x: Array) -> tuple[Array, Array]:
    """-log p(x|z) when each pixel is ink with probability p = sigmoid(a): its value, 0-d, and da, as logits a.

        t = (x + 1)/2
        L = -sum(t*log(sigmoid(a)) + (1 - t)*log(1 - sigmoid(a)))/N
        da = (sigmoid(a) - t)/N

    For pixels that are -1 or 1, t is 0 or 1 and this is a likelihood. For grey ones it is the cross-entropy that is
    used in its place everywhere: no density, as it lacks the factor that would make its integral over x 1, and its
    least value is not 0 (Loaiza-Ganem and Cunningham 2019). Raises ShapeError unless both have one shape. (Kingma
    and Welling 2014, appendix C.1.)
    """
    same_shape("x", x, "what the decoder draws", logits)
    t = (x + 1) / 2
    return (softplus(logits) - t * logits).sum() / len(x), (sigmoid(logits) - t) / len(x)


def feature_distance(f_tilde: Array, f: Array) -> tuple[Array, Array]:
    """-log N(f | f_tilde, I) without its constant, of D's features of x~ and of x: value, 0-d, and df_tilde.

        L = 0.5*sum((f_tilde - f)**2)/N
        df_tilde = (f_tilde - f)/N

    f is not differentiated: x is data, and D does not learn from it. (Larsen et al. 2016, section 2.3.)
    """
    gap = f_tilde - f
    return 0.5 * (gap * gap).sum() / len(f), gap / len(f)


def same_shape(name: str, a: Array, other: str, b: Array) -> None:
    """Raises ShapeError unless a and b have one shape: NumPy would stretch the smaller one, and say nothing."""
    if a.shape != b.shape:
        raise ShapeError(f"{name} must have the shape of {other}, {tuple(b.shape)}, but has {tuple(a.shape)}.")


# ---- encoder and decoder, each with its way back -----------------------------------------------------------------


class Posterior(NamedTuple):
    """q(z|x) of a batch, and what its backward needs."""

    mean: Array
    logvar: Array
    eps: Array
    cache: Cache


def encode(encoder: Network, x: Array, eps: Array) -> tuple[Array, Posterior]:
    """z (N, Z), drawn from q(z|x) by eps (N, Z), and q itself."""
    y, cache = encoder.forward(x)
    mean, logvar = halves(y)
    return reparameterise(mean, logvar, eps), Posterior(mean, logvar, eps, cache)


def encode_backward(encoder: Network, dz: Array, q: Posterior, beta: float = 1.0) -> Array:
    """Sets the encoder's gradient to that of what lies behind z, and of beta KL. Returns the KL, 0-d."""
    dmean, dlogvar = reparameterise_backward(dz, q.logvar, q.eps)
    value, dmean_kl, dlogvar_kl = kl_divergence(q.mean, q.logvar)
    encoder.zero_grad()
    dy = xp.concatenate([dmean + beta * dmean_kl, dlogvar + beta * dlogvar_kl], axis=1)  # (N, 2Z)
    encoder.backward(dy, q.cache, input_grad=False)
    return value


def half_logits(G: Sequential, z: Array, train: bool = True) -> tuple[Array, Cache]:
    """h = a / 2, half the logits of the pixels (N, H, W, C): what G's last layer is given, which is Tanh.

    G's image tanh(a/2) = 2 sigmoid(a) - 1 is the mean of pixels that are 1 with probability sigmoid(a), and else -1.
    So a GAN's G is a Bernoulli decoder as it stands; and -log p(x|z) has the gradient dh = 2 da = (x~ - x) / N on h.
    Raises ValueError when the last layer is another.
    """
    if not isinstance(G.layers[-1], Tanh):
        raise ValueError(
            f"The decoder's last layer must be Tanh, as its logits are read there; it is {G.layers[-1]}."
        )
    return G.forward(z, train, upto=-1)


def features_and_logits(D: Sequential, x: Array, upto: int) -> tuple[Array, Array, Cache, Cache]:
    """D's values after its first `upto` layers, its logits, and a cache for what comes to each of the two."""
    f, below = D.forward(x, upto=upto)
    y, caches = f, list(below.layers)
    for layer in D.layers[upto:]:
        y, cache = layer.forward(y)
        caches.append(cache)
    return f, y, below, Cache(D, caches)


# ---- VAE ---------------------------------------------------------------------------------------------------------


def vae_step(
    encoder: Network,
    decoder: Sequential,
    encoder_optimizer: Optimizer,
    decoder_optimizer: Optimizer,
    x: Array,
    eps: Array,
    beta: float = 1.0,
    trace: dict[str, Any] | None = None,
) -> Array:
    """Both networks go down one loss, on x (N, H, W, C) with eps (N, Z) from N(0, I). Returns L, 0-d.

    L = -log p(x|z) + beta KL(q(z|x) || N(0, I)),  z = mean + exp(logvar/2) eps

    With beta = 1 it is -ELBO, in nats an image (Kingma and Welling 2014, equation 10); a larger beta wants simpler
    codes (Higgins et al. 2017). The KL does not reach the decoder. A dict given as `trace` receives the terms.
    """
    z, q = encode(encoder, x, eps)
    h, cache = half_logits(decoder, z)
    reconstruction, da = bernoulli(2 * h, x)
    decoder.zero_grad()
    dz = decoder.backward(2 * da, cache)  # dh, as a = 2 h
    kl = encode_backward(encoder, dz, q, beta)
    encoder_optimizer.step()
    decoder_optimizer.step()
    if trace is not None:
        trace.update(reconstruction=reconstruction, kl=kl, mean=q.mean, logvar=q.logvar, z=z, x_tilde=xp.tanh(h))
    return reconstruction + beta * kl


def elbo(encoder: Network, decoder: Sequential, x: Array, eps: Array) -> Array:
    """log p(x) is at least E_q[log p(x|z)] - KL(q || prior): this, from one eps for each x; the mean, 0-d, in nats.

    In inference form, for a measure on images that were not trained on. (Kingma and Welling 2014, equation 3.)
    """
    mean, logvar = halves(encoder(x))
    h, _ = half_logits(decoder, reparameterise(mean, logvar, eps), train=False)
    return -bernoulli(2 * h, x)[0] - kl_divergence(mean, logvar)[0]


def reconstruct(encoder: Network, G: Network, x: Array) -> Array:
    """x~ (N, H, W, C): what G draws from the mean of each x's q(z|x), in inference form."""
    mean, _ = halves(encoder(x))
    return G(mean)


# ---- VAE-GAN -----------------------------------------------------------------------------------------------------


def vae_gan_step(
    encoder: Network,
    G: Sequential,
    D: Sequential,
    encoder_optimizer: Optimizer | None,
    G_optimizer: Optimizer | None,
    D_optimizer: Optimizer | None,
    x: Array,
    eps: Array,
    z_prior: Array,
    gamma: float = 0.01,
    loss: Loss = non_saturating,
    upto: int = -1,
    trace: dict[str, Any] | None = None,
) -> tuple[Array, Array, Array]:
    """Three players, three losses, one forward pass; each moves from where the others stood. Returns the losses, 0-d.

        encoder     KL + distance                          distance = 1/2 |f(x~) - f(x)|^2, f: D's features
        G           gamma distance + loss.generator        of both kinds of fakes, x~ and G(z_prior)
        D           loss.discriminator                     of x and both kinds of fakes

    Which gradient goes where: the distance passes through D and does not teach it, as D could make it 0 with features
    that are all alike. The game stops at z: an encoder that played along would look for a z that pleases D, and
    forget x. So the two come to x~ apart, and go back through G apart.

    eps, z_prior (N, Z) are drawn from N(0, I). f is D's values after its first `upto` layers. x~ and G(z_prior) are
    one batch of fakes to the loss: together they weigh as much as x, as in the authors' code. With losses.minimax,
    G's loss is the paper's gamma L_like - L_GAN, where L_GAN is D's loss, up to what x alone adds to it. A player
    whose optimizer is None stays. A dict given as `trace` receives the terms. (Larsen et al. 2016, algorithm 1.)
    """
    z, q = encode(encoder, x, eps)
    x_tilde, tilde_cache = G.forward(z)
    x_prior, prior_cache = G.forward(z_prior)
    f, a, _, real_cache = features_and_logits(D, x, upto)
    f_tilde, b_tilde, f_cache, d_tilde_cache = features_and_logits(D, x_tilde, upto)
    b_prior, d_prior_cache = D.forward(x_prior)

    n, b = len(b_tilde), xp.concatenate([b_tilde, b_prior])
    distance, df_tilde = feature_distance(f_tilde, f)
    d_value, da, db = loss.discriminator(a, b)
    g_value, db_g = loss.generator(b)

    dx_like = D.backward(df_tilde, f_cache, param_grads=False)  # through D, and not into it
    dx_game = D.backward(db_g[:n], d_tilde_cache, param_grads=False)
    dx_prior = D.backward(db_g[n:], d_prior_cache, param_grads=False)

    D.zero_grad()  # D: the game
    D.backward(da, real_cache, input_grad=False)
    D.backward(db[:n], d_tilde_cache, input_grad=False)
    D.backward(db[n:], d_prior_cache, input_grad=False)

    G.zero_grad()  # G: gamma times the distance, and the game
    G.backward(gamma * dx_like + dx_game, tilde_cache, input_grad=False)
    G.backward(dx_prior, prior_cache, input_grad=False)

    dz = G.backward(dx_like, tilde_cache, param_grads=False)  # encoder: the distance, through G and not into it,
    kl = encode_backward(encoder, dz, q)  # and the KL

    for optimizer in (encoder_optimizer, G_optimizer, D_optimizer):
        if optimizer is not None:
            optimizer.step()
    if trace is not None:
        trace.update(kl=kl, distance=distance, g_game=g_value, mean=q.mean, logvar=q.logvar, z=z, x_tilde=x_tilde)
        trace.update(x_prior=x_prior, real_logits=a, fake_logits=b)
    return kl + distance, gamma * distance + g_value, d_value


# ---- the systems -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VAE(GAN):
    """G, the decoder, with its encoder; D is None, or in a VAE-GAN the discriminator.

    Samples are drawn as any GAN's: G of `draw_noise`. Raises ShapeError when the networks do not fit each other.
    """

    D: Network | None
    encoder: Network

    def __post_init__(self) -> None:
        if self.D is not None:
            super().__post_init__()
        given = self.encoder.output_shape(self.image_shape)
        if given != (2 * self.noise,):
            raise ShapeError(
                f"G takes z {batch_of((self.noise,))}, so the encoder must give {batch_of((2 * self.noise,))}, mean "
                f"and log variance, but it gives {batch_of(given)}."
            )


def vae(rng: Any, image_shape: tuple[int, int, int] = (28, 28, 1), noise: int = 32, width: int = 32) -> VAE:
    """dcgan's G as the decoder, and an encoder that folds images as dcgan's D does; no D. Pixels in [-1, 1].

    28x28, 32x32, 64x64 or 128x128 images; width: channels next to the image. Raises ShapeError for other sizes.
    """
    gan = _dcgan("vae", rng, image_shape, noise, width)
    return VAE("vae", gan.G, None, noise, gan.pixels, _encoder(rng, image_shape, noise, width))


def vae_gan(rng: Any, image_shape: tuple[int, int, int] = (28, 28, 1), noise: int = 32, width: int = 32) -> VAE:
    """As `vae`, with dcgan's D; its features, `upto=-1`, are what its last layer is given."""
    gan = _dcgan("vae-gan", rng, image_shape, noise, width)
    return VAE("vae-gan", gan.G, gan.D, noise, gan.pixels, _encoder(rng, image_shape, noise, width))


def _dcgan(name: str, rng: Any, image_shape: tuple[int, int, int], noise: int, width: int) -> GAN:
    try:
        return dcgan(rng, image_shape, noise, width)
    except ShapeError as error:
        raise ShapeError(f"{name} has the G of dcgan, and {error}") from None


def _encoder(rng: Any, image_shape: tuple[int, int, int], noise: int, width: int) -> Sequential:
    size, _, channels = image_shape
    least, k = (7, (5, 5)) if size == 28 else (4, (4, 4))
    halvings = (size // least).bit_length() - 1  # 28 -> 14 -> 7: two
    widths, new = [width * 2**i for i in range(halvings)], {"rng": rng, "init": normal}
    down: list[Layer] = [Conv(channels, width, k, 2, **new), LeakyReLU()]
    for narrow, wide in zip(widths, widths[1:]):
        down += [Conv(narrow, wide, k, 2, bias=False, **new), BatchNorm(wide), LeakyReLU()]
    return Sequential(*down, Flatten(), Dense(least * least * widths[-1], 2 * noise, **new))
