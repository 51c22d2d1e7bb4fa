"""Face icons: ten expressions in all colours, drawn by rule, so that the truth about each is known.

A small stand-in for the photographs of people that GANs are usually shown on: it ships as a page of code instead of
as megabytes, and nobody is on it.

n icons of H = W = `size` pixels. Drawn in units of the face's radius, y downward, (0, 0) the middle of the face.
"""

from __future__ import annotations

import colorsys
from typing import Any, NamedTuple

import numpy as np

EXPRESSIONS = ("smile", "laugh", "calm", "frown", "surprise", "wink", "asleep", "sunglasses", "tears", "tongue")
FINER = 4  # drawn so many times larger, then averaged: no stairs at the edges
INK, RED, WATER = (40, 30, 40), (225, 60, 80), (60, 140, 230)


class Faces(NamedTuple):
    """What `face_icons` returns: the icons, and the truth about each."""

    images: np.ndarray  # uint8 (n, size, size, 3), on white
    label: np.ndarray  # int64 (n,), a place in EXPRESSIONS
    colour: np.ndarray  # uint8 (n, 3), RGB of the skin


def face_icons(n: int, size: int = 28, seed: int = 0) -> Faces:
    """n icons: the expression, colour, place, size, gaze and width of the features vary independently.

    The same seed gives the same icons, and the first of many are those of few. Raises ValueError for n < 1 or
    size < 16, where an eye is less than a pixel.
    """
    for name, value, least in (("n", n, 1), ("size", size, 16)):
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, but it is {value}.")
    images, label = np.empty((n, size, size, 3), np.uint8), np.empty(n, np.int64)
    colour = np.empty((n, 3), np.uint8)
    for k in range(n):
        random = np.random.default_rng((seed, k))
        label[k] = random.integers(len(EXPRESSIONS))
        hue, saturation, brightness = random.random(), random.uniform(0.35, 0.75), random.uniform(0.85, 1.0)
        colour[k] = np.round(255 * np.array(colorsys.hsv_to_rgb(hue, saturation, brightness)))
        images[k] = _draw(EXPRESSIONS[label[k]], tuple(map(int, colour[k])), size, random)
    return Faces(images, label, colour)


def _draw(expression: str, colour: tuple[int, ...], size: int, random: Any) -> np.ndarray:
    """One icon, uint8 (size, size, 3)."""
    from PIL import Image, ImageDraw  # here, so that importing minigan.data needs numpy alone

    side = size * FINER
    picture = Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(picture)
    radius = side * random.uniform(0.40, 0.46)
    middle = side / 2 + (side / 2 - radius) * random.uniform(-0.7, 0.7, 2)
    gaze = np.array([random.uniform(-0.12, 0.12), random.uniform(-0.08, 0.08)])
    apart, eye, mouth = random.uniform(0.33, 0.42), random.uniform(0.11, 0.15), random.uniform(0.38, 0.5)
    line = max(1, round(0.11 * radius))

    def box(x: float, y: float, width: float, height: float) -> list[float]:
        """The corners of what lies around (x, y), with the gaze's shift, in pixels."""
        x, y = (x, y) + gaze
        corners = ((x - width, y - height), (x + width, y + height))
        return [float(m + radius * c) for corner in corners for m, c in zip(middle, corner)]

    pen.ellipse([*(middle - radius), *(middle + radius)], fill=colour, outline=INK, width=max(1, line // 2))
    for x in (-apart, apart):
        if expression == "asleep" or (expression == "wink" and x > 0):
            pen.arc(box(x, -0.24, 0.17, 0.12), 0, 180, fill=INK, width=line)
        elif expression == "sunglasses":
            pen.rounded_rectangle(box(x, -0.22, 0.3, 0.19), radius=0.1 * radius, fill=INK)
        else:
            pen.ellipse(box(x, -0.24, eye, 1.3 * eye), fill=INK)
    if expression == "sunglasses":
        pen.rectangle(box(0, -0.3, 0.8, 0.05), fill=INK)
    if expression == "tears":
        for x in (-apart, apart):
            pen.rectangle(box(x, 0.28, 0.1, 0.3), fill=WATER)
    if expression in ("smile", "wink", "sunglasses", "tongue"):
        pen.arc(box(0, 0.2, mouth, 0.35), 10, 170, fill=INK, width=line)
    if expression == "tongue":
        pen.ellipse(box(0.12, 0.6, 0.15, 0.2), fill=RED)
    elif expression == "laugh":
        pen.chord(box(0, 0.22, mouth + 0.05, 0.5), 0, 180, fill=RED, outline=INK, width=line // 2)
    elif expression == "calm":
        pen.rectangle(box(0, 0.42, mouth, 0.055), fill=INK)
    elif expression in ("frown", "tears"):
        pen.arc(box(0, 0.65, mouth, 0.3), 190, 350, fill=INK, width=line)
    elif expression == "surprise":
        pen.ellipse(box(0, 0.47, 0.22, 0.26), fill=INK)
    elif expression == "asleep":
        pen.ellipse(box(0, 0.42, 0.13, 0.08), fill=INK)
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX))
