"""Memory is handed on only when nobody can see it, and weighed.

Covers: tasks/kernels/buffers.py, and that workers hand it back. Does not cover: what lies in it.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from dask.sizeof import sizeof
from made_manifests import a_grid

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.manifest import reuse_or_train
from funkflow.tasks.errors import Diverged
from funkflow.tasks.grid.block import RatingBlock
from funkflow.tasks.grid.factor_shard import room_for, written_room
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.kernels import buffers
from funkflow.tasks.kernels.buffers import LEAST_FLOATS, forget_spare, uninitialised
from funkflow.tasks.training.sgd import Descent


@pytest.fixture(autouse=True)
def no_spare_memory() -> None:
    buffers._spare.clear()


def place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


@pytest.mark.parametrize("floats", [1, LEAST_FLOATS - 1, LEAST_FLOATS, 3 * LEAST_FLOATS + 5])
def test_an_array_is_as_long_as_asked_and_may_be_changed(floats: int) -> None:
    array = uninitialised(floats)
    array[:] = 7.0
    assert array.shape == (floats,)
    assert array.dtype == np.float32


def test_memory_of_an_array_that_is_gone_is_taken_again_by_one_of_about_its_size() -> None:
    array = uninitialised(LEAST_FLOATS)
    before = place(array)
    del array
    assert place(uninitialised(LEAST_FLOATS + 1)) == before


def test_a_view_of_a_view_keeps_the_memory() -> None:
    array = uninitialised(LEAST_FLOATS)
    view = array[5:].reshape(-1, 1)[10:, 0].view(np.int32)
    view[:] = 3
    del array
    others = [uninitialised(LEAST_FLOATS) for _ in range(3)]
    for other in others:
        other[:] = 0.0
    assert (view == 3).all()
    assert len({place(other) for other in others}) == 3


def test_parts_of_a_shard_keep_its_memory() -> None:
    shard = room_for(LEAST_FLOATS, 4)
    states = shard.states
    states[:] = 1.0
    del shard
    another = room_for(LEAST_FLOATS, 4)
    another.factors[:] = another.states[:] = 0.0
    assert (states == 1.0).all()


def test_what_is_spare_is_taken_first_and_handed_back_in_the_end() -> None:
    arrays = [uninitialised(LEAST_FLOATS) for _ in range(9)]
    places = {place(array) for array in arrays}
    del arrays
    again = [uninitialised(LEAST_FLOATS) for _ in range(5)]
    assert {place(array) for array in again} < places
    assert [len(spare) for spare in buffers._spare.values()] == [4]
    forget_spare()
    del again
    assert not buffers._spare


def test_memory_in_use_goes_back_too_once_it_was_to_be_forgotten() -> None:
    """What the error of a failed stage still holds would otherwise be kept when that is gone."""
    held = uninitialised(LEAST_FLOATS)
    forget_spare()
    del held
    assert not buffers._spare
    later = uninitialised(LEAST_FLOATS)
    del later
    assert [len(spare) for spare in buffers._spare.values()] == [1]


def spare_bytes() -> int:
    return sum(len(each) for spare in buffers._spare.values() for each in spare)


def leave_spare() -> int:
    forget_spare()
    array = uninitialised(LEAST_FLOATS)
    del array
    return spare_bytes()


@pytest.mark.parametrize("error", [None, Diverged("factors"), KeyboardInterrupt()])
def test_workers_hand_memory_back_however_training_ends(
    context: Context, tmp_path: Path, error: BaseException | None
) -> None:
    job = TrainingJob(context, a_grid(), (1.0, 5.0), TrainSettings(), str(tmp_path))

    def train() -> Training:
        assert all(context.client.run(leave_spare).values())
        if error is not None:
            raise error
        return Training(
            folder=job.folder, grid=job.grid.id, epochs=1, best_epoch=1, history=(), shards={"users": (), "items": ()},
            seconds=1.0, cpu_target="", steps=StepSizes(0.0, 1.0, 0.0, 0.0, 0.0),
        )  # fmt: skip

    with nullcontext() if error is None else pytest.raises(type(error)):
        reuse_or_train(job, 1, train, lambda _: "")
    assert set(context.client.run(spare_bytes).values()) == {0}


def test_a_shard_that_was_written_to_leaves_its_memory_to_the_next() -> None:
    shard = written_room(LEAST_FLOATS, 4)
    assert not shard.factors.any()
    before = place(shard.factors)
    del shard
    assert place(room_for(LEAST_FLOATS, 4).factors) == before


def test_dask_sees_the_bytes_of_what_it_places() -> None:
    rows = np.arange(1000, dtype=np.int32)
    block = RatingBlock.of(rows, rows, np.ones(1000, np.float32), (1000, 1000))
    assert sizeof(block) > 3 * 1000
    assert sizeof((block, block)) > 2 * 3 * 1000
    shard = room_for(1000, 4)
    assert 1000 * 12 * 4 <= sizeof(shard) < 1000 * 12 * 4 + 1000
    assert sizeof(Descent((shard,), (shard,), (0.0,))) > 2 * 1000 * 12 * 4
