"""Data: digits, poems and chorales that ship with the package, toys whose truth is known, your own files."""

from minigan.data.clips import load_clips, moving_digits, moving_shapes
from minigan.data.digits import fetch_mnist, load_digits, load_mnist, scale, unscale, verify_mnist
from minigan.data.faces import face_icons
from minigan.data.images import load_folder
from minigan.data.midi import load_midi, read_midi, write_midi
from minigan.data.music import load_chorales
from minigan.data.text import Vocabulary, as_lines, load_quatrains, load_text, text_statistics

__all__ = [
    "Vocabulary",
    "as_lines",
    "face_icons",
    "fetch_mnist",
    "load_chorales",
    "load_clips",
    "load_digits",
    "load_folder",
    "load_midi",
    "load_mnist",
    "load_quatrains",
    "load_text",
    "moving_digits",
    "moving_shapes",
    "read_midi",
    "scale",
    "text_statistics",
    "unscale",
    "verify_mnist",
    "write_midi",
]
