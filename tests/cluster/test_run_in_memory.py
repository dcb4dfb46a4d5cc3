"""Ratings in memory: every kind of table is the dataset that a file of its rows would be, and what is none is refused.

Covers: pipeline/from_python.py, pipeline/running/memory_inputs.py, tasks/parsing/sources/tables.py, the inputs of a
root as they are pruned and forgotten.
Does not cover: clients (test_given_client.py), recognising columns and rows (test_parquet.py, test_columns.py).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from dask.sizeof import sizeof
from distributed import Client
from scipy import sparse
from typer.testing import CliRunner
from ungated import UNGATED

from chaos.object_store import ObjectStore
from funkflow import RunResult, run
from funkflow.pipeline.cli import program
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root import temporary
from funkflow.pipeline.root.prune import prune
from funkflow.pipeline.root.store import Store
from funkflow.pipeline.running.memory_inputs import RATINGS, MemoryInputs
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import FunkflowError
from funkflow.tasks.parsing.sources import tables
from funkflow.tasks.storage import files

SMALL = ["train.rank=2", "train.epochs=2", UNGATED]


def made_frame(count: int = 900, users: int = 60, items: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    cells = np.sort(rng.choice(users * items, size=count, replace=False))
    ratings = rng.integers(1, 6, count).astype(float)
    return pd.DataFrame({"user_id": cells // items * 7, "item": cells % items, "stars": ratings})


FRAME = made_frame()
TEXT = FRAME.assign(item="film " + FRAME["item"].astype(str))
TABLE = pa.Table.from_pandas(TEXT, preserve_index=False)


class Stream:
    """What speaks Arrow's C stream, and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


def on_disk(folder: Path) -> pads.Dataset:
    pq.write_table(TABLE, folder / "table.parquet")
    return pads.dataset(folder / "table.parquet")


KINDS: dict[str, Callable[[Path], Any]] = {
    "pandas": lambda _: TEXT.set_axis(np.arange(len(TEXT)) * 3),
    "pandas, categories": lambda _: TEXT.astype({"item": "category"}),
    "polars": lambda _: pl.from_pandas(TEXT),
    "polars, categories": lambda _: pl.from_pandas(TEXT).with_columns(pl.col("item").cast(pl.Categorical)),
    "polars, lazy": lambda _: pl.from_pandas(TEXT).lazy(),
    "table": lambda _: TABLE.set_column(1, "item", TABLE["item"].cast(pa.string_view())),
    "reader": lambda _: TABLE.to_reader(max_chunksize=7),
    "batch": lambda _: TABLE.combine_chunks().to_batches()[0],
    "dataset": on_disk,
    "stream": lambda _: Stream(),
    "Dask": lambda _: dd.from_pandas(TEXT, npartitions=1),
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


def made(client: Client, root: Path, *overrides: str, until: str = "ingest", **given: Any) -> RunResult:
    return run(None, [f"root={root}", *SMALL, *overrides], client=client, until=until, **given)


def manifest(result: RunResult, kind: str = "dataset") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(result.paths[kind], "manifest.json").read_text())
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_is_one_dataset(kind: str, client: Client, root: Path, tmp_path: Path) -> None:
    first = made(client, root, ratings=TEXT)
    assert made(client, root, ratings=KINDS[kind](tmp_path)).paths == first.paths
    assert manifest(first)["ratings"] == len(TEXT)


def test_the_model_has_the_bits_of_one_from_files(client: Client, tmp_path: Path) -> None:
    held = TEXT.iloc[::9]
    TEXT.to_csv(tmp_path / "ratings.csv", index=False)
    held[["user_id", "item"]].to_csv(tmp_path / "pairs.csv", index=False)
    of_files = made(
        client, tmp_path / "one", until="export", ratings=tmp_path / "ratings.csv", validation=tmp_path / "pairs.csv"
    )
    in_memory = made(
        client, tmp_path / "two", until="export", ratings=TEXT, validation=pl.from_pandas(held[["user_id", "item"]])
    )
    assert (of_files.split, in_memory.split[:13]) == ("pairs.csv", "validation= (")  # type: ignore[index]
    assert in_memory.rmse == of_files.rmse
    for kind, what in (("dataset", "parts"), ("split", "validation"), ("split", "training")):
        assert manifest(in_memory, kind)[what] == manifest(of_files, kind)[what]
    assert in_memory.model.about["parts"] == of_files.model.about["parts"]


