"""A plan as a short table.

Covers: its layout. Does not cover: its numbers (pipeline/planning/plan.py), plans by sizes alone (scale_table.py).
"""

from __future__ import annotations

from rich.table import Table

from funkflow.pipeline.planning.plan import Plan
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.results.tables import text_table


def plan_table(plan: Plan) -> Table:
    """Return a plan as a table of quantities and their values."""
    about = " (estimated from a sample)" if plan.size.estimated else ""
    need = plan.prediction
    worker, disk = format_bytes(need.worker_bytes), format_bytes(need.disk_bytes)
    ingest, training = format_bytes(need.ingest_bytes), format_bytes(need.training_bytes)
    scoring = format_bytes(need.scoring_bytes)
    recommending = f", recommending {format_bytes(need.recommend_bytes)}" if need.recommend_bytes else ""
    free = "" if plan.free_disk_bytes is None else f"; free {format_bytes(plan.free_disk_bytes)}"
    rows = (
        ("ratings", f"{plan.size.ratings:,}{about}"),
        ("users x items", f"{plan.size.users:,} x {plan.size.items:,}{about}"),
        ("validation", f"{plan.split}; {plan.training_ratings:,} ratings to train on{about}"),
        ("grid", f"{plan.shards} x {plan.shards} blocks of about {plan.block_ratings:,} ratings"),
        ("method", f"{plan.method}, rank {plan.rank}, {plan.limit}"),
        *(_of_an_epoch(plan) if plan.has_epochs else ()),
        ("workers", f"{plan.allowance.workers} with {plan.allowance.threads} threads each"),
        ("memory per worker", worker),
        ("blocks", "read again in each pass" if need.streamed else "held in memory"),
        (
            "memory in all",
            f"ingest {ingest}, training {training}, scoring the model {scoring}{recommending}; "
            f"there are {format_bytes(plan.allowance.memory_bytes)}",
        ),
        ("disk", f"{disk}{free}"),
    )
    return text_table(("", ""), rows, "plan", show_header=False)


def _of_an_epoch(plan: Plan) -> tuple[tuple[str, str], ...]:
    tasks = f"{plan.tasks_per_epoch * plan.epochs_per_task:,.0f}"
    several = f" for {plan.epochs_per_task} epochs" if plan.epochs_per_task > 1 else ""
    copied, moved = format_bytes(plan.copied_bytes_per_epoch), format_bytes(plan.moved_bytes_per_epoch)
    return (
        ("tasks per epoch", f"{tasks}{several}, on {plan.shares} share{'s' * (plan.shares > 1)} of the grid"),
        ("bytes per epoch", f"{copied} copied, at most {moved} moved between workers"),
    )
