"""What a plan predicts, and what it refuses.

Covers: pipeline/planning/plan.py, pipeline/planning/sizes.py, pipeline/planning/budget.py,
pipeline/planning/method_memory.py, tasks/parsing/sample.py, the command's options, and of its table what goes by
method.
Does not cover: the rest of the table, and predictions beside what was measured (test_cli.py).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from funkflow import run
from funkflow.pipeline.cli import program
from funkflow.pipeline.models.row_pieces import predict_reconstruct_bytes
from funkflow.pipeline.planning.budget import Allowance, Size, Workload, predict_bytes
from funkflow.pipeline.planning.epoch_time import moved_bytes
from funkflow.pipeline.planning.plan import plan_of, predict_for
from funkflow.pipeline.planning.sizes import training_size
from funkflow.pipeline.planning.task_costs import Job, Matrix
from funkflow.pipeline.results.plan_table import plan_table
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import CannotFit, SettingsError
from funkflow.tasks.grid.layout import shards_for, shards_for_grown
from funkflow.tasks.parsing import sample
from funkflow.tasks.storage import files

NETFLIX = Size(100_480_507, 480_189, 17_770, 2_000_000_000)
LARGE = Size(1_000_000_000, 1_000_000, 50_000, 20_000_000_000)


def predicted_training(size: Size = NETFLIX, rank: int = 64, workers: int = 1) -> int:
    return predict_bytes(Workload(size, rank, 4, workers, 2), 64 * 2**20, 4_000_000).training_bytes


def test_training_holds_the_blocks_and_the_shards() -> None:
    assert predicted_training() > NETFLIX.ratings * 3 + NETFLIX.users * 64 * 4 * 3


def test_more_ratings_or_rank_need_more() -> None:
    assert predicted_training(rank=128) - predicted_training() > NETFLIX.users * 64 * 4 * 3
    more = Size(2 * NETFLIX.ratings, NETFLIX.users, NETFLIX.items, NETFLIX.raw_bytes)
    assert predicted_training(more) - predicted_training() >= NETFLIX.ratings * 3


def test_both_numbers_are_in_the_refusal(tmp_path: Path) -> None:
    prediction = predict_bytes(Workload(NETFLIX, 64, 4, 1, 2), 64 * 2**20, 4_000_000)
    enough = int(prediction.total_bytes / 0.85)
    Allowance(1, 2, enough, str(tmp_path)).refuse_what_cannot_fit(prediction)
    with pytest.raises(
        CannotFit, match=r"needs about \d\.\d\d GiB of memory for .* and has 1.00 GiB; lower train.rank"
    ):
        Allowance(1, 2, 2**30, str(tmp_path)).refuse_what_cannot_fit(prediction)
    enormous = predict_bytes(Workload(Size(10**15, 10, 10, 1), 1, 4, 1, 1), 1024, 1000)
    with pytest.raises(CannotFit, match=r"of disk and .* are free"):
        Allowance(1, 1, 10**18, str(tmp_path)).refuse_what_cannot_fit(enormous)


def test_one_worker_of_several_must_fit_too(tmp_path: Path) -> None:
    """Together there is enough, but the worker that holds a whole row of blocks has only its share."""
    prediction = predict_bytes(Workload(NETFLIX, 256, 4, 3, 1), 64 * 2**20, 4_000_000)
    with pytest.raises(CannotFit, match="a worker of this run needs about"):
        Allowance(3, 1, int(prediction.total_bytes * 1.01), str(tmp_path)).refuse_what_cannot_fit(prediction)


def test_moved_bytes_are_those_of_an_epoch_on_several_workers(tmp_path: Path) -> None:
    """Four workers move no more than the plan says, and not much less."""
    settings = Settings.build({"synth": {"shape": "netflix"}, "grid": {"shards": 8}, "root": str(tmp_path)})
    plan = plan_of(settings, Allowance(4, 1, 2**40, str(tmp_path)))
    matrix = Matrix(plan.size.ratings, plan.size.users, plan.size.items, plan.rank, 1.0)
    moved = moved_bytes(Job(matrix, plan.shards, 4, 1))
    assert 0.8 * plan.moved_bytes_per_epoch < moved <= plan.moved_bytes_per_epoch


def test_few_ratings_on_one_worker_are_several_epochs_a_task(tmp_path: Path) -> None:
    """Not on several workers, nor beyond a checkpoint."""
    words = {"synth": {"shape": "demo"}, "grid": {"shards": 4}, "root": str(tmp_path)}
    for workers, checkpoint, epochs, tasks in ((1, 10, 10, 0.2), (1, 4, 4, 0.5), (4, 10, 1, 36)):
        chosen = Settings.build({**words, "train": {"checkpoint_epochs": checkpoint}})
        plan = plan_of(chosen, Allowance(workers, 1, 2**40, str(tmp_path)))
        assert (plan.epochs_per_task, plan.tasks_per_epoch) == (epochs, tasks)


@pytest.mark.parametrize("order", ["by user", "shuffled"])
def test_a_sample_comes_near_the_truth(tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million ratings, of which the plan reads a third."""
    monkeypatch.setattr(sample, "PIECES", 30)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 20_000, 1_000_000), rng.integers(0, 3_000, 1_000_000)
    if order == "by user":
        users.sort()
    path = tmp_path / "ratings.csv"
    rows = np.char.add(np.char.add(users.astype(str), ","), np.char.add(items.astype(str), ",3,1000000000"))
    path.write_text("user,item,rating,timestamp\n" + "\n".join(rows) + "\n")
    plan = plan_of(Settings.build({"ingest": {"ratings": [str(path)]}}))
    assert plan.size.estimated
    assert plan.size.ratings == pytest.approx(1_000_000, rel=0.02)
    assert plan.size.users == pytest.approx(20_000, rel=0.1)
    assert plan.size.items == pytest.approx(3_000, rel=0.1)


