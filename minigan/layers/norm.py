"""Normalisation: batch norm, layer norm, and spectral norm, which normalises weights instead of activations.

N samples, C channels (last), M numbers that share one mean. Sums over rows are products with a row of ones: BLAS
reads the rows once, several at a time, and is some times faster than `sum(axis=0)`.
"""

from __future__ import annotations

import math
from typing import Any

from minigan.backend import Array, xp
from minigan.layers.base import Layer, Shape, ShapeError, batch_of


def column_sums(x: Array) -> Array:
    """The sum over the rows of x: (M, C) -> (C,)."""
    return xp.ones(len(x), dtype=x.dtype) @ x


def column_products(x: Array, y: Array) -> Array:
    """The sum over the rows of x y, without an array for x y: (M, C), (M, C) -> (C,)."""
    return xp.einsum("mc,mc->c", x, y)


class BatchNorm(Layer):
    """y = gamma xhat + beta,  xhat = (x - mean) / sqrt(var + eps)        x, y (N, ..., C)   gamma, beta (C,)

    mean and var are each channel's over all axes but the last: over the batch in training, and with train=False the
    running ones, mean <- decay mean + (1 - decay) batch mean. The running var takes the unbiased batch variance, as
    PyTorch's does. Every sample of a batch moves the mean of all others, hence the two sums in dx:

        dx = gamma / sqrt(var + eps) (dy - mean(dy) - xhat mean(dy xhat))

    Raises ValueError in training where a channel has one number alone: it would be its own mean. (Ioffe and
    Szegedy 2015.)
    """

    mixes_samples = True

    def __init__(self, channels: int, decay: float = 0.9, eps: float = 1e-5) -> None:
        super().__init__()
        if channels < 1 or not 0 <= decay < 1 or not eps > 0:
            raise ValueError(
                f"BatchNorm takes channels >= 1, 0 <= decay < 1 and eps > 0, but got {channels}, {decay}, {eps}."
            )
        self.channels, self.decay, self.eps = channels, decay, eps
        self.workers: Any = None  # minigan.workers, where the batch lies in several processes
        self.add_param("gamma", xp.ones(channels, dtype="float32"))
        self.add_param("beta", xp.zeros(channels, dtype="float32"))
        self.statistics["mean"] = xp.zeros(channels, dtype="float32")
        self.statistics["var"] = xp.ones(channels, dtype="float32")

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        rows = x.reshape(-1, self.channels)  # (M, C)
        if train:
            mean, centred, var = self._of_batch(rows)
        else:
            mean, var = self.statistics["mean"], self.statistics["var"]
            centred = rows - mean
        scale = 1 / xp.sqrt(var + self.eps)
        y = centred * (self.params["gamma"] * scale)
        y += self.params["beta"]
        return y.reshape(x.shape), (centred, scale, train)

    def _of_batch(self, rows: Array) -> tuple[Array, Array, Array]:
        """The batch's mean (C,), the rows without it, their variance (C,); the running ones take their share."""
        m = len(rows)
        if m < 2:
            raise ValueError(
                f"{self!r} cannot train on one number a channel: its mean is itself. Take a larger batch."
            )
        mean = self._of_all(column_sums(rows) / m)
        centred = rows - mean  # not E[x^2] - mean^2, which in float32 loses all digits where x hardly varies
        var = self._of_all(column_products(centred, centred) / m)
        m *= 1 if self.workers is None else self.workers.count
        for name, new in (("mean", mean), ("var", var * (m / (m - 1)))):
            self.statistics[name] *= self.decay
            self.statistics[name] += (1 - self.decay) * new
        return mean, centred, var

    def _of_all(self, means: Array) -> Array:
        """Means over this batch as means over all workers' batches, where there are workers."""
        return means if self.workers is None else self.workers.mean(means)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        centred, scale, train = cache
        shape, dy = dy.shape, dy.reshape(-1, self.channels)  # (M, C)
        dbeta, dgamma = column_sums(dy), column_products(dy, centred) * scale
        if param_grads:
            self.grads["beta"] += dbeta
            self.grads["gamma"] += dgamma
        if not input_grad:
            return None
        factor = self.params["gamma"] * scale
        dx = dy * factor
        if train:
            means = self._of_all(xp.stack([dbeta, dgamma]) / len(dy))  # of dy and of dy xhat
            dx -= centred * (means[1] * (factor * scale))
            dx -= factor * means[0]
        return dx.reshape(shape)

    def tangent(self, x_dot, cache):
        raise ValueError(
            f"{self!r} mixes the samples of a batch, so that a gradient at one sample says nothing of D alone: use "
            "LayerNorm, or no norm, in a D with a gradient penalty."
        )

    def output_shape(self, shape: Shape | None) -> Shape | None:
        if shape is not None and (not shape or shape[-1] not in (self.channels, None)):
            raise ShapeError(f"{self!r} takes (N, ..., {self.channels}), not {batch_of(shape)}")
        return shape

    def __repr__(self) -> str:
        return f"BatchNorm({self.channels})"


