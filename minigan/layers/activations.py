"""Activations: each number on its own, y = s(x) and dx = s'(x) dy; and softmax, which works on rows.

No layer branches on a value, and none uses `where`: a product with a mask is many times faster in NumPy.
"""

from __future__ import annotations

from minigan.backend import Array, xp
from minigan.layers.base import Diagonal


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow at any x: the exponents are never positive."""
    return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-abs(x)))


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow at any x: max(x, 0) + log(1 + e^-|x|)."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


class ReLU(Diagonal):
    """y = max(x, 0)        dx = dy where x > 0, else 0 (0 at x = 0)        any shape"""

    def forward(self, x, train=True):
        y = xp.maximum(x, 0)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return dy * (y > 0) if input_grad else None


class LeakyReLU(Diagonal):
    """y = max(x, slope x)        dx = dy where x > 0, else slope dy (slope dy at x = 0)        any shape

    Raises ValueError unless 0 <= slope < 1.
    """

    def __init__(self, slope: float = 0.2) -> None:
        super().__init__()
        if not 0 <= slope < 1:
            raise ValueError(f"LeakyReLU's slope lies in [0, 1), but got {slope}.")
        self.slope = slope

    def forward(self, x, train=True):
        y = xp.maximum(x, self.slope * x)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        if not input_grad:
            return None
        dx = (1 - self.slope) * dy
        dx *= y > 0  # y > 0 exactly where x > 0
        dx += self.slope * dy
        return dx

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope})"


class Tanh(Diagonal):
    """y = tanh(x)        dx = (1 - y^2) dy        any shape"""

    def forward(self, x, train=True):
        y = xp.tanh(x)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return dy * (1 - y * y) if input_grad else None

    def bend(self, x_dot, eta, cache):
        y = cache
        return -2 * y * (1 - y * y) * x_dot * eta  # tanh'' = -2 y (1 - y^2)


class Sigmoid(Diagonal):
    """y = 1 / (1 + e^-x)        dx = y (1 - y) dy        any shape"""

    def forward(self, x, train=True):
        y = sigmoid(x)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        return dy * (y * (1 - y)) if input_grad else None

    def bend(self, x_dot, eta, cache):
        y = cache
        return y * (1 - y) * (1 - 2 * y) * x_dot * eta


class Softplus(Diagonal):
    """y = log(1 + e^x)        dx = sigmoid(x) dy        any shape"""

    def forward(self, x, train=True):
        return softplus(x), x

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        x = cache
        return dy * sigmoid(x) if input_grad else None

    def bend(self, x_dot, eta, cache):
        p = sigmoid(cache)
        return p * (1 - p) * x_dot * eta


class Softmax(Diagonal):
    """y_i = e^x_i / sum_j e^x_j        dx_i = y_i (dy_i - sum_j y_j dy_j)        x (..., C), over the last axis

    Every output depends on every input of its row: the second term of dx.
    """

    def forward(self, x, train=True):
        y = xp.exp(x - x.max(axis=-1, keepdims=True))  # the largest exponent is 0: no overflow
        y /= y.sum(axis=-1, keepdims=True)
        return y, y

    def backward(self, dy, cache, param_grads=True, input_grad=True):
        y = cache
        if not input_grad:
            return None
        return y * (dy - (y * dy).sum(axis=-1, keepdims=True))

    def bend(self, x_dot, eta, cache):
        """<eta, J x_dot> = sum y eta x_dot - (sum y eta) (sum y x_dot): its gradient on y, and through J to x."""
        y = cache
        dy = (
            eta * x_dot
            - eta * (y * x_dot).sum(axis=-1, keepdims=True)
            - x_dot * (y * eta).sum(axis=-1, keepdims=True)
        )
        return self.backward(dy, cache)
