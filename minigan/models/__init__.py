"""Models, one file a system. MODELS lists them as the command line offers them."""

from minigan.models.gan import GAN
from minigan.models.mlp import mlp, mlp_linear, mlp_sigmoid

MODELS = {"mlp": mlp, "mlp-linear": mlp_linear, "mlp-sigmoid": mlp_sigmoid}

__all__ = ["GAN", "MODELS", "mlp", "mlp_linear", "mlp_sigmoid"]
