"""Data: real digits and poems that ship with the package, toy densities with a known truth, your own files."""

from minigan.data.digits import fetch_mnist, load_digits, load_mnist, scale, unscale, verify_mnist
from minigan.data.images import load_folder
from minigan.data.text import Vocabulary, as_lines, load_quatrains, load_text, text_statistics

__all__ = [
    "Vocabulary",
    "as_lines",
    "fetch_mnist",
    "load_digits",
    "load_folder",
    "load_mnist",
    "load_quatrains",
    "load_text",
    "scale",
    "text_statistics",
    "unscale",
    "verify_mnist",
]