def test_a_small_file_is_counted_whole(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("user,item,rating\n1,2,3\n1,3,4\n2,2,5\n")
    plan = plan_of(Settings.build({"ingest": {"ratings": [str(path)]}}))
    assert (plan.size.ratings, plan.size.users, plan.size.items, plan.size.estimated) == (3, 2, 2, False)


def test_the_grid_is_planned_by_the_ratings_that_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between these sizes a tenth less makes a smaller grid."""
    size = Size(165_000_000, 480_189, 17_770, raw_bytes=0)
    monkeypatch.setattr("funkflow.pipeline.planning.plan.size_of", lambda _settings: size)
    plan = plan_of(Settings.build({"ingest": {"ratings": ["ratings.csv"]}}))
    run_with = shards_for_grown([[size.ratings, size.users, size.items]], 148_500_000)
    assert shards_for(size.ratings, size.users, size.items) == 5
    assert (plan.training_ratings, plan.shards, run_with) == (148_500_000, 4, 4)
    assert plan.block_ratings == 148_500_000 // 16


@pytest.mark.parametrize(
    "words",
    [
        ["split.kind=last", "split.last=2"],
        ["split.date=1970-01-02"],
        ["split.kind=file", "split.file={folder}/pairs.csv"],
        ["split.kind=file", "split.file={folder}/pairs.csv", "train.stop_on=slice", "train.slice_fraction=0.2"],
    ],
    ids=["last", "after", "file", "file and slice"],
)
def test_a_plan_counts_what_a_split_leaves(tmp_path: Path, words: list[str]) -> None:
    rows = [f"{user},{item},{1 + (user * item) % 5},{2000 * (user + item)}" for user in range(50) for item in range(20)]
    (tmp_path / "ratings.csv").write_text("user,item,rating,timestamp\n" + "\n".join(rows))
    (tmp_path / "pairs.csv").write_text("user,item\n" + "\n".join(f"{user},{user % 20}" for user in range(40)))
    content = {"ingest": {"ratings": [str(tmp_path / "ratings.csv")]}, "root": str(tmp_path / "root")}
    settings = Settings.build(content, [word.format(folder=tmp_path) for word in words])
    planned = plan_of(settings)
    split = files.read_json(files.join(run(settings, until="split").paths["split"], "manifest.json"))
    assert planned.split == split["split"]
    assert planned.training_ratings == pytest.approx(split["training_ratings"], rel=0.02)


def test_a_plan_leaves_held_out_users_out_whole() -> None:
    settings = Settings.build({"split": {"kind": "users", "fraction": 0.2}, "train": {"goal": "ranking"}})
    assert training_size(settings, Size(1000, 50, 20, 0)).ratings == 800


def test_a_plan_names_its_split_as_the_run_does() -> None:
    planned = plan_of(Settings.build({"synth": {"shape": "demo"}, "split": {"fraction": 0.025}}))
    assert planned.split == "hash 2.5 % (seed 0)"


def test_the_options_of_a_plan_are_settings_where_there_is_something_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--rank", "8", "--workers", "2", "--threads", "3", "--memory", "3 GiB", "--shards", "5", "--json"]
    program("plan")(["plan", "demo", *given, "--checkpoint-epochs", "7"], standalone_mode=False)
    planned = json.loads(capsys.readouterr().out)
    assert (planned["rank"], planned["shards"], planned["checkpoint_epochs"]) == (8, 5, 7)
    allowed = planned["allowance"]
    assert (allowed["workers"], allowed["threads"], allowed["memory_bytes"]) == (2, 3, 3 * 2**30)


@pytest.mark.parametrize(
    "words", [["--held-out", "0.2"], ["--bandwidth", "1 GB"], ["--store-bandwidth", "1 GB"], ["--constants", "c.json"]]
)
def test_what_only_a_plan_by_sizes_takes_is_refused_beside_settings(words: list[str]) -> None:
    with pytest.raises(SettingsError, match=f"{words[0]} belongs to a plan by sizes: give --users and --items too"):
        program("plan")(["plan", "demo", *words], standalone_mode=False)


def test_gzip_is_estimated_without_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv.gz"
    path.write_bytes(gzip.compress(b"user,item,rating\n" + b"\n".join(b"%d,%d,3" % (n, n % 7) for n in range(50_000))))
    plan = plan_of(Settings.build({"ingest": {"ratings": [str(path)]}}))
    assert plan.size.estimated
    assert 10_000 < plan.size.ratings < 250_000


def test_no_ratings_are_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no ratings are named"):
        plan_of(Settings.build({"root": str(tmp_path)}))


def test_blocks_are_streamed_where_they_do_not_fit(tmp_path: Path) -> None:
    """Between what the two ways need; asked for by name, either is taken whatever there is."""
    kept, streamed = (
        predict_bytes(Workload(LARGE, 16, 10, 1, 2, streamed=way), 64 * 2**20, 4_000_000) for way in (False, True)
    )
    assert streamed.training_bytes < 0.8 * kept.training_bytes
    between = Allowance(1, 2, (streamed.training_bytes + kept.training_bytes) // 2, str(tmp_path))
    enough = Allowance(1, 2, 2 * kept.training_bytes, str(tmp_path))
    for blocks, allowance, expected in (
        ("auto", between, True), ("auto", enough, False), ("memory", between, False), ("streamed", enough, True)
    ):  # fmt: skip
        settings = Settings.build({"train": {"rank": 16}, "cluster": {"blocks": blocks}})
        assert predict_for(settings, LARGE, 10, allowance).streamed is expected


def test_every_method_names_functions_that_are_there() -> None:
    for method in METHODS.values():
        assert callable(method.run_function())
        assert callable(method.memory_function())


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_needs_grows_with_each_size(method: str) -> None:
    def needed(ratings: int = 10**8, users: int = 500_000, items: int = 20_000, rank: int = 64) -> int:
        size = Size(ratings, users, items, raw_bytes=0)
        return predict_bytes(Workload(size, rank, 4, 1, 2), 64 * 2**20, 4_000_000, method=method).training_bytes

    least = 3 * 10**8
    assert needed() > least
    assert needed(ratings=2 * 10**8) >= needed() + least
    assert needed(users=10**6) > needed()
    assert needed(items=25_000) > needed()
    if method != "funk":  # which has one factor in hand, whatever the rank
        assert needed(rank=128) > needed() + 64 * 4 * 500_000


@pytest.mark.parametrize("method", METHODS)
def test_what_cannot_fit_is_refused_by_the_name_of_its_method(method: str) -> None:
    """At the Netflix Prize's size, with a tenth less memory than predicted."""
    words = ["train.rank=512", f"train.method={method}", "ranking.count=0"]
    netflix = {"synth": {"shape": "netflix"}, "cluster": {"blocks": "memory"}}
    prediction = plan_of(Settings.build(netflix, words)).prediction
    plan = plan_of(Settings.build(netflix, [*words, f"cluster.memory={0.9 * prediction.training_bytes:.0f}"]))
    with pytest.raises(CannotFit, match=rf"memory for training by {method} and has .*; lower train\.rank") as refused:
        plan.refuse()
    assert ("take train.method = 'sgd'" in str(refused.value)) == (method != "sgd")


def test_the_table_says_what_holds_for_the_method() -> None:
    def table(*words: str) -> str:
        console = Console(width=200)
        with console.capture() as captured:
            console.print(plan_table(plan_of(Settings.build({"synth": {"shape": "netflix"}}, words))))
        return captured.get()

    assert "sgd, rank 64, at most 100 epochs" in table()
    assert "tasks per epoch" in table()
    batch = table("train.method=batch", "train.batch.steps=30")
    assert "batch, rank 64, at most 30 steps" in batch
    assert "epoch" not in batch


def test_a_reconstruction_that_cannot_fit_is_refused_by_its_pieces() -> None:
    """As measured: 654 MiB for pieces of 32 MiB on one worker with two threads, and more for longer ones."""
    needed, worker = predict_reconstruct_bytes(32 * 2**20, workers=1, threads=2)
    assert 654 <= needed / 2**20 <= 1.1 * 654
    assert 1119 <= predict_reconstruct_bytes(128 * 2**20, 1, 2)[0] / 2**20 <= 1.1 * 1119
    allowance = Allowance(1, 2, 500 * 2**20, "")
    with pytest.raises(CannotFit, match=r"memory for writing pieces and has 500\.00 MiB; lower cluster\.workers"):
        allowance.refuse_memory(needed, worker, "writing pieces", "cluster.workers")
    said = ": one had 1.00 GiB or more, and 500.00 MiB is all that it may have"
    assert allowance.describe_worker(None, 2**30) == said


@pytest.mark.parametrize("until", ["synth", "ingest"])
def test_a_set_that_the_disk_cannot_hold_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, until: str
) -> None:
    monkeypatch.setattr("funkflow.pipeline.planning.budget.available_disk_bytes", lambda _root: 10_000)
    with pytest.raises(CannotFit, match=r"of disk and 9.77 kiB are free"):
        run("demo", ["synth.fraction=0.02", f"root={tmp_path}/root"], until=until)
    assert not list(tmp_path.glob("root/raw/*"))
