"""Predict a run's memory and disk before it starts, and refuse one that cannot fit.

Covers: plain arithmetic from the number of ratings, users and items, the rank, the grid and the workers.
Does not cover: what each method of training holds (method_memory.py), measuring what a run really took
(pipeline/cluster/memory_monitor.py), or opening the cluster (pipeline/cluster/open.py).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

import psutil

from funkflow.pipeline.planning.method_memory import RATING_BYTES as RATING_BYTES
from funkflow.pipeline.planning.method_memory import Size as Size
from funkflow.pipeline.planning.method_memory import Workload as Workload
from funkflow.pipeline.planning.method_memory import row_bytes as row_bytes
from funkflow.pipeline.planning.method_memory import scoring_need
from funkflow.pipeline.planning.posterior_memory import intervals_bytes, noise_bytes
from funkflow.pipeline.progress.words import format_bytes
from funkflow.pipeline.settings.methods import ALL_METHODS, DEFAULT_METHOD, MEMBERS
from funkflow.tasks.dataset.bucket_rows import MOST_BUCKETS, parts_for
from funkflow.tasks.errors import CannotFit

CLIENT_BYTES = (185 + 165) * 2**20
"""Client and scheduler in one process after some stages, without data, with multiprocessing's helper, and the libraries
that all processes map. Measured on runs of 100,000 ratings (Linux, Python 3.11): of their own, client and helper have
167 to 183 MiB, 149 of them imports; the files that are mapped, each page once, are 155 to 164. The proportional size
divides these pages among all processes of the machine, other runs, too: beside others the same run measured 381 MiB,
alone 495."""
WORKER_BYTES = 196 * 2**20
"""What a worker process has of its own before it has data. Such runs left it at 145 to 165 MiB without their data, and
at 170 to 196 where it compiled kernels: LLVM keeps 25 to 35."""
SHARED_BYTES = 164 * 2**20
"""What a limit counts of a worker besides: the libraries that it maps. Its resident size without data was 292 to 310
MiB, 335 to 345 where it compiled."""
BEFORE_KERNELS_BYTES = 40 * 2**20
"""So much less each of them takes before its first kernel: ingest has none, and the compiler is loaded with it. Then
the client has 171 MiB, a worker 110 to 128 with its data, and the libraries are 120."""
KEPT_BYTES = 150 * 2**20
"""What a worker's allocator keeps for itself of the rows it once served, at most; with the above fitted to training at
5, 20 and 100 M ratings and ranks 32, 64 and 128."""
PARSE_FACTOR = 4.5
"""Bytes at the peak of parsing for each byte of raw text: the text, its columns, and their copies in partition
order."""
PARTITION_ROW_BYTES = 47
"""Bytes at the peak of settling one partition, for each of its ratings."""
BUILD_RATING_BYTES = 36
"""Bytes at the peak of putting one block in order, for each of its ratings."""
USABLE_PART = 0.9
"""Of a worker's limit: Dask ends a worker at 0.95 of it."""
DISK_RATING_BYTES = 24
"""Disk for each rating, at most: the dataset, the blocks, and scratch while one of them is made."""
RECOMMENDING, LOWER_FOR_RECOMMENDING = "recommending", "recommend.count or recommend.batch_users"
"""What a refusal calls it, and what may be lowered."""


@dataclass(frozen=True)
class Prediction:
    """Bytes at the peak: of all processes and of one worker, while ratings are moved and while a model is trained.

    All processes: each page divided among those that share it. One worker: its resident size, which its limit is on.

    `data_disk_bytes` : dataset, blocks and the scratch of making them; `run_disk_bytes` : checkpoints and the model.
    `recommend_bytes` : for the stages that choose items for users; `recommend_in_parts` : these read the model part by
    part, as all of it does not fit a worker (serving_memory.py); `scoring_bytes` : for those that score the saved
    model: spectrum, gate and report.
    `streamed` : training reads each block as it needs it, instead of holding all of them; `method` : of training.
    `kept_bytes` : what processes keep of ingest while they train, where they did both.
    """

    ingest_bytes: int
    ingest_worker_bytes: int
    training_bytes: int
    training_worker_bytes: int
    data_disk_bytes: int
    run_disk_bytes: int
    streamed: bool = False
    recommend_bytes: int = 0
    recommend_worker_bytes: int = 0
    recommend_in_parts: bool = False
    method: str = DEFAULT_METHOD
    kept_bytes: int = 0
    scoring_bytes: int = 0
    scoring_worker_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """At the peak of a run from raw text on, whose processes still keep something of ingest while they train."""
        return max(self.ingest_bytes, self.training_bytes + self.kept_bytes, self.recommend_bytes, self.scoring_bytes)

    @property
    def worker_bytes(self) -> int:
        recommending, scoring = self.recommend_worker_bytes, self.scoring_worker_bytes
        return max(self.ingest_worker_bytes, self.training_worker_bytes, recommending, scoring)

    @property
    def disk_bytes(self) -> int:
        return self.data_disk_bytes + self.run_disk_bytes


