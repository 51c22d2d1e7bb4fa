"""Every picture: grids of samples, an animation of training, curves of a run, densities, gradient checks, the board,
piano rolls, clips.

A GAN's loss says little about its samples, so one looks: at the samples, at D(x) and D(G(z)), at gradients.
These files know arrays and nothing of training. They never touch pyplot: a figure belongs to its caller, needs
no display and leaks nothing. Matplotlib and Pillow are imported where they are used. A stop never leaves half
a picture.
"""

from minigan.viz.board import Ledger, Scene, Strip, folded, game_board, pixels
from minigan.viz.figures import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    PANELS,
    RED,
    _moving_average,  # noqa: F401  (tests look at it)
    curves,
    density_2d,
    error_maps,
    word_curves,
)
from minigan.viz.film import film_strips, save_clips, save_film_strips, save_mp4
from minigan.viz.grids import SEPARATOR, grid, save_animation, save_grid
from minigan.viz.roll import piano_roll, save_piano_roll

__all__ = [
    "BLUE",
    "FAINT",
    "INK",
    "ORANGE",
    "PANELS",
    "RED",
    "SEPARATOR",
    "Ledger",
    "Scene",
    "Strip",
    "curves",
    "density_2d",
    "error_maps",
    "film_strips",
    "folded",
    "game_board",
    "grid",
    "piano_roll",
    "pixels",
    "save_animation",
    "save_clips",
    "save_film_strips",
    "save_grid",
    "save_mp4",
    "save_piano_roll",
    "word_curves",
]
