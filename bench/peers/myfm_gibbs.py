"""myFM: a Bayesian factorisation machine by Gibbs sampling, one thread of C++.

Covers: its `MyFMGibbsRegressor` with features, and the RMSE of the running mean of its draws after each of them.
Does not cover: the features (bench/who_and_when/features.py), or its classifiers.

It runs in any Python that has myfm, since that has NumPy and SciPy; hence it leaves out contract.py. Users and items
are relation blocks, which myFM goes through once for each row of the block instead of once for each rating.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from myfm import MyFMGibbsRegressor, RelationBlock

from bench.who_and_when.features import Features, Ratings

LEFT_OUT = 5
"""The first draws, which its own mean leaves out, too, by default."""


class Stopwatch:
    """Seconds on the clock and of the processor while it runs, (2,); it starts at once."""

    def __init__(self) -> None:
        self._before, self._since = np.zeros(2), _now()

    def stop(self) -> Any:
        """Stop and return the seconds so far."""
        self._before = self._before + _now() - self._since
        return self._before

    def go_on(self) -> None:
        self._since = _now()


def _now() -> Any:
    return np.array([time.perf_counter(), time.process_time()])


class RunningMean:
    """A callback of the fit: add the predictions of a draw to their mean, and write a line with its RMSE.

    A line holds the number of draws so far, seconds of fit so far on the clock and of the processor, the mean's RMSE,
    and the draw's own. Predictions are clipped to the range of the training ratings. The seconds leave out the time
    that this callback takes.
    """

    def __init__(self, rows: tuple[Any, Any], validation: Ratings, bounds: tuple[float, float], lines: TextIO) -> None:
        self._rows, self._ratings, self._bounds, self._lines = rows, validation["rating"], bounds, lines
        self._sum = np.zeros(len(validation))
        self._watch = Stopwatch()
        self.seconds = [0.0, 0.0]
        self.rmse = float("nan")

    def __call__(self, number: int, machine: Any, _hyper: Any, _history: Any) -> tuple[bool, None]:
        """Take draw `number`, from 0; training goes on."""
        self.seconds = self._watch.stop().tolist()
        scores = np.asarray(machine.predict_score(*self._rows))
        counted = max(1, number + 1 - LEFT_OUT)
        self._sum = scores + (self._sum if counted > 1 else 0.0)
        self.rmse = self._rmse(self._sum / counted)
        print(json.dumps([number + 1, *self.seconds, self.rmse, self._rmse(scores)]), file=self._lines, flush=True)
        self._watch.go_on()
        return False, None

    def _rmse(self, scores: Any) -> float:
        errors = self._ratings - np.clip(scores, *self._bounds)
        return float(np.sqrt(np.mean(errors.astype(np.float64) ** 2)))


def train(folder: Path, trace: Path, *, rank: int, draws: int, seed: int, who: bool, when: bool) -> dict[str, Any]:
    """Draw, with a line in `trace` after each draw; `folder` holds training.npy and validation.npy."""
    began = time.perf_counter()
    training, validation = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "r") for name in ("training", "validation")
    )
    features = Features.of(training, validation, who=who, when=when)
    rows, asked = (
        (
            features.days_of(ratings),
            [RelationBlock(ratings["user"], features.users), RelationBlock(ratings["item"], features.items)],
        )
        for ratings in (training, validation)
    )
    targets = training["rating"].astype(np.float64)
    model = MyFMGibbsRegressor(rank=rank, random_seed=seed)
    prepared = time.perf_counter()
    with trace.open("w", encoding="utf-8") as lines:
        mean = RunningMean(asked, validation, (float(targets.min()), float(targets.max())), lines)
        model.fit(
            rows[0], targets, X_rel=rows[1], n_iter=draws, n_kept_samples=1, group_shapes=list(features.groups),
            callback=mean,
        )  # fmt: skip
    return {
        "prepare_seconds": prepared - began,
        "train_seconds": mean.seconds[0],
        "processor_seconds": mean.seconds[1],
        "rmse": mean.rmse,
        "version": version("myfm"),
    }


def main() -> None:
    """Do what the command line asks and print the answer as the last line."""
    words = argparse.ArgumentParser(description="myFM with features")
    words.add_argument("folder", type=Path)
    words.add_argument("trace", type=Path)
    words.add_argument("--rank", type=int, default=32)
    words.add_argument("--draws", type=int, default=512)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--who", action="store_true", help="the items of the user and the users of the item")
    words.add_argument("--when", action="store_true", help="the day of the rating")
    print(json.dumps(train(**vars(words.parse_args()))))


if __name__ == "__main__":
    main()
