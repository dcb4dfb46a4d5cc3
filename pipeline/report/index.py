"""The page of all executions under a root: how each ended, how its run learnt, and the trend of the RMSE.

Covers: the page. Does not cover: the records (runtime/ledger.py), the page of one run (page.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipeline.report.charts import Figure, Series, line_figure, sparkline
from pipeline.report.sections import figures
from pipeline.report.style import framed
from pipeline.report.verdict import duration
from tasks.digits import rounded

_WELL = ("done", "up to date", "nothing new")


def index_page(
    records: Sequence[Mapping[str, Any]], curves: Mapping[str, Sequence[float]], links: Mapping[str, str]
) -> str:
    """Return the page.

    Parameters
    ----------
    records : of the ledger, newest first.
    curves : RMSE by epoch of each run, by its id.
    links : where the report of a run lies, from the page, by the run's id.
    """
    title = "funkflow: runs"
    well = sum(record["state"] in _WELL for record in records)
    words = f"{len(records):,} executions, of which {well:,} ended well." if records else "No execution yet."
    measured = [record for record in reversed(records) if (record.get("metrics") or {}).get("rmse") is not None
                and record["state"] == "done"]  # fmt: skip
    body = ""
    if len(measured) > 1:
        values = [record["metrics"]["rmse"] for record in measured]
        says = f"{rounded(values[0], values[-1])} at first, {rounded(values[-1], values[0])} at last."
        figure = Figure("Validation RMSE of the executions that trained", says, "execution, oldest first", "RMSE")
        body += figures(line_figure(figure, list(range(1, len(values) + 1)), [Series("RMSE", values)]))
    heads = ("execution", "date", "state", "run", "RMSE", "by epoch", "seconds", "what went wrong")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    rows = "".join(_row(record, curves, links) for record in records)
    body += (
        '<h2 id="all">All executions</h2><div class="wide" tabindex="0" role="region" '
        f'aria-labelledby="all"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return framed(title, f'<h1>{title}</h1><p class="verdict">{words}</p>', body)


def _row(record: Mapping[str, Any], curves: Mapping[str, Sequence[float]], links: Mapping[str, str]) -> str:
    run, metrics = str(record.get("run_id") or ""), record.get("metrics") or {}
    rmse, seconds = metrics.get("rmse"), metrics.get("seconds")
    name = escape(run[:8])
    linked = f'<a href="{escape(links[run], quote=True)}">{name}</a>' if run in links else name
    kind = "good" if record["state"] in _WELL else "bad"
    cells = (
        f'<th scope="row">{escape(str(record["id"]))}</th>',
        f"<td>{escape(str(record.get('date') or ''))}</td>",
        f'<td class="{kind}">{escape(record["state"])}</td>',
        f"<td>{linked}</td>",
        f'<td class="number">{rounded(rmse)}</td>',
        f"<td>{sparkline(curves.get(run, ()), f'RMSE by epoch of run {run[:8]}')}</td>",
        f'<td class="number">{"" if seconds is None else escape(duration(seconds))}</td>',
        f"<td>{escape(str(record.get('error') or ''))}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>"
