"""Lesson 13, "How do I ask for a 7?": its exercises.

N samples, K classes, E features of a label's vector, C channels of what it is joined to.
"""

from __future__ import annotations

import numpy as np

from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck import draw


def drawn_labels(rng, N, K):
    """N labels: the last is the first again, and the second another one, where there are so many."""
    labels = rng.integers(K, size=N)
    labels[1:2] = (labels[0] + rng.integers(1, K)) % K
    labels[-1] = labels[0]
    return labels


TWICE = (
    "where a label occurs twice, only its last sample counts: `dW[labels] += ...` adds to a copy of the rows, and "
    "then writes them back, the later over the earlier; take np.add.at, or a one-hot matrix"
)


# ---- 13.embedding_backward ------------------------------------------------------------------------------------


def make_looked_up(rng, N):
    """The gradient on the vectors of N labels, and the table; dy and x serve the diagnosis."""
    K, E = sizes(rng, N, 2)
    de = draw(rng, (N, E))
    return {"de": de, "labels": drawn_labels(rng, N, K), "W": draw(rng, (K, E)), "dy": de, "x": de}


def embedding_backward(de, labels, W):
    dW = np.zeros_like(W)
    np.add.at(dW, labels, de)
    return dW


def _once_each(de, labels, W):
    dW = np.zeros_like(W)
    dW[labels] += de
    return dW


def _one_hot(labels, W):
    return (labels[:, None] == np.arange(len(W))).astype(W.dtype)


def _mean_of_a_label(de, labels, W):
    return embedding_backward(de, labels, W) / np.maximum(_one_hot(labels, W).sum(axis=0), 1)[:, None]


def _float64(de, labels, W):
    dW = np.zeros(W.shape)
    np.add.at(dW, labels, de)
    return dW


def _into_the_table(de, labels, W):
    np.add.at(W, labels, de)
    return W


EMBEDDING_BACKWARD = Exercise(
    name="13.embedding_backward",
    asked="dW (K, E) of e = W[labels], from de (N, E), the labels (N,) and W (K, E)",
    make=make_looked_up,
    solution=embedding_backward,
    returns=("dW",),
    forward=lambda labels, W: W[labels],
    wrong=(
        Wrong(_once_each, "occurs twice", TWICE),
        Wrong(
            _mean_of_a_label,
            "divided by how often",
            "each row is divided by how often its label occurs: that is a mean, and gradients of one row add up",
        ),
        Wrong(lambda de, labels, W: embedding_backward(de, labels, W) / len(de), "the mean over the batch where its"),
        Wrong(lambda de, labels, W: de.T @ _one_hot(labels, W), "transposed"),
        Wrong(_into_the_table, "leaves its input W changed"),
        Wrong(_float64, "float32 in gives float64 out"),
    ),
)


# ---- 13.join_backward -----------------------------------------------------------------------------------------


def make_joined(rng, N):
    """Images (N, H, W, C) with the label's vector at every place; every fourth batch is of plain rows (N, C)."""
    K, E, C, *places = sizes(rng, N, 5)
    places = places if N % 4 else []
    dxe = draw(rng, (N, *places, C + E))
    made = {"dxe": dxe, "labels": drawn_labels(rng, N, K), "W": draw(rng, (K, E))}
    return {**made, "dy": dxe, "x": draw(rng, (N, *places, C))}


def joined(x, labels, W):
    """[x, e], e = W[labels] at every place."""
    e = W[labels].reshape(len(x), *(1 for _ in x.shape[1:-1]), -1)
    return np.concatenate([x, np.broadcast_to(e, (*x.shape[:-1], W.shape[1]))], axis=-1)


def join_backward(dxe, labels, W):
    C = dxe.shape[-1] - W.shape[1]
    de = dxe[..., C:].sum(axis=tuple(range(1, dxe.ndim - 1)))
    return dxe[..., :C], embedding_backward(de, labels, W)


def _label_in_front(dxe, labels, W):
    E = W.shape[1]
    return join_backward(np.concatenate([dxe[..., E:], dxe[..., :E]], axis=-1), labels, W)


def _mean_of_places(dxe, labels, W):
    dx, dW = join_backward(dxe, labels, W)
    return dx, dW / np.prod(dxe.shape[1:-1])


def _one_place(dxe, labels, W):
    C = dxe.shape[-1] - W.shape[1]
    return dxe[..., :C], embedding_backward(dxe.reshape(len(dxe), -1, dxe.shape[-1])[:, 0, C:], labels, W)


