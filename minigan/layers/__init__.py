"""Layers: forward and backward by hand, one file a family."""

from minigan.layers.activations import LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Tanh
from minigan.layers.base import Layer, ShapeError
from minigan.layers.batch import MinibatchStd, Pack
from minigan.layers.conv import Conv, ConvTranspose
from minigan.layers.dense import Dense
from minigan.layers.dropout import Dropout, Noise
from minigan.layers.embedding import Embedding
from minigan.layers.highway import Highway
from minigan.layers.init import dcgan, glorot, he
from minigan.layers.lstm import GRU, LSTM
from minigan.layers.norm import BatchNorm, LayerNorm, SpectralNorm
from minigan.layers.pool import AveragePool, GlobalMaxPool, MaxPool, Upsample
from minigan.layers.shape import Flatten, Reshape

__all__ = [
    "GRU",
    "LSTM",
    "AveragePool",
    "BatchNorm",
    "Conv",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalMaxPool",
    "Highway",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool",
    "MinibatchStd",
    "Noise",
    "Pack",
    "ReLU",
    "Reshape",
    "ShapeError",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SpectralNorm",
    "Tanh",
    "Upsample",
    "dcgan",
    "glorot",
    "he",
]
