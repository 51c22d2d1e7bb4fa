"""Layers: forward and backward by hand, one file a family."""

from minigan.layers.activations import LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Tanh
from minigan.layers.base import Layer, ShapeError
from minigan.layers.dense import Dense
from minigan.layers.dropout import Dropout
from minigan.layers.init import dcgan, glorot, he
from minigan.layers.shape import Flatten, Reshape

__all__ = [
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "ReLU",
    "Reshape",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "dcgan",
    "glorot",
    "he",
]
