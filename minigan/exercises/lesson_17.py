"""Lesson 17, "Can it move?": its exercises.

N clips of T frames; Z numbers of content and M of motion; K frames of each clip go to the frame critic.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 17.roughness ---------------------------------------------------------------------------------------------


def make_paths(rng, N):
    """Paths (N, T, 2) that drift and tremble, each as far and as fast as it likes."""
    T = 3 + sizes(rng, N, 1)[0]
    steps = 0.4 * draw(rng, (N, 1, 2)) + rng.uniform(0.1, 1, (N, 1, 1)) * rng.standard_normal((N, T, 2))
    return {"path": np.cumsum(steps, axis=1)}


def _length(v):
    return np.linalg.norm(v, axis=2)


def roughness(path):
    return _length(np.diff(path, n=2, axis=1)).mean(axis=1) / _length(np.diff(path, axis=1)).mean(axis=1)


def _sums(path):
    return _length(np.diff(path, n=2, axis=1)).sum(axis=1) / _length(np.diff(path, axis=1)).sum(axis=1)


def _quotients(path):
    return (_length(np.diff(path, n=2, axis=1)) / _length(np.diff(path, axis=1)[:, 1:])).mean(axis=1)


def _two_frames(path):
    return _length(path[:, 2:] - path[:, :-2]).mean(axis=1) / _length(np.diff(path, axis=1)).mean(axis=1)


def _by_coordinate(path):
    return np.abs(np.diff(path, n=2, axis=1)).mean(axis=(1, 2)) / np.abs(np.diff(path, axis=1)).mean(axis=(1, 2))


ROUGHNESS = Exercise(
    name="17.roughness",
    asked="of each path (T, 2) the mean length of its second differences over that of its first, (N,)",
    make=make_paths,
    solution=roughness,
    returns=("the roughness",),
    wrong=(
        Wrong(
            _two_frames,
            "the way over two frames",
            "p_t+2 - p_t is the way over two frames, which is long in the smoothest motion; the second difference is "
            "p_t+2 - 2 p_t+1 + p_t, the change of the step",
        ),
        Wrong(
            _quotients,
            "one quotient for each frame",
            "this is one quotient for each frame, and the mean of these: a single step of nearly no length then "
            "decides; divide the two means",
        ),
        Wrong(
            _by_coordinate,
            "row and column by themselves",
            "it takes |.| of row and column by themselves, which depends on how the axes lie; take the length of the "
            "vector, the root of the sum of squares over the last axis",
        ),
        Wrong(
            _sums,
            "T - 2 second differences",
            "it divides sums: there are T - 2 second differences and T - 1 first ones, so take the mean of each",
        ),
        Wrong(
            lambda path: 1 / roughness(path),
            "upside down",
            "it is upside down: the second differences stand above, so that uniform motion has roughness 0",
        ),
        Wrong(
            lambda path: np.full(
                len(path),
                _length(np.diff(path, n=2, axis=1)).mean() / _length(np.diff(path, axis=1)).mean(),
                path.dtype,
            ),
            "of all clips together",
            "the means are of all clips together, in which a fast clip counts more; each clip has its own roughness, "
            "so average over the frames alone",
        ),
    ),
)


# ---- 17.codes_backward ----------------------------------------------------------------------------------------


def make_codes(rng, N):
    T, Z, M = sizes(rng, N, 3)
    return {"d_codes": draw(rng, (N, T, Z + M)), "Z": Z}


def codes_backward(d_codes, Z):
    return d_codes[..., :Z].sum(axis=1), d_codes[..., Z:]


CODES_BACKWARD = Exercise(
    name="17.codes_backward",
    asked="from d_codes (N, T, Z + M) the gradients on content (N, Z), which all T frames share, and on m (N, T, M)",
    make=make_codes,
    solution=codes_backward,
    returns=("d_content", "dm"),
    wrong=(
        Wrong(
            lambda d_codes, Z: (d_codes[..., :Z].mean(axis=1), d_codes[..., Z:]),
            "the mean over the frames",
            "this is the mean over the frames; a number that is used T times receives the sum of T gradients",
        ),
        Wrong(
            lambda d_codes, Z: (d_codes[:, 0, :Z], d_codes[..., Z:]),
            "the first frame alone",
            "this is what the first frame alone sends back; content is in all T frames, and all of them send",
        ),
        Wrong(
            lambda d_codes, Z: (d_codes[..., :Z], d_codes[..., Z:]),
            "a gradient for each frame",
            "it has a gradient for each frame, but there is one content code a clip: add them up over the frames",
        ),
        Wrong(
            lambda d_codes, Z: (d_codes[..., :Z].sum(axis=0), d_codes[..., Z:]),
            "summed over the clips",
            "it is summed over the clips, axis 0; clips have contents of their own, and frames share: axis 1",
        ),
        Wrong(
            lambda d_codes, Z: (d_codes[..., -Z:].sum(axis=1), d_codes[..., :-Z]),
            "motion's end of the code",
            "it is taken from motion's end of the code: content stands first, in d_codes[..., :Z]",
        ),
        Wrong(
            lambda d_codes, Z: (codes_backward(d_codes, Z)[0], np.cumsum(d_codes[:, ::-1, Z:], axis=1)[:, ::-1]),
            "summed over later frames",
            "it is summed over later frames; going back through time is the recurrent cell's part, and comes after "
            "this one: each m_t is in one frame only",
        ),
    ),
)


# ---- 17.meet --------------------------------------------------------------------------------------------------


def make_gradients(rng, N):
    """Gradients of both critics; frames are drawn with replacement, and in the first clip one comes up twice."""
    T, K, pixels, channels = sizes(rng, N, 4)
    at = rng.integers(0, T, (N, K))
    at[0, 1] = at[0, 0]
    return {"d_clip": draw(rng, (N, T, pixels, channels)), "d_frames": draw(rng, (N, K, pixels, channels)), "at": at}


def meet(d_clip, d_frames, at):
    dclips = d_clip.copy()
    np.add.at(dclips, (np.arange(len(at))[:, None], at), d_frames)
    return dclips


def _assigned(d_clip, d_frames, at):
    dclips = d_clip.copy()
    for n, k in np.ndindex(at.shape):
        dclips[n, at[n, k]] = d_frames[n, k]
    return dclips


def _once(d_clip, d_frames, at):
    dclips = d_clip.copy()
    dclips[np.arange(len(at))[:, None], at] += d_frames
    return dclips


def _in_place(d_clip, d_frames, at):
    np.add.at(d_clip, (np.arange(len(at))[:, None], at), d_frames)
    return d_clip


def _in_order(d_clip, d_frames, at):
    return meet(d_clip, d_frames, np.broadcast_to(np.arange(at.shape[1]) % d_clip.shape[1], at.shape))


MEET = Exercise(
    name="17.meet",
    asked="d_clip (N, T, W, C), and on top of it d_frames (N, K, W, C), each at its frame at (N, K)",
    make=make_gradients,
    solution=meet,
    returns=("dclips",),
    wrong=(
        Wrong(
            _assigned,
            "overwrites",
            "the frame critic's gradient overwrites the clip critic's, where it is to be added: both losses depend "
            "on that frame",
        ),
        Wrong(
            _once,
            "comes up twice",
            "where a frame comes up twice, only one of its gradients is there: a[i, j] += b reads, adds and writes "
            "once a place; np.add.at(a, (i, j), b) adds every time",
        ),
        Wrong(_in_place, "leaves its input d_clip changed"),
        Wrong(
            lambda d_clip, d_frames, at: d_clip + d_frames.sum(axis=1, keepdims=True),
            "all T frames",
            "the frame critic's gradient comes to all T frames, but it saw those of `at` alone",
        ),
        Wrong(
            _in_order,
            "to the first K frames",
            "the gradients come to the first K frames: d_frames[n, k] belongs to frame at[n, k]",
        ),
        Wrong(
            lambda d_clip, d_frames, at: d_clip + (meet(d_clip, d_frames, at) - d_clip) / at.shape[1],
            "divided by K",
            "the frame critic's part is divided by K: the loss has its mean in it already, and d_frames comes from "
            "there",
        ),
    ),
)

EXERCISES = (ROUGHNESS, CODES_BACKWARD, MEET)
