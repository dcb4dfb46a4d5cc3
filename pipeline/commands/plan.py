"""The commands `plan`, of a run or by sizes alone, and `calibrate`.

Covers: their options.
Does not cover: plans, the search for a grid, and the constants (pipeline/planning/).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from funkflow.pipeline.commands.options import AsJson, Root, RunOptions, print_result, quoted
from funkflow.pipeline.settings.request import Request
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from dask import utils as dask_utils

    from funkflow.pipeline.cluster import open as opening
    from funkflow.pipeline.planning import best_grid, task_costs
    from funkflow.pipeline.planning import calibrate as calibration
    from funkflow.pipeline.planning import constants as saved_constants
    from funkflow.pipeline.planning import plan as planning
    from funkflow.pipeline.results import plan_table as plan_tables
    from funkflow.pipeline.results import scale_table as scale_tables
    from funkflow.pipeline.root import store as stores
    from funkflow.pipeline.settings import effective, sections
    from funkflow.tasks.parsing import ids
else:  # the help needs none of them
    dask_utils = late("dask.utils")
    opening = late("funkflow.pipeline.cluster.open")
    best_grid = late("funkflow.pipeline.planning.best_grid")
    calibration = late("funkflow.pipeline.planning.calibrate")
    saved_constants = late("funkflow.pipeline.planning.constants")
    planning = late("funkflow.pipeline.planning.plan")
    task_costs = late("funkflow.pipeline.planning.task_costs")
    plan_tables = late("funkflow.pipeline.results.plan_table")
    scale_tables = late("funkflow.pipeline.results.scale_table")
    stores = late("funkflow.pipeline.root.store")
    effective = late("funkflow.pipeline.settings.effective")
    sections = late("funkflow.pipeline.settings.sections")
    ids = late("funkflow.tasks.parsing.ids")

Size = Annotated[str, typer.Option(show_default=False, metavar="NUMBER")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (plan, calibrate):
        app.command()(command)


def plan(
    *,
    options: RunOptions,
    users: Annotated[
        str, typer.Option("--users", help="plan by sizes: number of users, such as 1e9; --ratings is a number too")
    ] = "",
    items: Annotated[str, typer.Option("--items", help="plan by sizes: number of items")] = "",
    rank: Annotated[int | None, typer.Option("--rank", help="train.rank; by sizes: default 64", min=1)] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="cluster.workers; by sizes: machines, default 1", min=1)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="cluster.threads: threads per worker; by sizes: default 16", min=1)
    ] = None,
    memory: Annotated[
        str,
        typer.Option("--memory", help="cluster.memory: of all workers, such as '8 GiB'; by sizes: of each worker"),
    ] = "",
    shards: Annotated[
        int | None, typer.Option("--shards", help="grid.shards, P; 0: by rule; by sizes: the best P", min=0, max=4096)
    ] = None,
    held_out: Annotated[
        float | None,
        typer.Option("--held-out", help="by sizes: fraction of validation ratings, default 0.1", min=0, max=0.9),
    ] = None,
    checkpoint_epochs: Annotated[
        int | None, typer.Option("--checkpoint-epochs", help="train.checkpoint_epochs; by sizes: default 10", min=1)
    ] = None,
    bandwidth: Annotated[
        str, typer.Option("--bandwidth", help="by sizes: network into a worker, bytes per second, such as '1.2 GB'")
    ] = "",
    store: Annotated[
        str, typer.Option("--store-bandwidth", help="by sizes: store, bytes per second, such as '20 GB'")
    ] = "",
    constants: Annotated[str, typer.Option("--constants", help="by sizes: file from funkflow calibrate")] = "",
    as_json: AsJson = False,
) -> None:
    """Show what a run would do and need; or, by sizes alone, the time of an epoch and the best grid."""
    if not users and not items:
        _refuse_sizes_alone(
            {"--held-out": held_out, "--bandwidth": bandwidth, "--store-bandwidth": store, "--constants": constants}
        )
        given = {
            "train.rank": rank, "cluster.workers": workers, "cluster.threads": threads, "grid.shards": shards,
            "train.checkpoint_epochs": checkpoint_epochs, "cluster.memory": quoted(memory) if memory else None,
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in given.items() if value is not None]
        _plan_run(options.adding(before=words).settings(), as_json)
        return
    if options.conf or options.validation or options.words:
        raise SettingsError(
            "a plan by sizes takes no CONF, --validation or --set: leave them out, or --users and --items"
        )
    ratings, user_count, item_count = _checked_sizes(_single(options.ratings), users, items, shards or 0)
    held_out = 0.1 if held_out is None else held_out
    matrix = task_costs.Matrix(ratings * (1 - held_out), user_count, item_count, rank or 64, ratings * held_out)
    found, named = saved_constants.constants_for(
        stores.existing_root(options.root) if options.root else sections.Settings().root, constants
    )
    job = task_costs.Job(matrix, shards or 0, workers or 1, threads or 16, checkpoint_epochs or 10)
    limit = of_bytes("--memory", memory) if memory else math.inf
    scaled = best_grid.plan_scale(job, found.model_copy(update=_speeds(bandwidth, store)), limit, named)
    print_result(scaled.to_dict(), as_json, scale_tables.scale_table(scaled))


def _plan_run(settings: sections.Settings, as_json: bool) -> None:
    settings.train.refuse_idle_settings()
    planned = planning.plan_of(effective.on_date(settings, Request.checked()))
    print_result(planned.to_dict(), as_json, plan_tables.plan_table(planned))
    planned.refuse()


def _refuse_sizes_alone(options: dict[str, object]) -> None:
    """Raise SettingsError for an option that only a plan by sizes takes."""
    for name, value in options.items():
        if value not in (None, ""):
            raise SettingsError(f"{name} belongs to a plan by sizes: give --users and --items too, or leave it out")


def _checked_sizes(ratings: str, users: str, items: str, shards: int) -> tuple[float, float, float]:
    """Return the numbers of ratings, users and items, checked."""
    counts = number("--ratings", ratings), number("--users", users), number("--items", items)
    refuse_sizes(*counts)
    least = min(counts[1:])
    if shards > least:
        raise SettingsError(f"--shards {shards}: at most as many as users or items, {least:,.0f}")
    return counts


def _speeds(bandwidth: str, store: str) -> dict[str, int]:
    given = {}
    if bandwidth:
        given["bandwidth_bytes_per_second"] = of_bytes("--bandwidth", bandwidth)
    if store:
        both = ("store_write_bytes_per_second", "store_read_bytes_per_second")
        given |= dict.fromkeys(both, of_bytes("--store-bandwidth", store))
    return given


def calibrate(root: Root = "", as_json: AsJson = False) -> None:
    """Measure the constants of plans by sizes, in about a minute, and write them to ROOT/constants.json."""
    where = root or sections.Settings().root
    with opening.open_client(sections.ClusterSettings(workers=2, threads=1)) as client:
        measured = calibration.measure(client, where)
    url = saved_constants.calibration_url(where)
    saved_constants.write_constants(url, measured)
    print_result(
        {**measured.model_dump(mode="json"), "path": url}, as_json, scale_tables.constants_table(measured, url)
    )


def number(name: str, text: str) -> float:
    """Return a size such as 100e9 or 1_000_000; raise SettingsError unless it is a whole number of 1 or more."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = math.nan
    if not (1 <= value < 1e18 and value == int(value)):
        raise SettingsError(f"{name} {text!r}: a plan by sizes takes a whole number of 1 or more, as in 100e9")
    return value