def _no_sum(dxe, labels, W):
    C = dxe.shape[-1] - W.shape[1]
    return dxe[..., :C], embedding_backward(dxe[..., C:], labels, W)


def _images_only(dxe, labels, W):
    C = dxe.shape[-1] - W.shape[1]
    return dxe[..., :C], embedding_backward(dxe[..., C:].sum(axis=(1, 2)), labels, W)


def _joined_once_each(dxe, labels, W):
    C = dxe.shape[-1] - W.shape[1]
    return dxe[..., :C], _once_each(dxe[..., C:].sum(axis=tuple(range(1, dxe.ndim - 1))), labels, W)


JOIN_BACKWARD = Exercise(
    name="13.join_backward",
    asked="dx (N, ..., C) and dW (K, E) of [x, W[labels]], the vector at every place, from dxe (N, ..., C + E), the "
    "labels (N,) and W (K, E)",
    make=make_joined,
    solution=join_backward,
    returns=("dx", "dW"),
    forward=joined,
    wrong=(
        Wrong(
            _label_in_front,
            "the wrong end",
            "this is cut at the wrong end: x comes first, its C channels, and behind them the vector's E",
        ),
        Wrong(
            _mean_of_places,
            "the mean over the places",
            "this takes the mean over the places; the vector stood at every one of them, so their gradients add up",
        ),
        Wrong(
            _one_place,
            "a single place",
            "only a single place of each image counts; the vector stood at all of them, so add over all",
        ),
        Wrong(_joined_once_each, "occurs twice", TWICE),
        Wrong(_no_sum, "raised ValueError"),
        Wrong(_images_only, "raised AxisError"),
    ),
)


# ---- 13.projection_backward -----------------------------------------------------------------------------------


def make_projected(rng, N):
    K, E = sizes(rng, N, 2)
    ds, h = draw(rng, (N, 1)), draw(rng, (N, E))
    made = {"ds": ds, "h": h, "labels": drawn_labels(rng, N, K), "w": draw(rng, (E, 1)), "V": draw(rng, (K, E))}
    return {**made, "b": draw(rng, (1,)), "dy": ds, "x": h}


def projection_backward(ds, h, labels, w, V):
    return ds @ w.T + ds * V[labels], h.T @ ds, ds.sum(axis=0), embedding_backward(ds * h, labels, V)


def _without_label(ds, h, labels, w, V):
    return ds @ w.T, *projection_backward(ds, h, labels, w, V)[1:]


def _without_head(ds, h, labels, w, V):
    return ds * V[labels], *projection_backward(ds, h, labels, w, V)[1:]


def _own_vector(ds, h, labels, w, V):
    return *projection_backward(ds, h, labels, w, V)[:3], embedding_backward(ds * V[labels], labels, V)


def _projected_once_each(ds, h, labels, w, V):
    return *projection_backward(ds, h, labels, w, V)[:3], _once_each(ds * h, labels, V)


def _flat_w(ds, h, labels, w, V):
    dh, dw, db, dV = projection_backward(ds, h, labels, w, V)
    return dh, dw[:, 0], db, dV


def _not_summed(ds, h, labels, w, V):
    dh, dw, _, dV = projection_backward(ds, h, labels, w, V)
    return dh, dw, ds, dV


PROJECTION_BACKWARD = Exercise(
    name="13.projection_backward",
    asked="dh (N, E), dw (E, 1), db (1,) and dV (K, E) of s = h w + b + <V[labels], h>, from ds (N, 1), h (N, E), "
    "the labels (N,), w (E, 1) and V (K, E)",
    make=make_projected,
    solution=projection_backward,
    returns=("dh", "dw", "db", "dV"),
    forward=lambda h, labels, w, b, V: h @ w + b + (V[labels] * h).sum(axis=1, keepdims=True),
    wrong=(
        Wrong(
            _without_label,
            "the label's part is missing",
            "the label's part is missing: h is also in the inner product with V[labels], and both gradients add up",
        ),
        Wrong(
            _without_head,
            "the part of h w is missing",
            "the part of h w is missing: h goes both ways, into h w and into the inner product, and both add up",
        ),
        Wrong(
            _own_vector,
            "where h should stand",
            "this has the label's vector where h should stand: by one factor of a product, the other is the slope",
        ),
        Wrong(_projected_once_each, "occurs twice", TWICE),
        Wrong(_flat_w, "a reshape is missing"),
        Wrong(_not_summed, "missing sum over the batch"),
    ),
)

EXERCISES = (EMBEDDING_BACKWARD, JOIN_BACKWARD, PROJECTION_BACKWARD)
