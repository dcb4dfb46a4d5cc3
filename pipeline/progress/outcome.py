"""The end of an execution or an attempt: its state, exit code and error.

Covers: the states of the ledger, a run's record and the last event.
Does not cover: the records (pipeline/root/ledger.py, pipeline/root/run_record.py), exit codes in words
(pipeline/running/schedule/daemon.py).
"""

from __future__ import annotations

from typing import NamedTuple

from funkflow.tasks.errors import FunkflowError, ModelRefused

RUNNING, DONE, UP_TO_DATE, NOTHING_NEW, FAILED, REFUSED, INTERRUPTED, DIED = STATES = (
    "running", "done", "up to date", "nothing new", "failed", "refused", "interrupted", "died",
)  # fmt: skip
WELL = (DONE, UP_TO_DATE, NOTHING_NEW)


class Outcome(NamedTuple):
    """A state, an exit code, and the error in one line, if there was one."""

    state: str
    exit_code: int
    error: str | None


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of an execution that raised this error."""
    if isinstance(error, KeyboardInterrupt | SystemExit):
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 130
        return Outcome(INTERRUPTED, code, None)
    message = f"{type(error).__name__}: {error}".split("\n")[0]
    exit_code = error.exit_code if isinstance(error, FunkflowError) else 1
    return Outcome(REFUSED if exit_code == ModelRefused.exit_code else FAILED, exit_code, message)
