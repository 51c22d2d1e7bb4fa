"""Face icons: what is said of each is what is drawn, and the seed decides."""

import numpy as np
import pytest

from minigan.data import face_icons
from minigan.data.faces import EXPRESSIONS
from minigan.metrics.neighbours import vote


def test_the_same_seed_gives_the_same_icons_and_the_first_of_many_are_those_of_few():
    many, few, others = face_icons(40), face_icons(7), face_icons(40, seed=1)
    for a, b in zip(many, few):
        assert np.array_equal(a[:7], b)
    assert not np.array_equal(many.images, others.images)
    assert many.images.shape == (40, 28, 28, 3) and many.images.dtype == np.uint8
    assert face_icons(2, size=64).images.shape == (2, 64, 64, 3)


def test_skin_and_corners_have_their_colours():
    faces = face_icons(200)
    assert (faces.images[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    near = np.abs(faces.images.astype(int) - faces.colour[:, None, None]).max(-1) < 12
    assert near.mean((1, 2)).min() > 0.15  # of the icon is skin


def test_expressions_are_even_and_can_be_told_apart():
    faces, unseen = face_icons(3000), face_icons(300, seed=1)
    shares = np.bincount(faces.label, minlength=len(EXPRESSIONS)) / 3000
    assert shares.min() > 0.08 and shares.max() < 0.12
    grey = lambda icons: icons.images.astype(np.float32).mean(-1)
    right = vote(grey(unseen), grey(faces), faces.label) == unseen.label  # the nearest five
    assert right.mean() > 0.45  # chance has 0.1


@pytest.mark.parametrize(
    "asked, words", [({"n": 0}, "n must be"), ({"n": 2.5}, "n must be"), ({"n": 1, "size": 8}, "size must be")]
)
def test_bad_input_is_a_sentence(asked, words):
    with pytest.raises(ValueError, match=f"^{words} a whole number of at least .*\\.$"):
        face_icons(**asked)
