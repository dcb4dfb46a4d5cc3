"""Which commands there are: of each the module that has it, and its line in `funkflow --help`.

Covers: names, lines and their order. Nothing here imports a command, as Dask, numba and Bokeh take seconds to import.
Does not cover: what a command takes and says of itself (the modules beside this file).
"""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A command: its module in commands/, the group it is shown in, and its line."""

    module: str
    panel: str
    line: str


_RUN, _STAGES, _USE = "Run", "Stages of a run, one by one", "Use a model"
_KEEP, _LEARN = "Runs and the model in use", "Learn and measure"

COMMANDS = {
    "run": Listed("stages", _RUN, "from raw ratings to a trained, validated model and its report"),
    "plan": Listed("plan", _RUN, "what a run would do, and the memory and disk that it needs"),
    "compare": Listed("compare", _RUN, "several methods and ranks on one data set"),
    "schedule": Listed("schedule", _RUN, "run at each moment of a cron expression"),
    "backfill": Listed("schedule", _RUN, "run for each date of a range"),
    "recommend": Listed("recommend", _USE, "the best items that users have not rated"),
    "predict": Listed("predict", _USE, "ratings of given pairs"),
    "similar": Listed("recommend", _USE, "the items most like one"),
    "factors": Listed("recommend", _USE, "the strongest factors, by the items at their ends"),
    "spectrum": Listed("spectrum", _USE, "singular values, and the error with fewer factors"),
    "reconstruct": Listed("reconstruct", _USE, "cells, rows or all of the matrix by the strongest factors"),
    "runs": Listed("runs", _KEEP, "list, show, compare and remove past runs"),
    "report": Listed("report", _KEEP, "the page about a run, again; or one that compares several"),
    "current": Listed("models", _KEEP, "which model is in use"),
    "promote": Listed("models", _KEEP, "put the model of a run to use"),
    "rollback": Listed("models", _KEEP, "go back to the model that was in use before"),
    "forget": Listed("forget", _KEEP, "leave the ratings of a user or an item out from now on"),
    "synth": Listed("stages", _STAGES, "write synthetic ratings around a planted model"),
    "ingest": Listed("stages", _STAGES, "read raw ratings into Parquet"),
    "split": Listed("stages", _STAGES, "set validation ratings apart"),
    "grid": Listed("stages", _STAGES, "cut the training ratings to blocks"),
    "train": Listed("stages", _STAGES, "find the factors"),
    "evaluate": Listed("stages", _STAGES, "measure RMSE and MAE"),
    "export": Listed("stages", _STAGES, "write the model in its open form"),
    "ranking": Listed("stages", _STAGES, "measure precision, recall and NDCG"),
    "check-gradients": Listed("check_gradients", _LEARN, "the gradients beside differences, over a sweep of steps"),
    "calibrate": Listed("plan", _LEARN, "measure what plans by sizes rest on"),
}
"""In the order that they are shown in."""
