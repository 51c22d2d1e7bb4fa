"""Two cores for one layer: a batch in lanes, each on a thread of its own, with a BLAS of one thread to itself.

BLAS alone uses all cores for a product, and leaves them idle while columns are copied, added up and normalised.
NumPy lets go of Python's lock in both, so threads that each take a part of the batch keep the cores busy. The layers
are the same: with one lane, as at first, nothing is shared and nothing changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_lanes = 1
_pool: ThreadPoolExecutor | None = None


@contextlib.contextmanager
def lanes(n: int) -> Iterator[None]:
    """Within this block layers split batches into n lanes, and BLAS computes each product on one thread.

    For networks of convolutions. In those of large dense layers BLAS's own threads do better: leave it out.
    """
    global _lanes, _pool
    from threadpoolctl import threadpool_limits

    if n < 2:
        yield
        return
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n - 1) as pool:
        before = _lanes, _pool
        _lanes, _pool = n, pool
        try:
            yield
        finally:
            _lanes, _pool = before


def in_lanes(work: Callable[[Sequence[Any]], Any], parts: Sequence[Any]) -> list[Any]:
    """[work(lane) for lane in lanes], the parts dealt out in turn: the same parts to the same lane in every run."""
    dealt = [parts[i::_lanes] for i in range(min(_lanes, len(parts)))]
    if _pool is None or len(dealt) < 2:
        return [work(lane) for lane in dealt]
    others = [_pool.submit(work, lane) for lane in dealt[1:]]
    return [work(dealt[0]), *(other.result() for other in others)]
