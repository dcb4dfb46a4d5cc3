"""What was changed in a store since it was written, or is of another version, is refused by the name of its file.

Covers: every kind of manifest and every kind of data file of a finished run, one bit flipped or the version changed;
that nothing in the sources, and nothing that is read, can unpickle anything.
Does not cover: files cut short or lost (test_files.py, test_model.py), or how a run falls back to an older checkpoint
(test_train.py).
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import made_ratings, publish_ratings
from distributed import Client
from source_files import sources

from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.models.canonical_graph import saved_rotations
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.manifests import Dataset, Split, Training, TrainingData
from funkflow.pipeline.root.store import Store, published
from funkflow.pipeline.settings.sections import GridSettings, TrainSettings
from funkflow.pipeline.stages.baseline import baseline
from funkflow.pipeline.stages.evaluate import evaluate
from funkflow.pipeline.stages.export import export
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.spectrum import spectrum
from funkflow.pipeline.training import checkpoint
from funkflow.pipeline.training.job import TrainingJob
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.grid.block import read_block
from funkflow.tasks.model.about import About, read_about
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files, npy
from funkflow.tasks.training.score import read_held_out

CHECKOUT = Path(__file__).parents[2]
SCALE = (1.0, 5.0)
MANIFESTS = {
    "dataset": "datasets/made",
    "split": "splits/made",
    "grid": "grids/*",
    "baseline": "grids/*/baseline",
    "training": "runs/run/training",
    "evaluation": "runs/run/evaluation",
    "spectrum": "runs/run/model/spectrum",
}


@pytest.fixture(scope="module")
def finished(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "root"
    run_stages(Context(client, Store(str(root)), lambda _event: None, "finished"))
    return root


def run_stages(context: Context) -> None:
    dataset, split = publish_ratings(context, made_ratings())
    blocks = grid(context, dataset, split, GridSettings(shards=2))
    folder = context.store.run("run")
    trained = train(TrainingJob(context, blocks, SCALE, TrainSettings(rank=3, epochs=4, checkpoint_epochs=2), folder))
    data, baselines = TrainingData(dataset, split, blocks), baseline(context, split, blocks, SCALE, False).errors
    evaluate(context, data, trained, 3, baselines)
    about: About = {"id_types": {"user": "integer", "item": "integer"}, "split": "made"}
    model = export(context, data, trained, 3, about)
    spectrum(context, model, blocks.folder)


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be tampered with."""
    shutil.copytree(finished, tmp_path / "root")
    return tmp_path / "root"


def only(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def flip(path: Path, place: int | None = None) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if place is None else place] ^= 1
    path.write_bytes(content)


def change_a_number(path: Path) -> None:
    """Flip the last bit of a whole number's last digit: what is left is good JSON of the same length."""
    content = path.read_bytes()
    numbers = re.finditer(rb'(?<!"format_version"): \d*(\d)(?=,?\n)', content)
    places = [number.start(1) for number in numbers]
    flip(path, places[0])
    json.loads(path.read_text())


def change_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))


@pytest.mark.parametrize(("kind", "folder"), MANIFESTS.items())
def test_a_manifest_that_was_changed_or_is_of_another_version_is_refused(root: Path, kind: str, folder: str) -> None:
    place = only(root, folder)
    manifest = place / "manifest.json"
    assert published(str(place), kind) is not None
    whole = manifest.read_text()
    change_version(manifest)
    with pytest.raises(DamagedFile, match=rf"{manifest}: format version 99, this funkflow reads \d"):
        published(str(place), kind)
    content = json.loads(whole)
    manifest.write_text(json.dumps({**content, "seal": content["seal"][::-1]}))
    with pytest.raises(DamagedFile, match=f"{manifest}: changed since it was written"):
        published(str(place), kind)
    manifest.write_text(json.dumps({key: value for key, value in content.items() if key != "seal"}))
    with pytest.raises(DamagedFile, match=f"{manifest}: changed since it was written"):
        published(str(place), kind)


@pytest.mark.parametrize("folder", ["datasets/made", "grids/*", "runs/run/training"])
def test_one_bit_of_one_number_in_a_manifest_is_noticed(root: Path, folder: str) -> None:
    manifest = only(root, folder) / "manifest.json"
    change_a_number(manifest)
    with pytest.raises(DamagedFile, match=f"{manifest}: changed since it was written"):
        published(str(manifest.parent), json.loads(manifest.read_text())["kind"])


def test_model_json_that_was_changed_or_is_of_another_version_is_refused(root: Path) -> None:
    model = root / "runs/run/model"
    about = model / "model.json"
    whole = about.read_text()
    about.write_text(whole.replace('"scale"', '"Scale"'))
    with pytest.raises(DamagedFile, match=f"{about}: changed since it was written"):
        read_about(str(model))
    about.write_text(whole)
    change_version(about)
    with pytest.raises(DamagedFile, match=f"{about}: not a funkflow model of format version"):
        read_about(str(model))


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_bit_of_a_factor_table_is_noticed(root: Path, side: str) -> None:
    part = only(root, f"runs/run/model/{side}_factors.parquet/*")
    flip(part)
    with pytest.raises(DamagedFile, match=f"{part}: .*do not match checksum"):
        Model.load(str(root / "runs/run/model"))


