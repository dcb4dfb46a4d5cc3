"""The one table of a benchmark, for people and as JSON.

Covers: the layout of both. Does not cover: the numbers (measure.py, sections/).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dask.utils import format_bytes
from rich.markup import escape
from rich.table import Table

from bench.data import Data
from bench.measure import Row

FORMAT_VERSION = 1
_COLUMNS = ("case", "", "seconds", "ratio", "ratings/s", "peak memory", "RMSE", "")


def report(
    form: str, data: Data, rows: Sequence[Row], machine: dict[str, Any], versions: dict[str, str], started: str,
    seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Return the whole result as plain values: form, machine, versions, the set and every row."""
    about = {name: value for name, value in asdict(data).items() if name not in ("folder", "raw", "made")}
    return {
        "format_version": FORMAT_VERSION,
        "form": form,
        "started": started,
        "seconds": seconds,
        "machine": machine,
        "versions": versions,
        "data": about,
        "rows": [asdict(row) for row in rows],
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the result as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(part, path)


def table(form: str, data: Data, rows: Sequence[Row]) -> Table:
    """Lay the rows out, a line between sections; `ratio` is a row's seconds over those of its case's first."""
    title = (
        f"{form}: {data.ratings:,} ratings, {data.users:,} x {data.items:,}; RMSE of the bias baseline "
        f"{data.biases_rmse:.4f}, of the planted truth {data.truth_rmse:.4f}"
    )
    laid = Table(title=title if data.ratings else form, title_justify="left", title_style="bold")
    for number, name in enumerate(_COLUMNS):
        laid.add_column(name, justify="right" if 2 <= number <= 6 else "left")
    section = ""
    for row in rows:
        if row.section != section:
            laid.add_section()
            laid.add_row(f"[bold]{escape(row.section)}[/bold]")
            section = row.section
        laid.add_row(*(escape(cell) for cell in _cells(row)))
    return laid


def _cells(row: Row) -> tuple[str, ...]:
    return (
        f"  {row.case}",
        row.contestant,
        "" if row.seconds is None else f"{row.seconds:,.3g}" if row.seconds < 100 else f"{row.seconds:,.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.ratings_per_second is None else f"{row.ratings_per_second / 1e6:,.2f} M",
        "" if row.peak_memory_bytes is None else format_bytes(row.peak_memory_bytes),
        "" if row.rmse is None else f"{row.rmse:.4f}",
        f"failed: {row.failed}" if row.failed else row.note,
    )
