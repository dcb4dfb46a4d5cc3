"""The record of a run: settings.toml and record.json.

Covers: writing both, from the start to the end of a run, with credentials in URLs masked.
Does not cover: events (pipeline/progress/metrics_file.py), executions (ledger.py), files of stages (pipeline/stages/).
"""

from __future__ import annotations

import os
import platform
from typing import Any

import tomli_w

from funkflow.pipeline.progress.outcome import RUNNING
from funkflow.pipeline.root.store import FORMAT_VERSION, in_seconds
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.parsing.sources.layouts import given_id
from funkflow.tasks.redact import masked_content
from funkflow.tasks.storage import files

_OUTCOME = ("attempt", "state", "started", "ended", "exit_code", "error", "host", "process")
_SECRETS: Any = {"hooks": {"on_success", "on_failure"}}
"""Settings that are not written: a second run with them would call a row of asterisks."""


class Record:
    """`record.json`: the facts of the latest attempt at a run, and under `earlier` the ends of those before it.

    A killed attempt remains "running" there, as nothing could write its end.
    """

    def __init__(self, run_folder: str, run_id: str, settings: Settings, **facts: Any) -> None:
        self._url = files.join(run_folder, "record.json")
        before = self._before()
        attempts = (
            [*before.get("earlier", []), {key: before[key] for key in _OUTCOME if key in before}] if before else []
        )
        self._content: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "run_id": run_id,
            "state": RUNNING,
            "attempt": len(attempts) + 1,
            "earlier": attempts,
            "started": in_seconds(),
            "host": platform.node(),
            "process": os.getpid(),
            "inputs": [found for url in (*settings.ingest.ratings, settings.split.file) if (found := given_id(url))],
            **facts,
        }
        content = settings.model_dump(mode="json", exclude_none=True, exclude=_SECRETS)
        files.write_bytes(files.join(run_folder, "settings.toml"), tomli_w.dumps(masked_content(content)).encode())
        files.write_json(self._url, masked_content(self._content))

    def close(self, state: str, exit_code: Any, **facts: Any) -> None:
        """Write the end of the run: its state (pipeline/progress/outcome.py), exit code and further facts."""
        self._content |= {"state": state, "exit_code": exit_code, "ended": in_seconds(), **facts}
        files.write_json(self._url, masked_content(self._content))

    def _before(self) -> dict[str, Any]:
        try:
            return dict(files.json_if_there(self._url) or {})
        except (DamagedFile, TypeError, ValueError):
            return {}
