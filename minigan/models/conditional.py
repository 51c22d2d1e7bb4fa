"""Conditional GANs: the label is given, and decides what is drawn. What D judges is a pair, an image and its label.

So both networks take pairs, and G draws them: G takes (z, labels) and gives (x_fake, labels), D takes (x, labels).
The steps of the game are those of any other GAN. Two ways to tell a network the label:

    Joined        its embedding, joined on the channel axis of what the network sees     (Mirza and Osindero 2014)
    Projection    its embedding's inner product with D's features, added to the logit    (Miyato and Koyama 2018)

N samples, z (N, noise), images (N, H, W, C), labels (N,) integers, K classes, E features of an embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from minigan.backend import Array, to_device, xp
from minigan.layers import (
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Embedding,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    ShapeError,
    Tanh,
)
from minigan.layers import dcgan as normal
from minigan.models.gan import GAN
from minigan.network import Cache, Network, Sequential, check_cache

Pair = tuple[Array, Array]


class Joined(Network):
    """y = body([x, e]), e = embedding(labels) at every place        x (N, ..., C)   body takes (N, ..., C + E)"""

    def __init__(self, embedding: Embedding, body: Sequential) -> None:
        super().__init__(embedding, body)
        self.embedding, self.body = embedding, body

    def forward(self, x: Pair, train: bool = True) -> tuple[Array, Cache]:
        x, labels = x
        e, e_cache = self.embedding.forward(labels)  # (N, E)
        places = (len(e), *(1 for _ in x.shape[1:-1]), e.shape[-1])
        everywhere = xp.broadcast_to(e.reshape(places), (*x.shape[:-1], e.shape[-1]))
        y, cache = self.body.forward(xp.concatenate([x, everywhere.astype(x.dtype)], axis=-1), train)
        return y, Cache(self, [e_cache, cache])

    def backward(self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = True) -> Array | None:
        """dx, for x alone. The embedding gets the sum over the places of what comes to its channels."""
        check_cache(self, cache)
        e_cache, inner = cache.layers
        dxe = self.body.backward(dy, inner, param_grads, input_grad or param_grads)
        if param_grads:
            de = dxe[..., -self.embedding.features :]
            self.embedding.backward(de.sum(axis=tuple(range(1, de.ndim - 1))), e_cache)
        return dxe[..., : -self.embedding.features] if input_grad else None

    def output_shape(self, shape: Any = None) -> Any:
        return self.body.output_shape(None if shape is None else (*shape[:-1], shape[-1] + self.embedding.features))


class LabelledGenerator(Joined):
    """Joined, that gives back the label with what it draws: (z, labels) -> (x_fake, labels)."""

    def forward(self, x: Pair, train: bool = True) -> tuple[Pair, Cache]:
        y, cache = super().forward(x, train)
        return (y, x[1]), cache


class Projection(Network):
    """logit = head(h) + <embedding(labels), h>,  h = body(x)        x (N, ...)   h (N, E)   logit (N, 1)

    If D's optimum is log p(x, y) / q(x, y), and the classes differ in log-linear ways, this is the form it has.
    """

    def __init__(self, embedding: Embedding, body: Sequential, head: Dense) -> None:
        super().__init__(embedding, body, head)
        self.embedding, self.body, self.head = embedding, body, head

    def forward(self, x: Pair, train: bool = True) -> tuple[Array, Cache]:
        x, labels = x
        h, cache = self.body.forward(x, train)
        e, e_cache = self.embedding.forward(labels)  # (N, E)
        logit, head_cache = self.head.forward(h)
        return logit + (e * h).sum(axis=1, keepdims=True), Cache(self, [e, h, e_cache, cache, head_cache])

    def backward(self, dy: Array, cache: Cache, param_grads: bool = True, input_grad: bool = True) -> Array | None:
        check_cache(self, cache)
        e, h, e_cache, inner, head_cache = cache.layers
        dh = self.head.backward(dy, head_cache, param_grads) + dy * e
        if param_grads:
            self.embedding.backward(dy * h, e_cache)
        return self.body.backward(dh, inner, param_grads, input_grad)

    def output_shape(self, shape: Any = None) -> Any:
        features = self.body.output_shape(shape)
        if features not in (None, (self.embedding.features,)):
            raise ShapeError(f"the projection has {self.embedding.features} features, but the body gives {features}")
        return self.head.output_shape(features)


@dataclass(frozen=True)
class ConditionalGAN(GAN):
    """A GAN whose noise comes with labels: pairs (z (N, noise), labels (N,))."""

    classes: int = 10

    def draw_noise(self, rng: Any, n: int, label: int | None = None) -> Pair:
        """n z's, and a label for each: the one that is given, or uniformly drawn ones.

        Raises ValueError for a label that is none of the classes.
        """
        if label is not None and not 0 <= label < self.classes:
            raise ValueError(f"--label is one of 0 to {self.classes - 1}, but got {label}.")
        z = super().draw_noise(rng, n)
        if label is None:
            labels = xp.minimum((rng.random(n, dtype="float32") * self.classes).astype("int64"), self.classes - 1)
        else:
            labels = xp.full(n, label)
        return z, labels

    def draw_table(self, rng: Any, rows: int) -> Pair:
        """A row for each z, a column for each class: (rows K, noise), (rows K,)."""
        z = super().draw_noise(rng, rows)
        return xp.repeat(z, self.classes, axis=0), xp.tile(xp.arange(self.classes), rows)

    def draw_walks(self, rng: Any, walks: int, n: int) -> Pair:
        """Walks as a GAN's, walk k with label k."""
        labels = xp.repeat(xp.arange(walks) % self.classes, n)
        return super().draw_walks(rng, walks, n), labels