def test_stored_zeros_of_a_matrix_are_ratings_of_0_and_other_cells_are_missing(client: Client, root: Path) -> None:
    users, items, ratings = FRAME["user_id"].to_numpy(), FRAME["item"].to_numpy(), FRAME["stars"].to_numpy() - 1
    matrix = sparse.coo_array((ratings, (users, items)))
    first = made(client, root, ratings=matrix)
    found = manifest(first)
    assert (found["ratings"], found["rating_minimum"]) == (len(FRAME), 0)
    assert (found["user_id_type"], found["item_id_type"]) == ("integer", "integer")
    frame = pd.DataFrame({"user": users, "item": items, "rating": ratings})
    assert made(client, root, ratings=frame).paths == first.paths
    rng = np.random.default_rng(1)
    shuffled = rng.permutation(len(FRAME))
    for other in (
        matrix.tocsc(), matrix.tolil(), sparse.dok_array(matrix),
        sparse.coo_matrix((ratings[shuffled], (users[shuffled], items[shuffled]))),
    ):  # fmt: skip
        assert made(client, root, ratings=other).paths == first.paths, other.format


def test_a_matrix_stays_as_it_is(client: Client, root: Path) -> None:
    """Entries of one cell are added up, as SciPy does, and not in the user's own matrix."""
    matrix = sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([4, 4, 1]), np.array([0, 3])), shape=(1, 5))
    assert manifest(made(client, root, ratings=matrix))["rating_maximum"] == 3.0
    assert matrix.data.tolist() == [1.0, 2.0, 3.0]


