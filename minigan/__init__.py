"""minigan: generative adversarial networks by hand. Every gradient is written out and checked."""

__version__ = "0.1.0"
