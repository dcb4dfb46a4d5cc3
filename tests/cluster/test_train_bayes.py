"""Draws from the posterior on a cluster: one result whatever the workers are, and ratings of every shape.

Covers: the loop (pipeline/training/methods/bayes.py), its graph and files: workers, threads, streamed blocks, faults,
resuming, chains, kept draws, and sets on which numbers could overflow. Both sides have features, and time effects.
Does not cover: the tasks (tests/unit/test_posterior_draws.py), their distribution
(tests/unit/test_posterior_distribution.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Heard, Ratings, made_ratings, publish_ratings
from distributed import Client
from feature_files import features_of
from losing_workers import KillAfter
from sessions import only_long

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.cluster.open import open_client
from funkflow.pipeline.progress.events import EpochFinished, Event, Noticed
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.records import PosteriorRecord
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.settings.sections import ClusterSettings, GridSettings, TrainSettings
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.training import checkpoint, sweeps
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.bayes import train_bayes
from funkflow.tasks.grid.factor_shard import read_shard
from funkflow.tasks.storage import files
from funkflow.tasks.time_effects import EFFECTS

RANK, SHARDS, SCALE = 4, 3, (1.0, 5.0)
SIDES = ("users", "items")
BAYES = {"burn_in": 2, "draws": 6, "chains": 2, "pair_steps": 2}
Made = tuple[dict[str, str], PosteriorRecord]


def bayes_settings(**others: Any) -> TrainSettings:
    chosen = {
        "method": "bayes", "rank": RANK, "seed": 3, "epochs": 4, "checkpoint_epochs": 3, "keep_draws": 4,
        "bayes": BAYES, "implicit": "both",
    }  # fmt: skip
    return TrainSettings.model_validate({**chosen, **others})


def trained(
    context: Context, settings: TrainSettings, ratings: Ratings | None = None, shards: int = SHARDS,
    streamed: bool = False,
) -> Training:  # fmt: skip
    made = ratings or made_ratings().with_days()
    has_days = made.days is not None
    blocks = grid(context, *publish_ratings(context, made), GridSettings(shards=shards), days=has_days)
    scale, folder = (float(made.ratings.min()), float(made.ratings.max())), context.store.run("run")
    features = features_of(folder, blocks)
    times = ",".join(EFFECTS) if has_days else "none"
    return train_bayes(TrainingJob(context, blocks, scale, settings, folder, streamed, features=features, times=times))


def made_of(training: Training) -> Made:
    """The checksums of the shards and of all kept draws, and the record, which has all other numbers."""
    assert training.posterior is not None
    entries = [*training.shards["users"], *training.shards["items"]]
    entries += [*training.times.users, *training.times.items] if training.times else []
    entries += [each for draw in training.posterior.kept for each in (*draw.users, *draw.items)]
    return {each.path: each.checksum for each in entries}, training.posterior


def alone(folder: Path, name: str, workers: int = 1, threads: int = 1, **others: Any) -> Made:
    with open_client(ClusterSettings(workers=workers, threads=threads)) as client:
        context = Context(client, Store(str(folder)), lambda event: None, name)
        return made_of(trained(context, bayes_settings(), **others))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What one worker with one thread makes."""
    return alone(tmp_path_factory.mktemp("root"), "one")


@pytest.fixture
def many_ratings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The graph for many ratings, in which a sweep is many tasks, where the parameter says so."""
    if request.param:
        monkeypatch.setattr(sweeps, "FEW_RATINGS", 0)


by_graph = pytest.mark.parametrize("many_ratings", [False, True], indirect=True, ids=["few ratings", "many ratings"])


@by_graph
@pytest.mark.usefixtures("many_ratings")
@pytest.mark.parametrize("streamed", [False, only_long(True)])
def test_two_threads_streamed_blocks_and_both_graphs_give_the_same_bits(
    context: Context, expected: Made, streamed: bool
) -> None:
    assert made_of(trained(context, bayes_settings(), streamed=streamed)) == expected


@pytest.mark.usefixtures("many_ratings")
@pytest.mark.parametrize(
    ("many_ratings", "victim"),
    [
        (False, "sweep-two-1-0004"),
        (True, "draw-users-001-two-1-0004"),
        only_long(True, "step-items-01-two-0-0003"),
        only_long(False, "merge-users-two-0006-001"),
    ],
    indirect=["many_ratings"],
)
def test_two_workers_one_of_them_killed_give_the_same_bits(tmp_path: Path, expected: Made, victim: str) -> None:
    with open_client(ClusterSettings(workers=2, threads=1)) as client:
        plugin = KillAfter(victim, client.run(os.getpid))
        assert client.cluster is not None
        client.cluster.scheduler.add_plugin(plugin)
        context = Context(client, Store(str(tmp_path)), lambda event: None, "two")
        found = made_of(trained(context, bayes_settings()))
        lost = plugin.lost
    assert lost == 1
    assert found == expected


def test_one_chain_after_the_other_goes_on_to_the_same_bits(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the burn-in of the second chain, past the checkpoint in its first sweep."""
    monkeypatch.setattr(sweeps, "TOGETHER", 1)

    def context(name: str, stops: int) -> Context:
        def stop(event: Event) -> None:
            if isinstance(event, EpochFinished) and event.counted == "sweep" and event.epoch == stops:
                raise KeyboardInterrupt

        return Context(client, Store(str(tmp_path / name.split("-")[0])), stop, name)

    wanted = made_of(trained(context("whole", 0), bayes_settings()))
    with pytest.raises(KeyboardInterrupt):
        trained(context("stopped-1", 11), bayes_settings())
    assert made_of(trained(context("stopped-2", 0), bayes_settings())) == wanted


