"""The commands of `funkflow`: the module of each, and its line in `funkflow --help`.

Covers: names, lines and their order, without importing a command: Dask, numba and Bokeh take seconds.
Does not cover: the options of a command (the modules beside this file).
"""

from __future__ import annotations

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """A command: its module in commands/, its group in the help, and its line there."""

    module: str
    panel: str
    line: str


_RUN, _STAGES, _USE = "Run", "Stages of a run, one by one", "Use a model"
_KEEP, _LEARN = "Runs and the model in use", "Learn and measure"

COMMANDS = {
    "run": CommandEntry("stages", _RUN, "train and validate a model on raw ratings, and report on it"),
    "plan": CommandEntry("plan", _RUN, "show what a run would do, and the memory and disk it needs"),
    "init": CommandEntry("init", _RUN, "write a settings file, with comments, for your ratings"),
    "compare": CommandEntry("compare", _RUN, "compare methods and ranks on one dataset"),
    "schedule": CommandEntry("schedule", _RUN, "run at each time of a cron expression"),
    "backfill": CommandEntry("schedule", _RUN, "run for each date of a range"),
    "recommend": CommandEntry("recommend", _USE, "find the best items that users have not rated"),
    "predict": CommandEntry("predict", _USE, "predict the ratings of given pairs"),
    "similar": CommandEntry("recommend", _USE, "list the items most similar to an item"),
    "factors": CommandEntry("recommend", _USE, "show the strongest factors, by the items at their ends"),
    "spectrum": CommandEntry("spectrum", _USE, "show singular values, and the error with fewer factors"),
    "reconstruct": CommandEntry(
        "reconstruct", _USE, "compute cells, rows or all of the matrix from the strongest factors"
    ),
    "serve": CommandEntry("predict", _USE, "answer requests for recommendations and predictions over HTTP"),
    "index": CommandEntry("reconstruct", _USE, "write the items as a faiss index, for approximate search"),
    "runs": CommandEntry("runs", _KEEP, "list, show, compare and remove past runs"),
    "report": CommandEntry("runs", _KEEP, "write the report of a run again, or one that compares several runs"),
    "current": CommandEntry("models", _KEEP, "show the model in use"),
    "promote": CommandEntry("models", _KEEP, "put the model of a run in use"),
    "rollback": CommandEntry("models", _KEEP, "return to the model that was in use before"),
    "forget": CommandEntry("forget", _KEEP, "leave out the ratings of a user or an item from now on"),
    "synth": CommandEntry("stages", _STAGES, "write synthetic ratings around a planted model"),
    "ingest": CommandEntry("stages", _STAGES, "read raw ratings into Parquet"),
    "split": CommandEntry("stages", _STAGES, "hold out the validation ratings"),
    "grid": CommandEntry("stages", _STAGES, "divide the training ratings into blocks"),
    "train": CommandEntry("stages", _STAGES, "train the factors"),
    "evaluate": CommandEntry("stages", _STAGES, "measure RMSE and MAE"),
    "export": CommandEntry("stages", _STAGES, "write the model in open formats, or as npz, safetensors or ONNX"),
    "ranking": CommandEntry("stages", _STAGES, "measure precision, recall, NDCG and more"),
    "check-gradients": CommandEntry("check_gradients", _LEARN, "compare the gradients with finite differences"),
    "calibrate": CommandEntry("plan", _LEARN, "measure the constants of plans by sizes"),
}
"""In the order of the help."""
