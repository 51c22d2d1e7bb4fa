"""A run in the plane: the training of a GAN of points, played on the game board, so that a run leaves the board."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigan.board import Board
from minigan.data.toy import Mixture
from minigan.models import GAN
from minigan.optim import Adam
from minigan.penalty import of_kind
from minigan.training import Training


class PlaneTraining(Training):
    """A Training whose steps are a board's rounds, and so can be gone through again, forward and back.

    mixture: the density that points are drawn from, fresh ones at each move. every: moves between two moments that
    the board keeps. Options are those of a Training; a board has no clipping, no average and no workers.
    """

    def __init__(
        self,
        model: GAN,
        mixture: Mixture,
        points: np.ndarray,
        *,
        every: int = 25,
        penalty: str | None = None,
        penalty_weight: float = 10.0,
        **options: Any,
    ) -> None:
        if options.get("clip") or options.get("average") or options.get("workers", 1) > 1:
            raise ValueError(f"{model.name} is played on a board, which has no --clip, --average or --workers.")
        super().__init__(model, points, penalty=penalty, penalty_weight=penalty_weight, **options)

        def its_penalty(random):
            return of_kind(penalty, penalty_weight, random)

        its_penalty.__name__ = f"{penalty}, weight {penalty_weight:g}"  # as the board's title says it
        self.board = Board(
            mixture,
            self.G,
            self.D,
            loss=self.loss,
            batch=self.batch,
            penalty=None if penalty is None else its_penalty,
            d_steps=self.d_steps,
            seed=self.seed,
            optimizer=options.get("optimizer", Adam),
            lr_g=self.G_optimizer.lr,
            lr_d=self.D_optimizer.lr,
            every=every,
        )
        self.optimizers = {"G": self.board.G_optimizer, "D": self.board.D_optimizer}

    def advance(self) -> None:
        """One round: D's moves, then G's."""
        for _ in range(self.d_steps):
            self.board.step("D")
        self.trace = dict(self.board.trace)
        self.board.step("G")
        self.trace |= self.board.trace
        self.step += 1

    def load(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        """Go on from a checkpoint: the moves up to it are played again, so that the board knows its past."""
        start = self.board.goto(0)
        super().load(arrays, facts)  # refuses what is not this model's
        start.goto(0).play(facts["step"] * (self.d_steps + 1))
        super().load(arrays, facts)
