"""Two programs that draw: which error each reaches, how long it takes, and when it was as good as the other.

Covers: a trace of errors, the first time at an error, and a Markdown table.
Does not cover: running either (contestants.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.who_and_when.parts import Part

NEAR = 0.0005
"""How far above its last RMSE myFM has nearly reached it: the rest of its time gains little."""
_HEADS = (
    "features", "ours, RMSE", "s", "processor s", "myFM, RMSE", "s", "processor s", "draws", "ours to myFM's RMSE, s",
    f"ours to it + {NEAR}, s", f"myFM to it + {NEAR}, s",
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One program on one part.

    Attributes
    ----------
    rmse : on the validation ratings, in the end.
    seconds : of training, on the clock.
    processor_seconds : of the processor, on all threads.
    trace : draws or sweeps so far, seconds of training so far, and the RMSE of the mean of draws so far.
    failed : why there is none of these.
    more : what only the JSON shows.
    """

    rmse: float | None = None
    seconds: float = 0.0
    processor_seconds: float = 0.0
    trace: Sequence[tuple[int, float, float]] = ()
    failed: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def first_at(self, goal: float) -> float | None:
        """Return the seconds until the RMSE of the mean first was `goal` or less; None: never."""
        return next((seconds for _, seconds, rmse in self.trace if rmse <= goal), None)


@dataclass(frozen=True)
class Compared:
    """One row of the table."""

    part: Part
    ours: Drawn
    myfm: Drawn

    def cells(self) -> list[str]:
        """Return what the table shows, as many as it has columns."""
        goal = self.myfm.rmse
        times = (
            [self.ours.first_at(goal), self.ours.first_at(goal + NEAR), self.myfm.first_at(goal + NEAR)]
            if goal is not None
            else []
        )
        return [
            self.part.about,
            *_result(self.ours),
            *_result(self.myfm),
            str(len(self.myfm.trace) or ""),
            *(["never" if each is None else _short(each) for each in times] or [""] * 3),
        ]


def markdown(rows: Sequence[Compared]) -> str:
    """Return the table."""
    ruled = ["---", *["---:"] * (len(_HEADS) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (list(_HEADS), ruled, *(row.cells() for row in rows)))


def _result(drawn: Drawn) -> list[str]:
    if drawn.failed or drawn.rmse is None:
        return [f"failed: {drawn.failed or 'no RMSE'}", "", ""]
    return [f"{drawn.rmse:.4f}", _short(drawn.seconds), _short(drawn.processor_seconds)]


def _short(seconds: float) -> str:
    return f"{seconds:,.0f}" if seconds >= 100 else f"{seconds:.3g}"