def predict_bytes(work: Workload, chunk_bytes: int, partition_ratings: int, method: str = DEFAULT_METHOD) -> Prediction:
    """Return the predicted peaks; `chunk_bytes`, `partition_ratings` : of ingest."""
    need = ALL_METHODS[method].memory_function()(work)
    size, workers, threads = work.size, work.workers, work.threads
    ratings = size.ratings + size.held_out
    kept = min(KEPT_BYTES, ratings * PARTITION_ROW_BYTES)
    training_worker = WORKER_BYTES + need.kept * kept + need.worker
    chunk = min(chunk_bytes, max(1, size.raw_bytes))
    partition = ratings / parts_for(ratings, partition_ratings, MOST_BUCKETS)
    ids = size.rows * 64
    ingest_worker = (
        WORKER_BYTES
        - BEFORE_KERNELS_BYTES
        + kept
        + ids
        + threads * max(chunk * PARSE_FACTOR, partition * PARTITION_ROW_BYTES, work.block_ratings * BUILD_RATING_BYTES)
    )
    scoring = scoring_need(saved_model(work, method), max(1, round(ratings / max(1, partition))))
    # The saved model is scored in processes whose allocators keep some of what training freed, too.
    kept_of_training = min(KEPT_BYTES, ratings * PARTITION_ROW_BYTES + need.worker)
    scoring_worker = WORKER_BYTES + kept_of_training + scoring.worker
    if method == "bayes":  # the intervals and their noise are measured by other tasks than the errors
        of_draws = max(intervals_bytes(work), noise_bytes(saved_model(work, method)))
        scoring_worker += max(0.0, of_draws - scoring.worker)
    return Prediction(
        ingest_bytes=int(CLIENT_BYTES - BEFORE_KERNELS_BYTES + ids + workers * ingest_worker),
        ingest_worker_bytes=int(ingest_worker + SHARED_BYTES),
        training_bytes=int(CLIENT_BYTES + need.client + workers * training_worker),
        training_worker_bytes=int(training_worker + SHARED_BYTES),
        data_disk_bytes=int(ratings * DISK_RATING_BYTES + size.rows * 16),
        run_disk_bytes=int(need.disk),
        streamed=work.streamed,
        method=method,
        kept_bytes=int(workers * kept),
        scoring_bytes=int(CLIENT_BYTES + scoring.client + workers * scoring_worker),
        scoring_worker_bytes=int(scoring_worker + SHARED_BYTES),
    )


def saved_model(work: Workload, method: str) -> Workload:
    """Return the workload of stages that read the model of a training."""
    return replace(work, rank=ALL_METHODS[method].saved_ranks * work.rank)


def available_memory_bytes() -> int:
    """Return what this machine can give now: what the system calls available, within the control group's limit."""
    available = int(psutil.virtual_memory().available)
    try:
        with (
            open("/sys/fs/cgroup/memory.max", encoding="ascii") as limit,
            open("/sys/fs/cgroup/memory.current", encoding="ascii") as used,
        ):
            text = limit.read().strip()
            if text != "max":
                available = min(available, int(text) - int(used.read()))
    except (OSError, ValueError):
        pass
    return available


