"""Lesson 04, "Why do GANs spin?": its exercises.

n weights of G, theta, and m weights of D, w, in the game theta^T A w: G descends, D climbs. N is the batch's place:
here the number of points, of G's weights, or of eigenvalues but two.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw

# ---- 04.radius_and_angle --------------------------------------------------------------------------------------


def make_matrix(rng, N):
    """M (N + 2, N + 2): a complex pair is largest by modulus, a positive number largest by its real part."""
    n = N + 2
    radius = 0.8 + 0.5 * rng.random()
    angle = 0.5 + 0.6 * rng.random()
    if N % 2:  # beyond a right angle, where arctan(Im / Re) goes wrong
        angle = np.pi - angle
    turn = radius * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    M = np.diag(radius * (-0.8 + 0.2 * rng.random(n)))
    M[-1, -1] = radius * (0.9 + 0.05 * rng.random())
    M[:2, :2] = turn
    S = np.eye(n) + 0.6 / n * draw(rng, (n, n))  # other coordinates, in which the turn is no longer seen
    return {"M": S @ M @ np.linalg.inv(S)}


def radius_and_angle(M):
    mu = np.linalg.eigvals(M)
    first = mu[np.abs(mu).argmax()]
    return np.abs(first), np.abs(np.angle(first))


def _first(M):
    """The largest eigenvalue by modulus."""
    mu = np.linalg.eigvals(M)
    return mu[np.abs(mu).argmax()]


RADIUS_AND_ANGLE = Exercise(
    name="04.radius_and_angle",
    asked="the modulus of M's largest eigenvalue, by modulus, and its angle between 0 and pi: two numbers",
    make=make_matrix,
    solution=radius_and_angle,
    returns=("the radius", "the angle"),
    float32=False,  # two numbers: whether they are NumPy's or Python's does not matter
    wrong=(
        Wrong(
            lambda M: (np.linalg.eigvals(M).real.max(), radius_and_angle(M)[1]),
            "the largest real part",
            "this is the largest real part. Real parts decide for the field's Jacobian, in continuous time; a matrix "
            "that is applied k times multiplies by |mu|^k, so take the modulus, sqrt(Re^2 + Im^2)",
        ),
        Wrong(
            lambda M: (_first(M).real, radius_and_angle(M)[1]),
            "has lost its imaginary part",
            "the largest eigenvalue has lost its imaginary part: its modulus is sqrt(Re^2 + Im^2)",
        ),
        Wrong(
            lambda M: (np.linalg.norm(M, 2), radius_and_angle(M)[1]),
            "the largest singular value",
            "this is the largest singular value, how far one step can stretch an arrow; how far many steps do is "
            "said by the eigenvalues",
        ),
        Wrong(
            lambda M: (radius_and_angle(M)[0], np.abs(_first(M).imag)),
            "the imaginary part, not the angle",
            "this is the imaginary part, not the angle: they are nearly the same only for small steps",
        ),
        Wrong(
            lambda M: (radius_and_angle(M)[0], np.abs(np.arctan(_first(M).imag / _first(M).real))),
            "arctan(Im / Re)",
            "arctan(Im / Re) knows no angle beyond pi / 2; np.angle does, and so does arctan2(Im, Re)",
        ),
        Wrong(
            lambda M: (radius_and_angle(M)[0], np.degrees(radius_and_angle(M)[1])),
            "in degrees",
            "this is in degrees: give radians",
        ),
    ),
)


# ---- 04.alternating_matrix ------------------------------------------------------------------------------------


def make_game(rng, N):
    return {"A": draw(rng, (N, sizes(rng, N, 1)[0])), "h": 0.3}


def _blocks(A, h, power, corner):
    """[[I, -h A], [h A^T, I - power A^T A]] and its kin: corner says which block has the square."""
    n, m = A.shape
    G, D = np.eye(n, dtype=A.dtype), np.eye(m, dtype=A.dtype)
    if corner == "G":
        G = G - power * A @ A.T
    else:
        D = D - power * A.T @ A
    return np.block([[G, -h * A], [h * A.T, D]])


def alternating_matrix(A, h):
    n, m = A.shape
    G, D = np.eye(n, dtype=A.dtype), np.eye(m, dtype=A.dtype)
    return np.block([[G, -h * A], [h * A.T, D - h**2 * A.T @ A]])


def _both_descend(A, h):
    M = _blocks(A, h, -(h**2), "D")
    M[len(A) :, : len(A)] *= -1
    return M


def _eyes_of_float64(A, h):
    """Right, but np.eye is float64 whatever comes in."""
    n, m = A.shape
    return np.block([[np.eye(n), -h * A], [h * A.T, np.eye(m) - h**2 * A.T @ A]])


ALTERNATING_MATRIX = Exercise(
    name="04.alternating_matrix",
    asked="the matrix M (n + m, n + m) of one turn of alternating play, G first, in the game theta^T A w, A (n, m)",
    make=make_game,
    solution=alternating_matrix,
    returns=("M",),
    wrong=(
        Wrong(
            lambda A, h: _blocks(A, h, 0, "D"),
            "the simultaneous step",
            "this is the simultaneous step: in alternating play D sees the theta that G has just moved to, "
            "theta - h A w; put that into D's line",
        ),
        Wrong(
            _both_descend,
            "D has to climb",
            "here both players descend, but D has to climb: w + h A^T theta, with theta where G has moved to",
        ),
        Wrong(
            lambda A, h: _blocks(A, h, h**2, "G"),
            "here D moves first",
            "here D moves first, and G sees the new w; G is to move first",
        ),
        Wrong(
            lambda A, h: _blocks(A, -h, h**2, "D"),
            "G climbs and D descends",
            "here G climbs and D descends, or M is transposed: rows are the new weights, columns the old ones",
        ),
        Wrong(
            lambda A, h: _blocks(A, h, h, "D"),
            "one factor h is missing",
            "one factor h is missing: G's move and D's are each multiplied by h, so their product has h^2",
        ),
        Wrong(_eyes_of_float64, "float32 in gives float64 out"),
    ),
)


# ---- 04.extragradient_step ------------------------------------------------------------------------------------


def make_field(rng, N):
    """v: (N, M) -> (N, M), curved; points p (N, M); a step h large enough to tell h^2 from nothing."""
    p = draw(rng, (N, sizes(rng, N, 1)[0]))
    B = draw(rng, (p.shape[1], p.shape[1]))

    def v(p):
        B_too = B.astype(p.dtype)
        return np.sin(p @ B_too) - p * (p @ B_too.T)

    return {"v": v, "p": p, "h": 0.3}


def extragradient_step(v, p, h):
    ahead = p + h * v(p)
    return p + h * v(ahead)


def _in_place(v, p, h):
    here = p.copy()
    p += h * v(p)
    return here + h * v(p)


EXTRAGRADIENT_STEP = Exercise(
    name="04.extragradient_step",
    asked="where one extragradient step of length h takes the points p in the field v: an array of p's shape",
    make=make_field,
    solution=extragradient_step,
    returns=("the point",),
    wrong=(
        Wrong(
            lambda v, p, h: p + h * v(p) + h * v(p + h * v(p)),
            "from the look-ahead point",
            "this steps on from the look-ahead point, and is nothing but two plain steps: go back to p, and step "
            "from there by the arrow at the look-ahead point",
        ),
        Wrong(
            lambda v, p, h: p + h * v(p),
            "the plain step",
            "this is the plain step: ask v a second time, at the point that it leads to",
        ),
        Wrong(
            lambda v, p, h: p + h * v(p - h * v(p)),
            "looks behind",
            "this looks behind, at p - h v(p): v is already the direction in which the players move",
        ),
        Wrong(
            lambda v, p, h: p + h / 2 * (v(p) + v(p + h * v(p))),
            "the mean of both arrows",
            "this is the mean of both arrows, Heun's step: the arrow at p only serves to look ahead",
        ),
        Wrong(
            lambda v, p, h: p + h * v(p + h / 2 * v(p)),
            "half a step ahead",
            "this looks half a step ahead, the midpoint rule: look a whole step ahead",
        ),
        Wrong(_in_place, "leaves its input p changed"),
    ),
)

EXERCISES = (RADIUS_AND_ANGLE, ALTERNATING_MATRIX, EXTRAGRADIENT_STEP)
