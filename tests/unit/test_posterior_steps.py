"""The few steps of conjugate gradients of a training leave draws close to exact ones, on real ratings.

Covers: the default of train.bayes.steps on MovieLens 100K, u1, rank 16: deviation of draws, and of ratings about them.
Does not cover: exact draws (test_posterior_draws.py).

Measured from the same draws on, 240 draws each: one step leaves a third of the deviation of predictions out, two steps
6 %, three 0.7 %; with four and more it is that of ten.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from exact_draws import SmallGrid, State

from funkflow.pipeline.settings.method_settings import BayesSettings
from funkflow.tasks.noise import Stream

RANK, EXACT = 16, 10
"""Ten steps leave 1e-5 of a row's deviation."""


@pytest.mark.long
def test_the_steps_of_a_training_leave_the_deviation_of_draws(ratings_dir: Path) -> None:
    folder = ratings_dir / "ml-100k"
    every, held_out = (np.loadtxt(folder / name, int) for name in ("u.data", "u1.test"))
    cells = [each[:, 0] * 10_000 + each[:, 1] for each in (every, held_out)]
    train = every[~np.isin(*cells)]
    scaled = (train[:, 2] - train[:, 2].mean()) / train[:, 2].std()
    grid = SmallGrid((943, 1682), train[:, 0] - 1, train[:, 1] - 1, scaled.astype(np.float32), RANK, number="f4")
    rng = np.random.default_rng(0)
    state = State(0.1 * grid.rows(rng, "user"), 0.1 * grid.rows(rng, "item"), 1.0)
    state.users[:, -1] = state.items[:, -2] = 1.0
    for sweep in range(140):
        state = replace(grid, steps=EXACT // 2).sweep(state, Stream(0, 1, 2 + sweep))

    def deviations(steps: int) -> tuple[float, float]:
        """Of predictions between draws, and of ratings about them."""
        after, noise, predicted = state, [], []
        for sweep in range(120):
            after = replace(grid, steps=steps).sweep(after, Stream(0, 2, 2 + sweep))
            if sweep >= 20:
                noise.append(after.precision**-0.5)
                u, i = after.users[held_out[:, 0] - 1], after.items[held_out[:, 1] - 1]
                predicted.append(np.einsum("nf,nf->n", u, i))
        return float(np.std(predicted, axis=0).mean()), float(np.mean(noise))

    exact, two, chosen = (deviations(steps) for steps in (EXACT, 2, BayesSettings().steps))
    assert chosen == pytest.approx(exact, rel=0.015)
    assert two[0] < 0.96 * exact[0]
