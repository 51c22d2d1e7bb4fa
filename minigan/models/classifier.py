"""A digit classifier: what it thinks just before it decides is the space in which digits are compared.

Pixels are a poor measure of likeness: a stroke one pixel further right is another image altogether. A network that
was trained to tell digits apart has learned which differences count. Its last hidden layer gives `features`, on which
the measures of `minigan.metrics` compute distances; its output gives `probabilities` of the ten digits.

    load_classifier()                   the network with the weights that ship with minigan
    random_features(image_shape)        for images of other sizes: a network that has learned nothing

How it was trained: `minigan.classify`. N images, H rows, W columns, C channels; d features, K classes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from minigan import checkpoint
from minigan.backend import rng as device_rng
from minigan.backend import to_device, to_host
from minigan.checkpoint import CheckpointError
from minigan.data import scale
from minigan.layers import BatchNorm, Conv, Dense, Dropout, Flatten, Layer, LeakyReLU, ReLU, ShapeError, Softmax, he
from minigan.layers.base import batch_of
from minigan.network import Sequential

SHIPPED = Path(__file__).parents[1] / "data" / "digit_classifier.safetensors"
BATCH = 250  # images that go through the network at once
OUTSIDE = 1e-3  # how far a pixel may leave [-1, 1] by rounding


class FeatureNetwork(Sequential):
    """A chain of layers that images of one shape go into, some from its first `depth` layers coming out as features.

    The methods below take host arrays of any number of images and give host arrays, in inference mode: dropout off,
    batch norm with its running statistics, so that no image depends on the others.
    """

    def __init__(self, image_shape: tuple[int, int, int], depth: int, *layers: Layer) -> None:
        super().__init__(*layers)
        self.image_shape, self.depth = image_shape, depth

    def features(self, images: np.ndarray) -> np.ndarray:
        """(N, H, W, C), uint8 or floats in [-1, 1] -> (N, d) float32.

        Raises ShapeError for images of another shape, ValueError for other numbers.
        """
        return self.through(images, self.depth)

    def through(self, images: np.ndarray, depth: int | None = None) -> np.ndarray:
        """What comes out of the first `depth` layers, or of all, as one float32 array; errors as in `features`."""
        images = self.checked(images)
        y = np.empty((len(images), *self.output_shape_at(depth)), dtype=np.float32)
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            x = scale(part) if part.dtype == np.uint8 else part.astype(np.float32)
            y[start : start + BATCH] = to_host(self.forward(to_device(x), train=False, upto=depth)[0])
        return y

    def output_shape_at(self, depth: int | None) -> tuple[int, ...]:
        """The shape of one sample after the first `depth` layers."""
        shape = self.image_shape
        for layer in self.layers[:depth]:
            shape = layer.output_shape(shape)
        return shape

    def checked(self, images: np.ndarray) -> np.ndarray:
        """The images as an array, if the network can read them."""
        images = np.asarray(images)
        if images.shape[1:] != self.image_shape:
            raise ShapeError(
                f"This network takes images {batch_of(self.image_shape)}, but these have the shape {images.shape}: "
                "reshape them, or take random_features for images of another size."
            )
        if images.dtype == np.uint8:
            return images
        if images.dtype.kind != "f":
            raise ValueError(f"Images are uint8 (0 to 255) or floats in [-1, 1], but these are {images.dtype}.")
        if images.size and not np.abs(images).max() <= 1 + OUTSIDE:  # "not <=", so that NaN is refused too
            raise ValueError(
                f"Images of floats lie in [-1, 1], but these go from {images.min():g} to {images.max():g}: "
                "give uint8 images, or scale them (minigan.data.scale)."
            )
        return images


class Classifier(FeatureNetwork):
    """Four convolutions, each with a batch norm and ReLU, a hidden layer of d features, and K logits.

    Images are (N, 28, 28, 1). Strides of 2 take the place of pooling: 28 -> 14 -> 7 -> 7 -> 4. What comes before a
    batch norm has no bias, as the norm would take it away again. The features are the hidden layer's, after its ReLU
    and before dropout, so they are not negative.
    """

    def __init__(self, rng: Any, classes: int = 10, width: int = 32, features: int = 64) -> None:
        w, conv = width, {"bias": False, "rng": rng, "init": he}
        layers = [
            *(Conv(1, w, (5, 5), 2, **conv), _norm(w), ReLU()),  # 14 x 14
            *(Conv(w, 2 * w, (3, 3), 2, **conv), _norm(2 * w), ReLU()),  # 7 x 7
            *(Conv(2 * w, 2 * w, (3, 3), **conv), _norm(2 * w), ReLU()),
            *(Conv(2 * w, 2 * w, (3, 3), 2, **conv), _norm(2 * w), ReLU()),  # 4 x 4
            *(Flatten(), Dense(4 * 4 * 2 * w, features, **conv), _norm(features), ReLU()),
        ]
        head = Dropout(0.3, rng=rng), Dense(features, classes, rng=rng)
        super().__init__((28, 28, 1), len(layers), *layers, *head)
        self.sizes = {"classes": classes, "width": width, "features": features}

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(N, 28, 28, 1), uint8 or floats in [-1, 1] -> p(class | image), (N, K) float32; errors as in `features`."""
        return to_host(Softmax().forward(to_device(self.through(images)))[0])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, (N,) int64; errors as in `features`."""
        return self.through(images).argmax(axis=1)


def _norm(channels: int) -> BatchNorm:
    return BatchNorm(channels, decay=0.95)  # statistics over some 20 batches, as inference is to be sure of them


# ---- weights -------------------------------------------------------------------------------------------------------


def load_classifier(path: str | os.PathLike = SHIPPED) -> Classifier:
    """The classifier with the weights in a file; without a path, those that ship with minigan, in float32.

    Raises CheckpointError when the file is missing, damaged, or holds something else.
    """
    arrays, facts = checkpoint.load(path)
    sizes = facts.get("classifier")
    if sizes is None:
        raise CheckpointError(f"{path} holds no classifier: make one with `python -m minigan.classify train`.")
    network = Classifier(device_rng(0), **sizes)  # the first weights are drawn, and then forgotten
    own = network.params | network.statistics
    if {name: a.shape for name, a in own.items()} != {name: a.shape for name, a in arrays.items()}:
        raise CheckpointError(f"{path} holds a classifier with other layers than this minigan's: train it again.")
    for name, array in own.items():
        array[...] = to_device(arrays[name])
    network.changed()
    return network


def save_classifier(network: Classifier, path: str | os.PathLike, facts: dict[str, Any] | None = None) -> str:
    """Write weights and batch norms' statistics, with JSON-able facts on how they came about; returns the sha256."""
    arrays = {name: to_host(a) for name, a in (network.params | network.statistics).items()}
    return checkpoint.save(path, arrays, {"classifier": network.sizes, **(facts or {})})