def test_a_bit_of_a_block_or_of_held_out_ratings_is_noticed(root: Path) -> None:
    manifest = published(str(only(root, "grids/*")), "grid")
    assert manifest is not None
    block = root / "blocks" / f"{manifest['blocks'][0]['checksum']}.parquet"
    flip(block)
    with pytest.raises(DamagedFile, match=f"{block}: .*do not match checksum"):
        read_block(str(root / "blocks"), manifest["blocks"][0]["checksum"], (30, 20))
    shard = manifest["held_out"]["validation"]["shards"][0]
    held_out = only(root, "grids/*") / shard["path"]
    flip(held_out)
    with pytest.raises(DamagedFile, match=f"{held_out}: .*do not match checksum"):
        read_held_out(str(held_out), shard["checksum"], 2)


@pytest.mark.parametrize(
    ("damaged", "removed"),
    [
        ("datasets/made/ratings.parquet/part.00000.parquet", "grids"),
        ("splits/made/validation/part.00000.parquet", "grids"),
        ("datasets/made/users.parquet", "runs/run/model"),
        ("datasets/made/items.parquet", "runs/run/model"),
        ("runs/run/checkpoints/shards-00004/user-00000.npy", "runs/run/model"),
    ],
)
def test_a_bit_of_what_a_stage_reads_ends_that_stage(root: Path, damaged: str, removed: str, client: Client) -> None:
    flip(root / damaged)
    shutil.rmtree(root / removed)
    context = Context(client, Store(str(root)), lambda _event: None, f"damaged-{root.parent.name}")
    again: dict[str, Callable[..., object]] = {
        "grids": lambda context, dataset, split, _trained: grid(context, dataset, split, GridSettings(shards=2)),
        "runs/run/model": lambda context, dataset, split, trained: export(
            context,
            TrainingData(dataset, split, grid(context, dataset, split, GridSettings(shards=2))),
            trained,
            3,
            {},
        ),
    }
    dataset, split = Dataset.published(str(root / "datasets/made")), Split.published(str(root / "splits/made"))
    assert dataset is not None
    assert split is not None
    trained = Training.published(str(root / "runs/run/training"))
    assert trained is not None
    with pytest.raises(DamagedFile, match=f"{root / damaged}: .*do not match checksum"):
        again[removed](context, dataset, split, trained)


@pytest.mark.parametrize("name", ["spectrum.parquet", "spectrum/user_rotation.npy", "spectrum/item_rotation.npy"])
def test_a_bit_of_a_spectrum_is_noticed(root: Path, name: str) -> None:
    model = root / "runs/run/model"
    assert saved_rotations(str(model), read_about(str(model))) is not None
    flip(model / name, -20 if name.endswith("npy") else None)
    with pytest.raises(DamagedFile, match=f"{model / name}: .*do not match checksum"):
        saved_rotations(str(model), read_about(str(model)))


@pytest.mark.parametrize("damage", [change_a_number, change_version])
def test_a_checkpoint_that_was_changed_is_named_and_passed_over(root: Path, client: Client, damage: object) -> None:
    events: list[Event] = []
    context = Context(client, Store(str(root)), events.append, f"checkpoint-{root.parent.name}")
    run_folder = context.store.run("run")
    newest = sorted((root / "runs/run/checkpoints").glob("epoch-*.json"))[-1]
    assert callable(damage)
    damage(newest)
    found = checkpoint.newest_whole(context, run_folder)
    assert found is not None
    assert found.epoch == 2
    (said,) = [event.message for event in events if isinstance(event, Noticed) and event.warning]
    assert str(newest) in said
    assert "changed since it was written" in said or "format version 99" in said


class _Planted:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def test_a_planted_pickle_is_refused_and_never_run(root: Path, client: Client, tmp_path: Path) -> None:
    """Even where who planted it put the right checksum beside it."""
    mark = tmp_path / "mark"
    for shard in sorted(root.glob("runs/run/checkpoints/shards-00004/*.npy")):
        np.save(shard, np.array([_Planted(mark)], dtype=object), allow_pickle=True)
        with pytest.raises(DamagedFile, match="not an npy file of numbers"):
            npy.read_array(str(shard), files.checksum(shard.read_bytes()))
    trained = Training.published(str(root / "runs/run/training"))
    assert trained is None  # its files are not as long as they were
    assert not mark.exists()
    np.load(shard, allow_pickle=True)
    assert mark.exists()


FORBIDDEN_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "torch"}
FORBIDDEN_CALLS = {"read_pickle", "eval", "exec", "deserialize", "unsafe_load"}


def unpickling(tree: ast.Module) -> Iterator[str]:
    """Yield what in a file could unpickle: a module that does, np.load, or a call by one of the known names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in FORBIDDEN_MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN_MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("np.load", "numpy.load") or name.split(".")[-1] in FORBIDDEN_CALLS:
                yield name
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield "allow_pickle"


def test_nothing_in_the_sources_unpickles() -> None:
    """One file marks its own code to be sent to the scheduler along with a plugin, and reads nothing."""
    found = [
        f"{source.where}: {name}"
        for source in sources(CHECKOUT, ("pipeline", "tasks", "bench"))
        for name in unpickling(source.tree)
    ]
    assert found == ["pipeline/cluster/placement.py: cloudpickle"]


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "np.load(path)", "pd.read_pickle(path)", "f(path, allow_pickle=True)"],
)
def test_the_search_for_unpickling_finds(line: str) -> None:
    assert list(unpickling(ast.parse(line)))
