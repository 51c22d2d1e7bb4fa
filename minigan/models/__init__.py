"""Models, one file a system. MODELS lists them as the command line offers them."""

from minigan.models.dcgan import dcgan
from minigan.models.gan import GAN
from minigan.models.mlp import mlp, mlp_linear, mlp_sigmoid

MODELS = {"mlp": mlp, "mlp-linear": mlp_linear, "mlp-sigmoid": mlp_sigmoid, "dcgan": dcgan}

__all__ = ["GAN", "MODELS", "dcgan", "mlp", "mlp_linear", "mlp_sigmoid"]
