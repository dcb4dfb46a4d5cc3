"""The whole job, and what comes before training in it: from raw text to a validated model, and each peer's own job.

Covers: seconds and peak memory of the job, ours beside what `funkflow plan` predicts; ours by stage, beside the readers
of LIBMF and pyspark; and of each peer a pass of training alone.
Does not cover: time to a given quality (quality.py). Peers other than LIBMF and pyspark start from arrays, not text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dask.utils import format_bytes

from bench import ours
from bench.context import Bench
from bench.measure import Measurement, Row
from bench.peers.roster import PEERS

JOB = "whole job: raw text to validated model"
PASS = "training in that job: one pass"
READING = "reading: raw text to what training starts from"
STAGES = ("ingest", "split", "grid")


def rows(bench: Bench) -> list[Row]:
    """Return the rows of the job, of its passes, and of reading."""
    contestants: dict[str, Callable[[], Measurement]] = {"ours": partial(_ours, bench)}
    for name in bench.peers:
        contestants[name] = partial(_peer, bench, name)
    jobs = bench.compare(JOB, f"k = {bench.rank}, 2 threads", contestants, bench.form.job_repeats)
    return [*jobs, *_passes(jobs, bench.data.ratings), *_stages(jobs), *_readers(bench)]


def _ours(bench: Bench) -> Measurement:
    root = bench.folder / "job"
    predicted = ours.predicted_memory_bytes(bench.data.raw, root, bench.rank)
    result = ours.run_job(bench.data.raw, root, bench.rank)
    seconds, epochs = result["seconds"], result["epochs"]
    return Measurement(
        seconds=seconds["total"],
        rmse=result["rmse"],
        peak_memory_bytes=result["peak_memory_bytes"],
        note=f"{epochs} epochs; memory predicted {format_bytes(predicted)}",
        more={
            "pass_seconds": seconds["train"] / epochs,
            "stage_seconds": seconds,
            "stage_memory_bytes": result["memory_bytes"],
            "predicted_memory_bytes": predicted,
            "evaluation": result["evaluation"],
        },
    )


def _peer(bench: Bench, name: str) -> Measurement:
    passes = PEERS[name].iterations
    words = ("--rank", bench.rank, "--threads", 2, "--iterations", passes, "--from-text", "--memory")
    return bench.ask_peer(name, partial(_job, name=name, passes=passes), *words)


def _job(content: dict[str, Any], name: str, passes: int) -> Measurement:
    return Measurement(
        seconds=content["seconds"],
        rmse=content.get("rmse"),
        peak_memory_bytes=content["peak_memory_bytes"],
        note=f"{passes} passes; {PEERS[name].about}",
        more={"pass_seconds": content["train_seconds"] / passes, "read_seconds": content["read_seconds"]},
    )


def _passes(jobs: list[Row], ratings: int) -> list[Row]:
    """Return what a pass took in each job, set-up shared out among them; whoever failed there has failed here."""
    base = jobs[0].more.get("pass_seconds")
    found = []
    for job in jobs:
        seconds = job.more.get("pass_seconds")
        speed, ratio = (ratings / seconds, seconds / base if base else None) if seconds else (None, None)
        found.append(
            Row(PASS, job.case, job.contestant, seconds, speed, None, job.rmse, ratio, job.failed,
                note="" if job.failed else "mean over the job, set-up included")
        )  # fmt: skip
    return found


def _stages(jobs: list[Row]) -> list[Row]:
    """Return the seconds of our stages before training, together and each, from the job measured above."""
    job = jobs[0]
    if job.failed:
        return [Row(READING, "to blocks", "ours", failed=job.failed)]
    seconds = job.more["stage_seconds"]
    each = ", ".join(f"{stage} {seconds[stage]:.3g} s" for stage in STAGES)
    return [Row(READING, "to blocks", "ours", sum(seconds[stage] for stage in STAGES), note=each)]


def _readers(bench: Bench) -> list[Row]:
    found = []
    for name in bench.peers:
        if PEERS[name].reads:
            read = partial(_reading, ratings=bench.data.ratings)
            contestant = {name: partial(bench.ask_peer, name, read, "--read-only")}
            found += bench.compare(READING, "text of dense ids to memory", contestant, bench.form.job_repeats)
    return found


def _reading(content: dict[str, Any], ratings: int) -> Measurement:
    return Measurement(content["read_seconds"], ratings)