def of_bytes(name: str, text: str) -> int:
    """Return the number of bytes in text such as '64 GiB'."""
    try:
        value = int(dask_utils.parse_bytes(text))
    except (ValueError, AttributeError) as cause:
        raise SettingsError(f"{name} {text!r}: not a number of bytes; write it as in '64 GiB'") from cause
    if value < 1:
        raise SettingsError(f"{name} {text!r}: must be more than 0")
    return value


def refuse_sizes(ratings: float, users: float, items: float) -> None:
    """Raise SettingsError for sizes that no data can have, and those beyond the range of dense ids."""
    for side, count in (("users", users), ("items", items)):
        if count > ids.MOST_IDS:
            raise SettingsError(f"--{side} {count:,.0f}: at most {ids.MOST_IDS:,} fit dense ids of 32 bits")
        if count > ratings:
            raise SettingsError(f"--{side} {count:,.0f}: at most as many as ratings, {ratings:,.0f}")
    if ratings > users * items:
        raise SettingsError(f"--ratings {ratings:,.0f}: {users:,.0f} users and {items:,.0f} items make fewer pairs")


def _single(ratings: list[str] | None) -> str:
    if not ratings or len(ratings) > 1:
        raise SettingsError("a plan by sizes takes one --ratings NUMBER, --users and --items, as in --ratings 100e9")
    return ratings[0]