@pytest.mark.parametrize("stopped", [2, 5])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    client: Client, tmp_path: Path, expected: Made, stopped: int
) -> None:
    """Checkpoints come at 3 and 6; burn-in ends with 2. Before the first checkpoint sgd's start is still there."""

    def stop(event: Event) -> None:
        if isinstance(event, EpochFinished) and event.counted == "sweep" and event.epoch == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(Context(client, Store(str(tmp_path)), stop, f"stopped-{stopped}"), bayes_settings())
    resumed = Heard(None)  # type: ignore[arg-type]
    resumed.context = Context(client, Store(str(tmp_path)), resumed.events.append, f"resumed-{stopped}")
    assert made_of(trained(resumed.context, bayes_settings())) == expected
    first = 1 if stopped < 3 else 4
    assert [each.epoch for each in resumed.events if isinstance(each, EpochFinished)] == list(range(first, 9))
    assert (Noticed("resuming after sweep 3") in resumed.events) == (stopped > 3)


def test_kept_draws_are_those_that_the_settings_ask_for(context: Context, expected: Made) -> None:
    """Four of twelve, two of each chain, evenly; their rows are whole."""
    _, record = expected
    assert [(draw.sweep, draw.chain) for draw in record.kept] == [(5, 0), (5, 1), (8, 0), (8, 1)]
    manifest = trained(context, bayes_settings(keep_draws=100, bayes={"burn_in": 0, "draws": 3, "chains": 1}))
    assert manifest.posterior is not None
    assert [draw.sweep for draw in manifest.posterior.kept] == [1, 2, 3]
    folder = checkpoint.folder_of(context.store.run("run"))
    for draw in manifest.posterior.kept:
        for entry in (*draw.users, *draw.items):
            assert files.exists(files.join(folder, entry.path))


@pytest.mark.parametrize("harm", ["missing", "cut short", "flipped before the end"])
def test_a_kept_draw_that_is_damaged_is_drawn_again(client: Client, tmp_path: Path, expected: Made, harm: str) -> None:
    heard = Heard(None)  # type: ignore[arg-type]
    context = Context(client, Store(str(tmp_path)), heard.events.append, "first")
    first = trained(context, bayes_settings())
    assert first.posterior is not None
    draw = Path(checkpoint.folder_of(first.run_folder)) / first.posterior.kept[-1].items[1].path
    content = draw.read_bytes()
    if harm == "missing":
        draw.unlink()
    elif harm == "cut short":
        draw.write_bytes(content[:-1])
    else:
        draw.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        (Path(first.folder) / "manifest.json").unlink()
    again = trained(Context(client, Store(str(tmp_path)), heard.events.append, "again"), bayes_settings())
    assert made_of(again) == expected
    assert draw.read_bytes() == content
    warnings = [each for each in heard.events if isinstance(each, Noticed) and each.warning]
    assert [str(draw) in each.message for each in warnings] == [True]


SETS: dict[str, Any] = {}


def a_set(name: str, users: Any, items: Any, ratings: Any, held_out: Any = 0.1, **settings: Any) -> None:
    users, items = np.asarray(users, np.int32), np.asarray(items, np.int32)
    ratings = np.asarray(np.broadcast_to(ratings, users.shape), np.float32)
    rng = np.random.default_rng(1)
    validation = rng.random(len(users)) < held_out if len(users) > 2 else np.zeros(len(users), bool)
    SETS[name] = Ratings(users, items, ratings, validation, (int(users.max()) + 1, int(items.max()) + 1)), settings