def conditional(rng: Any, image_shape: tuple[int, int, int] = (28, 28, 1), noise: int = 100, width: int = 32) -> GAN:
    """DCGAN for labelled 28x28 images: the label joined to z in G, a projection in D. Pixels in [-1, 1].

    width: channels next to the image. Raises ShapeError for images of other sizes.
    """
    channels = _channels(image_shape)
    G = LabelledGenerator(Embedding(10, 16, rng=rng), _generator(rng, noise + 16, channels, width))
    features = 4 * width
    D = Projection(
        Embedding(10, features, rng=rng),
        Sequential(*_folds(rng, channels, width), Dense(7 * 7 * 2 * width, features, rng=rng), LeakyReLU()),
        Dense(features, 1, rng=rng),
    )
    D.embedding.params["W"] *= 0.1  # at first the label says little, and D(x) decides
    return ConditionalGAN("conditional", G, D, noise, pixels=(-1.0, 1.0))


def conditional_joined(
    rng: Any, image_shape: tuple[int, int, int] = (28, 28, 1), noise: int = 100, width: int = 32
) -> GAN:
    """As `conditional`, but D too is told the label on its channel axis: as the first conditional GAN did it."""
    channels = _channels(image_shape)
    G = LabelledGenerator(Embedding(10, 16, rng=rng), _generator(rng, noise + 16, channels, width))
    D = Joined(
        Embedding(10, 4, rng=rng),
        Sequential(*_folds(rng, channels + 4, width), Dense(7 * 7 * 2 * width, 1, rng=rng)),
    )
    return ConditionalGAN("conditional-joined", G, D, noise, pixels=(-1.0, 1.0))


def _channels(image_shape: tuple[int, int, int]) -> int:
    height, across, channels = image_shape
    if (height, across) != (28, 28):
        raise ShapeError(f"conditional draws 28x28 images, not {height}x{across}.")
    return channels


def _generator(rng: Any, n_in: int, channels: int, width: int) -> Sequential:
    conv, k = {"rng": rng, "init": normal}, (5, 5)
    return Sequential(
        *(
            Dense(n_in, 7 * 7 * 2 * width, bias=False, **conv),
            Reshape((7, 7, 2 * width)),
            BatchNorm(2 * width),
            ReLU(),
        ),
        *(ConvTranspose(2 * width, width, k, 2, bias=False, **conv), BatchNorm(width), ReLU()),  # 14 x 14
        *(ConvTranspose(width, channels, k, 2, **conv), Tanh()),  # 28 x 28
    )


def _folds(rng: Any, channels: int, width: int) -> tuple:
    conv, k = {"rng": rng, "init": normal}, (5, 5)
    return (
        *(Conv(channels, width, k, 2, **conv), LeakyReLU()),  # 14 x 14
        *(Conv(width, 2 * width, k, 2, bias=False, **conv), BatchNorm(2 * width), LeakyReLU()),  # 7 x 7
        Flatten(),
    )


def with_labels(images: Any, labels: Any) -> Pair:
    """Host arrays as a pair on the device, the labels as int64."""
    return to_device(images), to_device(labels.astype("int64"))
