"""Tables of a plan by sizes, and of measured constants.

Covers: their layout. Does not cover: their numbers (pipeline/planning/best_grid.py,
pipeline/planning/calibrate.py).
"""

from __future__ import annotations

from rich.console import Group
from rich.text import Text

from funkflow.pipeline.planning.best_grid import ScalePlan
from funkflow.pipeline.planning.constants import Constants
from funkflow.pipeline.planning.epoch_time import EpochCosts
from funkflow.pipeline.planning.task_costs import Job
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.results.tables import text_table

_PARTS = {
    "kernel": "descending (kernel)",
    "copies": "copying shards",
    "items": "item shards between workers",
    "scoring": "scoring validation ratings",
    "scheduler": "scheduler",
    "client": "client",
    "checkpoint": "checkpoint, an epoch's part",
}


def scale_table(plan: ScalePlan) -> Group:
    """Return the best grid beside that of the default rule, part by part, with the binding limit."""
    both = (plan.best, plan.by_rule)
    rows = (
        ("P x P blocks (grid.shards)", [f"{epoch.job.shards:,}" for epoch in both]),
        ("workers used", [f"{epoch.job.busy_workers:,}" for epoch in both]),
        ("shards a share, threads", [f"{epoch.job.shards_a_share:,}, {epoch.job.threads:,}" for epoch in both]),
        ("ratings a block", [f"{epoch.job.block.ratings:,.0f}" for epoch in both]),
        ("tasks", [_task_count(epoch.job) for epoch in both]),
        ("memory a worker", [_worker_memory(plan, epoch) for epoch in both]),
        ("copied, all workers", [format_bytes(int(epoch.job.copied_bytes)) for epoch in both]),
        ("moved, all workers", [format_bytes(int(epoch.moved_bytes)) for epoch in both]),
        *((label, [f"{epoch.parts[part]:,.2f} s" for epoch in both]) for part, label in _PARTS.items()),
        ("together", [f"{epoch.seconds:,.2f} s" for epoch in both]),
        ("binds first", [_PARTS[epoch.binds] for epoch in both]),
    )
    heads, cells = ("", "best grid", "grid by rule"), [(name, *values) for name, values in rows]
    table = text_table(heads, cells, "an epoch", right_from=1, bold=("together", "binds first"))
    return Group(table, Text(f"constants: {plan.constants_from}"))


def _task_count(job: Job) -> str:
    several = f" for {job.epochs_a_task} epochs" if job.epochs_a_task > 1 else ""
    return f"{job.tasks_an_epoch * job.epochs_a_task:,.0f}{several}"


def _worker_memory(plan: ScalePlan, epoch: EpochCosts) -> str:
    streamed = ", blocks streamed" if epoch.streamed else ""
    fits = "" if epoch.fits(plan.memory_bytes) else ", does not fit"
    return f"{format_bytes(int(epoch.worker_bytes))}{streamed}{fits}"


def constants_table(constants: Constants, url: str) -> Group:
    """Return the constants with their spread, and the place of their file."""
    spread, rows = constants.spread, []

    def row(name: str, value: str, key: str) -> None:
        rows.append((name, value, f"{spread[key]:.0%}" if key in spread else ""))

    for each in constants.ranks:
        row(f"rank {each.rank}: step a rating", _in_nanoseconds(each.seconds_per_rating), f"dense_{each.rank}")
        row("  row brought up to date, swept", _in_nanoseconds(each.seconds_per_swept_row), f"medium_{each.rank}")
        row("  row brought up to date, alone", _in_nanoseconds(each.seconds_per_single_row), f"sparse_{each.rank}")
        row("  validation rating scored", _in_nanoseconds(each.seconds_per_scored_rating), f"scored_{each.rank}")
    for name, key in (("loss per further thread: kernel", "thread_loss"), ("  copies", "copy_thread_loss")):
        row(name, f"{getattr(constants, key):.1%}", key)
    for name, key in (
        ("copying, one thread", "copy_bytes_per_second"),
        ("into a worker from another", "bandwidth_bytes_per_second"),
        ("checkpoint written", "store_write_bytes_per_second"),
        ("checkpoint read", "store_read_bytes_per_second"),
    ):
        row(name, f"{getattr(constants, key) / 1e9:.2f} GB/s", key)
    for name, key in (
        ("handing a tile to a thread", "dispatch_seconds"),
        ("scheduler, a task", "scheduler_seconds_per_task"),
        ("client, a task", "client_seconds_per_task"),
        ("client, a block", "client_seconds_per_block"),
        ("hop from task to task", "hop_seconds"),
        ("transfer without bytes", "transfer_seconds"),
    ):
        row(name, f"{getattr(constants, key) * 1e3:.4f} ms", key)
    about = ", ".join(f"{name} {value}" for name, value in constants.about.items())
    table = text_table(("", "median", "spread"), rows, "measured", right_from=1)
    return Group(table, Text(about), Text(f"written to {url}"))


def _in_nanoseconds(seconds: float) -> str:
    return f"{seconds * 1e9:.1f} ns"