def available_disk_bytes(root: str) -> int | None:
    """Return the free bytes of the disk under a local root; None for a store that has no such figure."""
    if "://" in root:
        return None
    folder = os.path.abspath(root)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Allowance:
    """What a run may use. Memory is measured before anything is started, for all processes and for one worker.

    `workers`, `threads` : of each worker; `memory_bytes` : of the client, the scheduler and all workers together.
    `foreign` : somebody else started the workers; `memory_bytes` is what they have together, by the least limit of one,
    and how much there is for client and scheduler is not known.
    `usable_part` : of a worker's limit. `one_process` : client, scheduler and the only worker share one.
    """

    workers: int
    threads: int
    memory_bytes: int
    root: str
    foreign: bool = False
    usable_part: float = USABLE_PART
    one_process: bool = False

    def has_memory_for_training(self, prediction: Prediction) -> bool:
        """Say whether training fits, all processes together and one worker."""
        return self.fits(prediction.training_bytes, prediction.training_worker_bytes)

    def fits(self, needed_bytes: int, worker_bytes: int) -> bool:
        """Return whether there is so much memory, for all processes together and for one worker."""
        try:
            self.refuse_memory(needed_bytes, worker_bytes, "")
        except CannotFit:
            return False
        return True

    def refuse_memory(
        self, needed_bytes: int, worker_bytes: int, what: str, lower: str = "train.rank or ingest.chunk_bytes"
    ) -> None:
        """Raise CannotFit, with both numbers, if all processes together or one worker would need more than there is."""
        limit = int(self.memory_bytes / self.workers * self.usable_part)
        more = "use fewer cluster.threads, or give it more with cluster.memory"
        if self.foreign:
            more = "use workers with fewer threads, or start them with more memory (--memory-limit of dask worker)"
        if self.usable_part < USABLE_PART:
            more += (
                "; Dask pauses these before their memory is full: DASK_CONFIG naming conf/dask.yaml, where they are "
                "started, turns that off"
            )
        for needed, there, whose in (
            (0 if self.foreign else needed_bytes, self.memory_bytes, ""),
            (worker_bytes, limit, "a worker of "),
        ):
            if needed > there:
                raise CannotFit(
                    f"{whose}this run needs about {format_bytes(needed)} of memory for {what} "
                    f"and has {format_bytes(there)}; lower {lower}, {more}"
                )

    def describe_worker(self, predicted_bytes: int | None, had_bytes: int) -> str:
        """Say what a worker was predicted to need, what one had at most, and what it may have, for one that died.

        had_bytes : not looked at where the workers are somebody else's, whom nobody here can measure.
        """
        limit = format_bytes(self.memory_bytes // self.workers)
        predicted = "" if predicted_bytes is None else f"{format_bytes(predicted_bytes)} were predicted for a worker, "
        had = "" if self.foreign else f"one had {format_bytes(had_bytes)} or more, "
        return f": {predicted}{had}and {limit} is all that it may have"

    def as_measured(self, needed_bytes: int) -> int:
        """Return what all processes need as it is measured: of foreign workers, what they share counts for each."""
        return needed_bytes + (self.workers * SHARED_BYTES if self.foreign else 0)

    def is_full(self, had_bytes: int) -> bool:
        """Whether a worker that had so much had all that is left to its data."""
        return had_bytes >= self.memory_bytes // self.workers * self.usable_part

    def refuse_training(self, prediction: Prediction) -> None:
        """Raise CannotFit if memory is too small for the method of training."""
        method, lower = prediction.method, "train.rank"
        if method == MEMBERS.name:
            lower += ", leave out train.members"
        elif method != DEFAULT_METHOD:
            lower += f", take train.method = {DEFAULT_METHOD!r}"
        needed, worker = prediction.training_bytes, prediction.training_worker_bytes
        self.refuse_memory(needed, worker, f"training by {method}", lower)

    def refuse_recommending(self, needed_bytes: int, worker_bytes: int) -> None:
        """Raise CannotFit if memory is too small for choosing items for users."""
        self.refuse_memory(
            needed_bytes, worker_bytes, RECOMMENDING, f"{LOWER_FOR_RECOMMENDING}, ranking.count or ranking.also"
        )

    def refuse_scoring(self, prediction: Prediction) -> None:
        """Raise CannotFit if memory is too small for scoring the saved model."""
        needed, worker = prediction.scoring_bytes, prediction.scoring_worker_bytes
        self.refuse_memory(needed, worker, "scoring the model, part by part", "train.rank, raise grid.shards")

    def refuse_disk(self, needed_bytes: int) -> None:
        """Raise CannotFit, with both numbers, if the disk under a local root has less than that free."""
        free = available_disk_bytes(self.root)
        if free is not None and needed_bytes > free:
            raise CannotFit(
                f"{self.root}: this run needs about {format_bytes(needed_bytes)} of disk "
                f"and {format_bytes(free)} are free; free some, or set root to another place"
            )

    def refuse_what_cannot_fit(self, prediction: Prediction, with_training: bool = True, raw_bytes: int = 0) -> None:
        """Raise CannotFit if memory or disk is too small for a run from its beginning.

        `raw_bytes` : of raw text that is made under the root first.
        """
        self.refuse_memory(prediction.ingest_bytes, prediction.ingest_worker_bytes, "ingest")
        if with_training:
            self.refuse_training(prediction)
            self.refuse_scoring(prediction)
        if with_training and prediction.recommend_bytes:
            self.refuse_recommending(prediction.recommend_bytes, prediction.recommend_worker_bytes)
        self.refuse_disk(raw_bytes + (prediction.disk_bytes if with_training else prediction.data_disk_bytes))


def refuse_an_empty_cluster_that_cannot_fit(memory_bytes: int, workers: int) -> None:
    """Raise CannotFit if the processes alone, without any data, would need more than there is."""
    needed = CLIENT_BYTES - BEFORE_KERNELS_BYTES + workers * (WORKER_BYTES - BEFORE_KERNELS_BYTES)
    if needed > memory_bytes:
        raise CannotFit(
            f"a cluster of {workers} workers needs about {format_bytes(needed)} of memory before it has any data "
            f"and has {format_bytes(memory_bytes)}; use fewer cluster.workers, or give it more with cluster.memory"
        )
