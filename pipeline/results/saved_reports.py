"""Reports of finished runs: drawn again from their facts, compared, and listed on one page.

Covers: finding facts and curves under a root, and the places of the pages.
Does not cover: the look of the pages (report/), making the facts (pipeline/stages/report.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

from funkflow.pipeline.progress.metrics_file import epochs_of, events_of
from funkflow.pipeline.results.report import card
from funkflow.pipeline.results.report.facts import ReportFacts
from funkflow.pipeline.results.report.index import Curve, index_page
from funkflow.pipeline.results.report.page import report_page
from funkflow.pipeline.root.ledger import Ledger
from funkflow.pipeline.root.store import FORMAT_VERSION, Store
from funkflow.tasks.errors import BadInput, DamagedFile
from funkflow.tasks.storage import files


def facts_of(root: str, run_id: str) -> ReportFacts:
    """Return the facts of a run.

    Raises
    ------
    BadInput
        The run has no facts, or those of another version.
    """
    folder = Store(root).run(run_id)
    url = files.join(folder, "report", "facts.json")
    facts: Any = files.json_if_there(url)
    settings = files.join(folder, "settings.toml")
    if facts is None:
        raise BadInput(f"{url}: this run left no facts to report; funkflow run {settings} makes them")
    if not isinstance(facts, dict) or facts.get("format_version") != FORMAT_VERSION:
        raise BadInput(f"{url}: not of this funkflow's version; funkflow run {settings} --force makes a new one")
    return cast(ReportFacts, facts)


def write_report(root: str, asked: Sequence[str], out: str) -> str:
    """Write the page of one run, or of several compared, and the model card beside that of one; return its place.

    asked : ids of runs or of ledger records, or their beginnings, or "last". out : a file; empty: report.html in the
    folder of the run, or a file in reports/ under the root for several.
    """
    ledger, run_ids = Ledger(root), []
    for each in asked:
        run_id = ledger.find(each).get("run_id")
        if not run_id:
            raise BadInput(f"{each}: this execution had no run yet when it ended, so there is nothing to report")
        run_ids.append(str(run_id))
    several = [facts_of(root, run_id) for run_id in run_ids]
    of_several = files.join(root, "reports", f"{'-'.join(run_id[:8] for run_id in run_ids)}.html")
    place = out or (files.join(Store(root).run(run_ids[0]), "report.html") if len(run_ids) == 1 else of_several)
    files.write_bytes(place, report_page(several).encode())
    if len(several) == 1 and not out:
        files.write_bytes(files.join(Store(root).run(run_ids[0]), card.NAME), card.model_card(several[0]).encode())
    return place


def write_index(root: str, out: str) -> str:
    """Write the page of all executions under a root; return its place."""
    place = out or files.join(root, "runs.html")
    records = list(Ledger(root).records())
    runs = {str(record["run_id"]) for record in records if record.get("run_id")}
    curves = {run: curve for run in sorted(runs) if (curve := _curve(root, run))}
    reports = {run: files.join(Store(root).run(run), "report.html") for run in runs}
    links = {run: _link(place, url) for run, url in reports.items() if files.exists(url)}
    files.write_bytes(place, index_page(records, curves, links).encode())
    return place


def _curve(root: str, run_id: str) -> Curve | None:
    """Return the NDCGs by epoch of a run, or else the RMSEs, on held-out ratings if there are any."""
    with suppress(KeyError, TypeError, ValueError, DamagedFile):  # a missing curve is no reason to fail
        epochs = epochs_of(events_of(Store(root).run(run_id)) or ())
        in_order = [epochs[number] for number in sorted(epochs)]
        if ndcgs := [each.stopping_ndcg for each in in_order if each.stopping_ndcg is not None]:
            return f"NDCG@{in_order[0].places}", ndcgs
        either = [(each.stopping_rmse, each.training_rmse) for each in in_order]
        return "RMSE", [float(training if stopping is None else stopping) for stopping, training in either]
    return None


def _link(page: str, report: str) -> str:
    """Return the link from the page to a report: a relative path on disk, so that both can move together."""
    if "://" in page or "://" in report:
        return report
    return os.path.relpath(report, os.path.dirname(os.path.abspath(page)))
