"""The page of all executions under a root: their ends, the curves of their runs, and the trend of the RMSE.

Covers: the page. Does not cover: the records (pipeline/root/ledger.py), the page of one run (page.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from funkflow.pipeline.progress.outcome import DONE, WELL
from funkflow.pipeline.progress.words import counted, data_name, duration, moment
from funkflow.pipeline.results.report.charts import line_figure, sparkline
from funkflow.pipeline.results.report.drawing import COLOURS, Figure, Series
from funkflow.pipeline.results.report.pieces import figures, piece, whole_page
from funkflow.pipeline.root.ledger import LedgerRecord
from funkflow.tasks.digits import rounded

_HEADS = ("execution", "date", "state", "ratings", "run", "RMSE", "by epoch", "time")

Records = Sequence[LedgerRecord]
Measured = tuple[int, LedgerRecord]
"""The number of an execution, oldest first, and its record."""
Curve = tuple[str, Sequence[float]]
"""A measure, and its values by epoch."""


def index_page(records: Records, curves: Mapping[str, Curve], links: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    records : of the ledger, newest first.
    curves : the measure of the epochs of each run, by its id.
    links : links from the page to the report of each run, by its id.
    """
    well = sum(record["state"] in WELL for record in records)
    ended = "all successful" if well == len(records) else f"{well:,} successful"
    words = f"{counted(len(records), 'execution')}, {ended}." if records else "No executions yet."
    rows = [_execution(record, curves, links) for record in records]
    body = _trend(records) + piece("executions", _HEADS, rows)
    return whole_page("Runs", "", Markup('<p class="verdict">{}</p>').format(words), body=body)


def _trend(records: Records) -> Markup:
    """Return the RMSEs of the executions that trained, as a curve for each dataset and split."""
    done = [record for record in reversed(records) if (record.get("metrics") or {}).get("rmse") is not None
            and record["state"] == DONE]  # fmt: skip
    if len(done) < 2:
        return Markup("")
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for number, record in enumerate(done, start=1):
        groups.setdefault(_measured_on(record), []).append((number, record))
    # Each of the newest sets has a curve; older ones, of which nightly growth leaves many, share one set of points.
    newest = sorted(groups.values(), key=lambda each: -each[-1][0])
    shown, others = sorted(newest[: COLOURS - 1]), [each for group in newest[COLOURS - 1 :] for each in group]
    names = _group_names(shown)
    series = [Series(name, _place_in_order(group, len(done))) for name, group in zip(names, shown, strict=True)]
    if others:
        series.append(
            Series(counted(len(newest) - len(shown), "other set"), _place_in_order(others, len(done)), joined=False)
        )
    says = " ".join(_trend_words(name, group) for name, group in zip(names, shown, strict=True))
    if len(groups) > 1:
        says += " Do not compare RMSEs of different sets."
    figure = Figure("Validation RMSE by execution", says, "execution, oldest first", "RMSE")
    return figures(line_figure(figure, list(range(1, len(done) + 1)), series))


def _measured_on(record: LedgerRecord) -> tuple[str, ...]:
    return str(record.get("dataset")), str(record["metrics"].get("split"))


def _group_names(groups: Sequence[Sequence[Measured]]) -> list[str]:
    """Return the names of the groups: their data and split and, if these are equal, the dataset's id."""
    parts = [(data_name(group[-1][1].get("settings") or {}), *_measured_on(group[-1][1])) for group in groups]
    names = [f"{name}, {split}" for name, _, split in parts]
    return [
        name if names.count(name) == 1 else f"{name}, dataset {dataset[:8]}"
        for name, (_, dataset, _) in zip(names, parts, strict=True)
    ]


def _place_in_order(group: Sequence[Measured], length: int) -> list[float | None]:
    found = {number: record["metrics"]["rmse"] for number, record in group}
    return [found.get(number) for number in range(1, length + 1)]


def _trend_words(name: str, group: Sequence[Measured]) -> str:
    first, last = (group[place][1]["metrics"]["rmse"] for place in (0, -1))
    if len(group) == 1:
        return f"{name}: {rounded(last)}."
    return f"{name}: first {rounded(first, last)}, last {rounded(last, first)}."


def _execution(record: LedgerRecord, curves: Mapping[str, Curve], links: Mapping[str, str]) -> dict[str, str]:
    """Return the cells of an execution, by their names in pieces.html.jinja."""
    run, metrics = str(record.get("run_id") or ""), record.get("metrics") or {}
    seconds, (measure, values) = metrics.get("seconds"), curves.get(run, ("RMSE", ()))
    return {
        "id": str(record["id"]),
        "date": moment(str(record.get("date") or "")),
        "kind": "good" if record["state"] in WELL else "bad",
        "state": record["state"],
        "ratings": data_name(record.get("settings") or {}),
        "run": run[:8],
        "link": links.get(run, ""),
        "rmse": rounded(metrics.get("rmse")),
        "curve": sparkline(values, f"{measure} by epoch of run {run[:8]}"),
        "time": "" if seconds is None else duration(seconds),
        "error": str(record.get("error") or ""),
    }