# ---- images of other sizes -----------------------------------------------------------------------------------------


def random_features(image_shape: tuple[int, int, int], seed: int = 0, features: int = 64) -> FeatureNetwork:
    """A convolutional network with RANDOM weights, fixed by the seed: nothing in it was trained on anything.

    image_shape (H, W, C) -> a network whose `.features(images)` are (N, features) float32. Convolutions of stride 2
    with LeakyReLU halve the image until at most 4 x 4 places are left, and a dense layer mixes these. Such features
    keep edges, colours and where they are, and know nothing of what is shown. They serve to compare sets of images
    far from any that a network was trained on (Naeem et al. 2020). Numbers made with them are compared with each
    other for one shape and one seed, and never with a trained network's.

    The weights are drawn on the host: one seed gives one network on the CPU and the GPU.
    Raises ShapeError unless image_shape is three positive numbers.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ShapeError(f"image_shape is (H, W, C), three positive numbers, but got {image_shape}.")
    host = np.random.default_rng(seed)
    drawn = {"rng": None, "init": lambda _, shape: to_device(he(host, shape))}
    height, across, channels = image_shape
    layers: list[Layer] = []
    width = 32
    while max(height, across) > 4 or not layers:
        layers += [Conv(channels, width, (3, 3), 2, **drawn), LeakyReLU()]
        height, across, channels, width = -(-height // 2), -(-across // 2), width, 64
    layers += [Flatten(), Dense(height * across * channels, features, **drawn)]
    return FeatureNetwork(tuple(image_shape), len(layers), *layers)