class LayerNorm(Layer):
    """y = gamma xhat + beta,  xhat = (x - mean) / sqrt(var + eps)        x, y (N, ..., F)   gamma, beta (F)

    mean and var are each sample's own, over the last axis, or over the last axes that `features` names, such as
    (7, 7, 64) for all of an image: no sample sees another, and training and inference are one. (Ba et al. 2016.)

        dx = 1 / sqrt(var + eps) (g - mean(g) - xhat mean(g xhat)),  g = gamma dy
    """

    def __init__(self, features: int | tuple[int, ...], eps: float = 1e-5) -> None:
        super().__init__()
        self.features = (features,) if isinstance(features, int) else tuple(features)
        if not self.features or min(self.features) < 1 or not eps > 0:
            raise ValueError(f"LayerNorm takes sizes >= 1 and eps > 0, but got {features} and {eps}.")
        self.eps = eps
        self.add_param("gamma", xp.ones(self.features, dtype="float32"))
        self.add_param("beta", xp.zeros(self.features, dtype="float32"))

    def forward(self, x, train=True):
        self.output_shape(x.shape[1:])
        rows = x.reshape(-1, math.prod(self.features))  # (M, F)
        xhat = rows - rows.mean(axis=1, keepdims=True)
        scale = 1 / xp.sqrt((xhat * xhat).mean(axis=1, keepdims=True) + self.eps)  # (M, 1)
        xhat *= scale
        y = xhat * self.params["gamma"].ravel()
        y += self.params["beta"].ravel()
        return y.reshape(x.shape), (xhat, scale)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        xhat, scale = cache
        shape, dy = dy.shape, dy.reshape(xhat.shape)  # (M, F)
        if param_grads:
            self.grads["beta"] += column_sums(dy).reshape(self.features)
            self.grads["gamma"] += column_products(dy, xhat).reshape(self.features)
        if not input_grad:
            return None
        g = dy * self.params["gamma"].ravel()
        dx = g - g.mean(axis=1, keepdims=True)
        dx -= xhat * (g * xhat).mean(axis=1, keepdims=True)
        dx *= scale
        return dx.reshape(shape)

    def tangent(self, x_dot, cache):
        xhat, scale = cache
        xhat_dot = self._project(x_dot.reshape(xhat.shape), xhat) * scale  # (M, F)
        return (xhat_dot * self.params["gamma"].ravel()).reshape(x_dot.shape), (x_dot, xhat_dot)

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        (xhat, scale), (x_dot, xhat_dot) = cache, tangent_cache
        shape, gamma = eta.shape, self.params["gamma"].ravel()
        eta, x_dot = eta.reshape(xhat.shape), x_dot.reshape(xhat.shape)
        mean = lambda v: v.mean(axis=1, keepdims=True)
        self.grads["gamma"] += column_products(eta, xhat_dot).reshape(self.features)
        q = gamma * eta
        Pq, Px_dot = self._project(q, xhat), self._project(x_dot, xhat)
        x_bar = -xhat * scale * mean(q * xhat_dot)  # scale, 1 / s, depends on x ...
        x_bar -= scale * scale * (mean(xhat * x_dot) * Pq + mean(xhat * q) * Px_dot)  # ... and so does xhat in P
        if y_bar is not None:
            x_bar += self.backward(y_bar.reshape(shape), cache).reshape(xhat.shape)
        return x_bar.reshape(shape)

    def _project(self, v: Array, xhat: Array) -> Array:
        """P v = v - mean(v) - xhat mean(xhat v): what of v moves xhat, for it keeps its mean and its length."""
        return v - v.mean(axis=1, keepdims=True) - xhat * (xhat * v).mean(axis=1, keepdims=True)

    def output_shape(self, shape: Shape | None) -> Shape | None:
        ends = None if shape is None else tuple(shape[-len(self.features) :])
        if ends is not None and None not in ends and ends != self.features:
            raise ShapeError(f"{self!r} takes (N, ..., {str(self.features)[1:]}, not {batch_of(shape)}")
        return shape

    def __repr__(self) -> str:
        return f"LayerNorm({self.features[0] if len(self.features) == 1 else self.features})"


