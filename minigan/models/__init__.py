"""Models, one file a system. MODELS lists them as the command line offers them."""

from minigan.models.conditional import ConditionalGAN, conditional, conditional_joined
from minigan.models.dcgan import dcgan
from minigan.models.gan import GAN
from minigan.models.mlp import mlp, mlp_linear, mlp_sigmoid
from minigan.models.plane import pacgan, plane
from minigan.models.vae import VAE, vae, vae_gan

MODELS = {
    "mlp": mlp,
    "mlp-linear": mlp_linear,
    "mlp-sigmoid": mlp_sigmoid,
    "dcgan": dcgan,
    "conditional": conditional,
    "conditional-joined": conditional_joined,
    "vae": vae,
    "vae-gan": vae_gan,
    "ring": plane,
    "grid": plane,
}

__all__ = [
    "GAN",
    "MODELS",
    "VAE",
    "ConditionalGAN",
    "conditional",
    "conditional_joined",
    "dcgan",
    "mlp",
    "mlp_linear",
    "mlp_sigmoid",
    "pacgan",
    "plane",
    "vae",
    "vae_gan",
]
