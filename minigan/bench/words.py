"""A writer: maximum likelihood of words (N, T), one LSTM."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from minigan.backend import rng, to_device, to_host
from minigan.bench.case import BEST, MINIGAN, TUTORIAL, WORKERS, Case, Player, Start, with_weights
from minigan.models.seqgan import Writer
from minigan.optim import Adam
from minigan.workers import Workers


class WriterSizes(NamedTuple):
    vocabulary: int
    features: int
    hidden: int
    length: int


def writer_flop(s: WriterSizes, batch: int) -> float:
    each = 4 * s.hidden * (s.features + s.hidden) + s.hidden * s.vocabulary
    return 3 * 2.0 * batch * s.length * each  # forward, dW, dx


def writer_start(s: WriterSizes, batch: int) -> Start:
    words = np.random.default_rng(0).integers(0, s.vocabulary, (2048, s.length))
    net = Writer(s.vocabulary, s.features, s.hidden, rng=rng(0))
    return {
        "words": words,
        "first.words": words[:batch],
        **{f"G.{key}": to_host(p) for key, p in net.params.items()},
    }


def writer_in_minigan(s: WriterSizes, start: Start, batch: int, device: str, processes: int = 1) -> dict[str, Player]:
    words, r = to_device(start["words"].astype("int64")), np.random.default_rng(1)
    net = with_weights(Writer(s.vocabulary, s.features, s.hidden, rng=rng(0)), start, "G")
    adam = Adam(net, 1e-3, 0.9)
    workers = Workers(processes, adam) if processes > 1 else None

    def step(some):
        net.zero_grad()
        net.learn(workers.rows(some) if workers else some)
        adam.step()

    if workers:
        workers.start(step)

    gradients = lambda: {key: to_host(g).copy() for key, g in net.grads.items()}
    draw = lambda: (words[to_device(r.integers(0, len(words), batch))],)
    return {"G": Player((words[:batch],), draw, workers or step, gradients)}


def writer_in_torch(s: WriterSizes, start: Start, batch: int, device: str, best: bool) -> dict[str, Player]:
    import torch
    from torch import nn

    words = torch.from_numpy(start["words"].astype("int64")).to(device)
    dtype = torch.from_numpy(start["G.0.W"]).dtype
    embedding, lstm = nn.Embedding(s.vocabulary, s.features), nn.LSTM(s.features, s.hidden, batch_first=True)
    net = nn.ModuleList([embedding, lstm, nn.Linear(s.hidden, s.vocabulary)]).to(device, dtype)
    out, loss = net[2], nn.CrossEntropyLoss()
    pairs = {  # ours -> theirs; the gates lie in the same order, and of their two biases one stays at zero's gradient
        "0.W": (embedding.weight, False),
        "1.Wx": (lstm.weight_ih_l0, True),
        "1.Wh": (lstm.weight_hh_l0, True),
        "1.b": (lstm.bias_ih_l0, False),
        "2.W": (out.weight, True),
        "2.b": (out.bias, False),
    }
    with torch.no_grad():
        lstm.bias_hh_l0.zero_()
        for key, (p, turned) in pairs.items():
            ours = torch.from_numpy(start[f"G.{key}"])
            p.copy_(ours.T if turned else ours)
    adam = torch.optim.Adam(net.parameters(), 1e-3, **({"fused": True} if best else {}))

    def step(some):
        given = torch.cat([torch.zeros_like(some[:, :1]), some[:, :-1]], dim=1)
        logits = out(lstm(embedding(given))[0])
        adam.zero_grad()
        loss(logits.reshape(-1, s.vocabulary), some.reshape(-1)).backward()
        adam.step()

    def gradients():
        return {key: (p.grad.T if turned else p.grad).cpu().numpy().copy() for key, (p, turned) in pairs.items()}

    draw = lambda: (words[torch.randint(0, len(words), (batch,), device=device)],)
    return {"G": Player((words[:batch],), draw, step, gradients)}


def writer_case(s: WriterSizes) -> Case:
    contestants: dict[str, Callable] = {
        MINIGAN: partial(writer_in_minigan, s),
        WORKERS: partial(writer_in_minigan, s, processes=2),
    }
    contestants |= {name: partial(writer_in_torch, s, best=name == BEST) for name in (TUTORIAL, BEST)}
    return Case((64,), partial(writer_flop, s), partial(writer_start, s), contestants)