class SpectralNorm(Layer):
    """y = f(x; W / sigma) + b, f a Dense, Conv or ConvTranspose without bias, sigma the largest singular value of W.

    W counts as a matrix (k... I, O). sigma = u^T W v, and each training step moves u and v one power iteration closer
    to the singular vectors. As f is linear in W, f(x; W / sigma) = f(x; W) / sigma, so with lin = f(x; W):

        dlin = dy / sigma        dsigma = -<dy, lin> / sigma^2        dW += dsigma u v^T  (that of u^T W v; u, v held)

    Raises ValueError for a layer with a bias or without W. (Miyato et al. 2018.)
    """

    def __init__(self, layer: Layer, *, rng: Any, bias: bool = True, iterations: int = 1) -> None:
        super().__init__()
        if "W" not in layer.params or len(layer.params) > 1:
            raise ValueError(f"SpectralNorm takes a layer with W alone, not {layer!r}: give it bias=False.")
        if iterations < 1:
            raise ValueError(f"SpectralNorm needs at least one power iteration a step, but got {iterations}.")
        self.layer, self.iterations = layer, iterations
        self.mixes_samples = layer.mixes_samples
        W = layer.params["W"]
        self.params["W"], self.grads["W"] = W, layer.grads["W"]
        if bias:
            self.add_param("b", xp.zeros(W.shape[-1], dtype="float32"))
        u = rng.standard_normal((math.prod(W.shape[:-1]),), dtype="float32")
        self.statistics["u"] = u / xp.sqrt(u @ u)
        self.statistics["v"] = xp.zeros(W.shape[-1], dtype="float32")
        self._iterate(10)

    def _iterate(self, times: int) -> None:
        """v <- W^T u, u <- W v, each to length 1."""
        W = self.params["W"].reshape(-1, self.params["W"].shape[-1])  # (k I, O)
        u, v = self.statistics["u"], self.statistics["v"]
        for _ in range(times):
            v = W.T @ u
            v /= xp.sqrt(v @ v) + 1e-12
            u = W @ v
            u /= xp.sqrt(u @ u) + 1e-12
        self.statistics["u"], self.statistics["v"] = u, v

    def forward(self, x, train=True):
        self._lend()
        if train:
            self._iterate(self.iterations)
        u, v = self.statistics["u"], self.statistics["v"]
        sigma = u @ self.params["W"].reshape(len(u), len(v)) @ v  # 0-d
        lin, inner = self.layer.forward(x, train)
        y = lin / sigma
        if "b" in self.params:
            y += self.params["b"]
        return y, (lin, inner, u, v, sigma)

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        self._lend()
        lin, inner, u, v, sigma = cache
        dx = self.layer.backward(dy / sigma, inner, param_grads, input_grad)
        if param_grads:
            dsigma = -(dy * lin).sum() / (sigma * sigma)
            self.grads["W"] += (dsigma * u[:, None] * v).reshape(self.grads["W"].shape)
            if "b" in self.params:
                self.grads["b"] += dy.reshape(-1, len(v)).sum(axis=0)
        return dx

    def tangent(self, x_dot, cache):
        self._lend()
        _, inner, _, _, sigma = cache
        lin_dot, inner_dot = self.layer.tangent(x_dot, inner)
        return lin_dot / sigma, (lin_dot, inner_dot)

    def tangent_backward(self, y_bar, eta, cache, tangent_cache):
        self._lend()
        (lin, inner, u, v, sigma), (lin_dot, inner_dot) = cache, tangent_cache
        share = None if y_bar is None else y_bar / sigma
        x_bar = self.layer.tangent_backward(share, eta / sigma, inner, inner_dot)
        dsigma = -(eta * lin_dot).sum() / (sigma * sigma)
        if y_bar is not None:
            dsigma -= (y_bar * lin).sum() / (sigma * sigma)
            if "b" in self.params:
                self.grads["b"] += y_bar.reshape(-1, len(v)).sum(axis=0)
        self.grads["W"] += (dsigma * u[:, None] * v).reshape(self.grads["W"].shape)
        return x_bar

    def _lend(self) -> None:
        """The inner layer works on this one's W: the network, or a copy, may have put another array in its place."""
        self.layer.params["W"], self.layer.grads["W"] = self.params["W"], self.grads["W"]

    def output_shape(self, shape: Shape | None) -> Shape | None:
        return self.layer.output_shape(shape)

    def __repr__(self) -> str:
        return f"SpectralNorm({self.layer!r})"
