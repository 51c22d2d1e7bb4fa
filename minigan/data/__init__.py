"""Data: real digits that ship with the package, toy densities with a known truth, folders of pictures."""

from minigan.data.digits import fetch_mnist, load_digits, load_mnist, scale, unscale, verify_mnist
from minigan.data.images import load_folder

__all__ = ["fetch_mnist", "load_digits", "load_folder", "load_mnist", "scale", "unscale", "verify_mnist"]