def test_partitions_stay_where_they_are(two_workers: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition is written where it lies: no result that comes here is as large as one."""
    frame = dd.from_pandas(TEXT, npartitions=3, sort=False)
    in_threads = run(None, [f"root={tmp_path}/one", "cluster.processes=one"], ratings=frame, until="ingest")
    gathered: list[int] = []
    gather: Any = Client._gather

    async def watched(self: Client, *arguments: Any, **named: Any) -> Any:
        found = await gather(self, *arguments, **named)
        gathered.append(sizeof(found))
        return found

    with two_workers.as_current():
        persisted = frame.persist()
    monkeypatch.setattr(Client, "_gather", watched)
    result = made(two_workers, tmp_path / "two", ratings=persisted)
    assert manifest(result)["id"] == manifest(in_threads)["id"]
    assert manifest(result)["ratings"] == len(TEXT)
    (folder,) = Path(tmp_path, "two", "inputs").iterdir()
    assert sorted(path.name for path in folder.glob("*.parquet")) == [
        f"part-0000{number}.parquet" for number in range(3)
    ]
    assert gathered
    assert max(gathered) < sizeof(TEXT) / 3


def test_the_same_table_twice_is_up_to_date_and_its_files_are_pruned_and_forgotten(
    client: Client, tmp_path: Path
) -> None:
    root, heard = tmp_path / "root", list[Event]()
    result = made(client, root, until="export", ratings=FRAME)
    made(client, root, until="export", ratings=FRAME.copy(), listeners=[heard.append])
    assert any(isinstance(event, Noticed) and event.message.startswith("up to date") for event in heard)
    (first,) = (root / "inputs").iterdir()
    record = json.loads(Path(result.paths["run"], "record.json").read_text())
    assert record["inputs"] == [first.name]
    shown = CliRunner().invoke(program(), ["runs", "show", "last", "--root", str(root), "--json"]).stdout
    assert json.loads(shown)["settings"]["ingest"]["ratings"] == [str(first)]
    made(client, root, ratings=FRAME.head(500))
    assert len(list((root / "inputs").iterdir())) == 2
    removed = prune(Store(str(root)), keep=1, remove=True)
    assert [path for path in removed.paths if path.startswith("inputs/")]
    assert list((root / "inputs").iterdir()) == [first]
    asked = ["forget", "--root", str(root), "--user", "7", "--json"]
    held = json.loads(CliRunner().invoke(program(), asked).stdout)["holders"]
    assert [each["name"] for each in held if each["kind"] == "inputs"] == [first.name]
    CliRunner().invoke(program(), [*asked, "--yes"])
    assert not list((root / "inputs").iterdir())


def test_rows_without_a_rating_are_quarantined_where_the_settings_say_so(client: Client, root: Path) -> None:
    frame = FRAME.assign(stars=FRAME["stars"].where(FRAME.index != 4))
    with pytest.raises(FunkflowError, match=r"^ratings= row 5: the rating is empty"):
        made(client, root, ratings=frame)
    result = made(client, root, "ingest.on_bad_rows=quarantine", ratings=pl.from_pandas(frame))
    assert (manifest(result)["ratings"], manifest(result)["quarantined"]) == (len(FRAME) - 1, 1)


def test_a_row_is_found_in_whatever_file_it_lies(client: Client, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = FRAME.assign(stars=FRAME["stars"].where(FRAME.index != 704))
    with pytest.raises(FunkflowError, match=r"^ratings= partition 1 row 255: "):
        made(client, root, ratings=dd.from_pandas(frame, npartitions=2, sort=False))
    monkeypatch.setattr(tables, "PART_ROWS", 300)
    monkeypatch.setattr("funkflow.pipeline.running.memory_inputs.PART_ROWS", 300)
    with pytest.raises(FunkflowError, match=r"^ratings= row 705: "):
        made(client, root, ratings=frame)


def test_a_root_may_be_an_object_store(object_store: ObjectStore) -> None:
    store = Store(object_store.new_root())
    settings = Settings.build({"root": store.root, "ingest": {"ratings": [RATINGS]}})
    ((folder,),) = {MemoryInputs({RATINGS: each}).written(settings, store).ingest.ratings for each in (TEXT, TABLE)}
    assert files.names(folder) == ["manifest.json", "part-00000.parquet"]
    assert files.read_table(f"{folder}/part-00000.parquet").to_pydict() == TABLE.to_pydict()
    assert not files.names(store.scratch(""))


def test_columns_are_named_by_the_settings(client: Client, root: Path) -> None:
    frame = FRAME.set_axis(["who", "what", "how"], axis=1)
    words = [f"ingest.columns.{role}={name}" for role, name in zip(("user", "item", "rating"), frame, strict=True)]
    assert manifest(made(client, root, *words, ratings=frame))["ratings"] == len(FRAME)
    heard: list[Event] = []
    with pytest.raises(FunkflowError, match=r"^ratings=: no column for the user among who, what, how; name it in"):
        made(client, root, ratings=frame, listeners=[heard.append])
    assert not any("inputs/" in event.message for event in heard if isinstance(event, Noticed))


REFUSED: dict[str, tuple[Any, str]] = {
    "dense": (np.ones((3, 4)), "ratings= is a dense array of 3 x 4, in which no cell is missing: give .*coo_array"),
    "dict": ({"user": [1]}, "ratings= is a dict: give a DataFrame"),
    "tables": ([FRAME, FRAME], "ratings= is a list: give a DataFrame"),
    "column": (FRAME["stars"], "ratings= cannot be written as a table"),
    "Dask column": (dd.from_pandas(FRAME, npartitions=1)["stars"], "ratings= is a Series: give a DataFrame"),
    "no type": (FRAME.assign(more=[1, "a"] * 450), "ratings= cannot be written as a table .*column more"),
    "twice": (FRAME.set_axis(["user", "item", "item"], axis=1), "ratings= cannot be written as a table .*[Dd]uplicate"),
    "twice in Arrow": (pa.table([[1], [2]], ["user", "user"]), "ratings= cannot be written as a table .*[Dd]uplicate"),
    "blocks": (sparse.bsr_array(np.ones((4, 4))), "ratings= is a matrix in bsr format"),
    "line": (sparse.coo_array(np.ones(4)), "ratings= is a sparse array of 1 dimension"),
    "no rows": (FRAME.head(0), "ratings=: no usable rating"),
    "lists": (FRAME.assign(item=pd.Series(np.ones((900, 1)).tolist())), "ratings=: column 'item' has type list"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_line(kind: str, client: Client, root: Path) -> None:
    given, words = REFUSED[kind]
    with pytest.raises(FunkflowError, match=f"^{words}") as refused:
        made(client, root, ratings=given)
    assert "\n" not in refused.value.message
    assert refused.value.exit_code in (2, 3)


def test_a_validation_table_is_another_one(client: Client, root: Path) -> None:
    with pytest.raises(FunkflowError, match=r"^ratings=: split\.file .* names the ratings themselves"):
        made(client, root, ratings=FRAME, validation=FRAME, until="split")
    with pytest.raises(FunkflowError, match=r"^validation= row 1: user 7000 has no rating for item 1 in the data"):
        made(client, root, ratings=FRAME, validation=pd.DataFrame({"user": [7000], "item": [1]}), until="split")


def test_settings_keep_all_but_the_ratings(client: Client, root: Path) -> None:
    """As with --ratings: a preset's synthetic set and its validation file go with its ratings."""
    result = run("demo", [f"root={root}", *SMALL], ratings=FRAME, client=client, until="split")
    assert (manifest(result)["ratings"], result.split) == (len(FRAME), "hash 10 % (seed 0)")
    assert "raw" not in result.paths
    assert made(client, root, ratings=TEXT).paths == run({"root": str(root)}, SMALL, ratings=TEXT, until="ingest").paths
    with pytest.raises(FunkflowError, match=r"^nothing to run: give settings"):
        run()


def test_without_a_root_results_go_with_the_process(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Event] = []
    result = run(ratings=FRAME, client=client, until="ingest", listeners=[heard.append])
    place = temporary.temporary_root()
    assert result.paths["dataset"].startswith(f"{place}/datasets/")
    (said,) = [event.message for event in heard if isinstance(event, Noticed) and place in event.message]
    assert 'run(..., overrides=["root=data"]) keeps them' in said
    with pytest.raises(FunkflowError, match="this result has no model"):
        _ = result.model
    program = "from funkflow.pipeline.root.temporary import temporary_root; print(temporary_root(), end='')"
    made_there = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert made_there != place
    assert [Path(each).exists() for each in (made_there, place)] == [False, True]


@pytest.mark.long
def test_the_page_runs(client: Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "from-python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 5
    with client.as_current():
        exec("\n".join(blocks), {"__name__": "page"})
