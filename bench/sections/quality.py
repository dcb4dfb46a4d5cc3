"""Quality per second: how long until the RMSE that LIBMF reaches in its ten iterations.

Covers: ours from blocks on disk, through Dask and with validation after every epoch; LIBMF from ratings in memory, its
passes alone, without set-up and validation.
Does not cover: reading text and training to the end (jobs.py).
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import Any

from bench import training
from bench.context import Bench
from bench.measure import Measurement, Row

SECTION = "quality: time to LIBMF's validation RMSE"
_TIMES_AS_MANY = 2


def rows(bench: Bench) -> list[Row]:
    """Return a row for ours and one for LIBMF; none where LIBMF does not take part."""
    if "libmf" not in bench.peers:
        return []
    goal = _libmf(bench)
    if goal.failed or goal.rmse is None:
        return [Row(SECTION, f"k = {bench.rank}", "libmf", failed=goal.failed or "no RMSE")]
    contestants = {"ours": partial(_ours, bench, goal.rmse), "libmf": partial(_libmf, bench)}
    return bench.compare(SECTION, f"k = {bench.rank}, RMSE {goal.rmse:.4f}", contestants)


def _libmf(bench: Bench) -> Measurement:
    words = ("--rank", bench.rank, "--threads", 2, "--iterations", bench.form.iterations)
    return bench.ask_peer("libmf", partial(_trained, ratings=bench.data.ratings), *words)


def _trained(content: dict[str, Any], ratings: int) -> Measurement:
    passes = content["iteration_seconds"]
    ended = list(accumulate(passes))
    return Measurement(
        seconds=ended[-1],
        ratings=ratings * len(passes),
        rmse=content["rmse"],
        note=f"{len(passes)} passes, without {content['setup_seconds']:.3g} s of set-up",
        more={"pass_ended_seconds": ended, "unclipped_rmse": content["validation_rmse"]},
    )


def _ours(bench: Bench, goal: float) -> Measurement:
    epochs = bench.form.iterations * _TIMES_AS_MANY
    trained = training.train_through_dask(bench.data.raw, bench.folder / "funkflow", bench.rank, epochs)
    there = [number for number, rmse in enumerate(trained.rmse) if rmse <= goal]
    if not there:
        return Measurement(failed=f"RMSE {min(trained.rmse):.4f} at best in {epochs} epochs, wanted {goal:.4f}")
    return Measurement(
        seconds=trained.seconds[there[0]],
        ratings=bench.data.ratings * (there[0] + 1),
        rmse=trained.rmse[there[0]],
        note=f"{there[0] + 1} epochs, from blocks on disk",
        more={"epoch_ended_seconds": trained.seconds, "rmse": trained.rmse},
    )