def _make_sets() -> None:
    rng = np.random.default_rng(5)
    u, i = np.divmod(np.arange(30 * 20), 20)
    low = (rng.normal(size=(30, 3)) @ rng.normal(size=(3, 20)))[u, i]
    some = np.sort(rng.choice(600, 300, replace=False))
    noisy = low + rng.normal(size=600)
    a_set("two ratings", [0, 1], [0, 1], [1.0, 5.0], stop_on="nothing")
    a_set("one user", np.zeros(20), np.arange(20), rng.integers(1, 6, 20))
    a_set("one item", np.arange(20), np.zeros(20), rng.integers(1, 6, 20))
    a_set("dense, of low rank, without noise", u, i, low)
    a_set("from -10 to 10", u[some], i[some], np.clip(np.round(4 * noisy[some]), -10, 10))
    a_set("far from zero", u[some], i[some], 1e6 + noisy[some])
    a_set("nearly constant", u[some], i[some], 3.0 + 1e-4 * (np.arange(300) == 7))
    a_set("floats", u[some], i[some], noisy[some])
    a_set("no validation", u[some], i[some], noisy[some], held_out=0.0, stop_on="nothing")
    a_set("rank above items", u[some], i[some], noisy[some], rank=40)
    a_set("no biases, no mean", u[some], i[some], noisy[some], biases=False, center=False)
    a_set("no biases", u[some], i[some], noisy[some], biases=False)
    a_set("three chains", u[some], i[some], noisy[some], bayes={**BAYES, "chains": 3})
    a_set("nothing kept", u[some], i[some], noisy[some], keep_draws=0)
    a_set("more kept than drawn", u[some], i[some], noisy[some], keep_draws=100)
    a_set("one checkpoint", u[some], i[some], noisy[some], checkpoint_epochs=1_000)
    a_set("no burn-in, one draw", u[some], i[some], noisy[some], bayes={"burn_in": 0, "draws": 1, "chains": 1})
    a_set("mean of a greater rank", u[some], i[some], noisy[some], bayes={**BAYES, "mean_rank": 19})
    a_set("mean of a lesser rank", u[some], i[some], noisy[some], bayes={**BAYES, "mean_rank": 1})


_make_sets()


QUICK = ("two ratings", "dense, of low rank, without noise", "from -10 to 10", "rank above items", "no validation")


@pytest.mark.parametrize("name", [name if name in QUICK else only_long(name) for name in SETS])
def test_ratings_of_every_shape(context: Context, name: str) -> None:
    """All numbers are finite, and more than a few training ratings are met better than by their mean."""
    made, chosen = SETS[name]
    shards = min(2, *made.shape)
    settings = bayes_settings(**{"bayes": {"burn_in": 1, "draws": 8, "chains": 1}, **chosen})
    manifest = trained(context, settings, made, shards)
    record = manifest.posterior
    assert record is not None
    numbers = [each for row in manifest.history for each in row if each is not None]
    numbers += [record.noise_deviation, record.merged, *record.r_hat, *record.effective]
    numbers += [each for rank in record.ranks for each in (rank.rmse, rank.away)]
    assert np.isfinite(numbers).all(), numbers
    assert len({draw.sweep for draw in record.kept}) == min(-(-settings.keep_draws // record.chains), record.draws)
    predicted = mean_predictions(context, manifest, made, shards)
    train = ~made.is_validation
    away = made.ratings[train] - predicted[train]
    assert np.isfinite(predicted).all()
    spread = np.std(made.ratings[train], dtype=float) if settings.center else np.sqrt(np.mean(made.ratings[train] ** 2))
    if len(away) > 10:
        assert np.sqrt(np.mean(away**2)) <= spread * 1.01
    if made.is_validation.any():
        assert record.rmse == pytest.approx(manifest.history[-1][1])


def test_random_ratings_are_hardly_taken_for_structure(context: Context) -> None:
    """64 factors, about 600 ratings: 1.05 times the error of the mean rating; with priors of rate 1/2 1.19 times."""
    rng = np.random.default_rng(4)
    cells = np.sort(rng.choice(2_400, 809, replace=False))
    users, items = (each.astype(np.int32) for each in np.divmod(cells, 40))
    ratings, validation = rng.integers(1, 6, 809).astype(np.float32), rng.random(809) < 0.25
    made = Ratings(users, items, ratings, validation, (60, 40))
    settings = bayes_settings(rank=64, epochs=20, keep_draws=0, bayes={"burn_in": 8, "draws": 8, "chains": 2})
    record = trained(context, settings, made, 2).posterior
    assert record is not None
    assert record.rmse is not None
    by_mean = np.sqrt(np.mean((ratings[validation] - ratings[~validation].mean()) ** 2))
    assert record.rmse < 1.1 * by_mean


def mean_predictions(context: Context, manifest: Training, made: Ratings, shards: int) -> Any:
    """Predict all ratings by the shards of the model."""
    assert manifest.posterior is not None
    folder, rank = checkpoint.folder_of(context.store.run("run")), manifest.posterior.rank
    sides = []
    for side, ids in zip(SIDES, (made.users, made.items), strict=True):
        parts = [read_shard(*entry.place(folder), rank) for entry in manifest.shards[side]]
        factors, biases = np.empty((len(ids), rank)), np.empty(len(ids))
        for shard, part in enumerate(parts):
            mine = ids % shards == shard
            factors[mine], biases[mine] = part.factors[ids[mine] // shards], part.biases[ids[mine] // shards]
        sides.append((factors, biases))
    (users, of_users), (items, of_items) = sides
    scaled = np.sum(users * items, axis=1) + of_users + of_items
    return manifest.steps.mean + manifest.steps.deviation * scaled
