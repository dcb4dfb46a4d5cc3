"""L2 and stopping follow the history, and that is the same for any workers, and across checkpoints.

Covers: a run on a planted set whose factors set out late and whose L2 falls: one worker (several epochs a task), two,
and one that is interrupted; settings that overrule the rules.
Does not cover: the rules by themselves (test_stopping.py), how good what comes of them is (test_standstill.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import publish_ratings
from distributed import Client
from planted_sets import mean_rmse, planted

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.progress.events import EpochFinished, Event
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.pipeline.training.step_sizes import step_sizes
from funkflow.tasks.grid.scaling import StepSizes
from funkflow.tasks.storage import files
from funkflow.tasks.training.early_stopping import judge

MADE = planted(2_000, (100, 60), 5, 0.2, False, seed=1)
CHOSEN = TrainSettings(rank=8, epochs=60)
Outcome = tuple[tuple[tuple[float, Any], ...], StepSizes, list[bytes]]


def trained(client: Client, root: Path, chosen: TrainSettings = CHOSEN, listener: Any = lambda _event: None) -> Outcome:
    """Return the history, the numbers of the step in the kept epoch, and the bytes of all kept shards."""
    context = Context(client, Store(str(root)), listener, root.name)
    blocks = grid(context, *publish_ratings(context, MADE), GridSettings(shards=4))
    folder = context.store.run("run")
    scale = (float(MADE.ratings.min()), float(MADE.ratings.max()))
    manifest = train(TrainingJob(context, blocks, scale, chosen, folder))
    assert step_sizes(blocks, CHOSEN).l2 == pytest.approx(0.28 / (blocks.ratings / 160) ** 0.5)
    kept = [entry.path for side in ("users", "items") for entry in manifest.shards[side]]
    shards = [files.read_bytes(files.join(checkpoint.folder_of(folder), path)) for path in kept]
    return manifest.history, manifest.steps, shards


@pytest.fixture(scope="module")
def expected(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return trained(client, tmp_path_factory.mktemp("expected"))


def test_training_goes_on_until_factors_have_set_out_and_l2_falls(expected: Outcome) -> None:
    history, steps, _ = expected
    rmses = [stopping for _, stopping in history]
    assert judge(rmses[:3], 2, 1e-4).stop  # by the patience alone
    assert min(rmses) < 0.5 * mean_rmse(MADE)
    assert steps.l2 < 0.5 * 0.28 / (1_800 / 160) ** 0.5


def test_two_workers_give_the_same_bits(expected: Outcome, tmp_path: Path, two_workers: Client) -> None:
    assert trained(two_workers, tmp_path) == expected


def test_an_interrupted_run_goes_on_to_the_same_bits(client: Client, expected: Outcome, tmp_path: Path) -> None:
    often = CHOSEN.model_copy(update={"checkpoint_epochs": 3})

    def stop_at_eleven(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.epoch == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(client, tmp_path, often, stop_at_eleven)
    assert trained(client, tmp_path, often) == expected


def test_an_explicit_l2_and_an_explicit_patience_are_kept_to(client: Client, tmp_path: Path) -> None:
    history, steps, _ = trained(client, tmp_path, CHOSEN.model_copy(update={"l2": 0.03, "patience": 1}))
    rmses = [stopping for _, stopping in history]
    assert steps.l2 == 0.03
    assert judge(rmses, 1, 1e-4).stop
    assert not judge(rmses[:-1], 1, 1e-4).stop
