"""The pointer to the model in use, moved by runs and by hand: always at a whole model, and back again.

Covers: pipeline/root/model_in_use.py and the commands current, promote and rollback.
Does not cover: which model a run may put to use (test_gate.py).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from distributed import Client
from filelock import FileLock
from growing_ratings import Root, address_of, lines
from typer.testing import CliRunner

from funkflow.pipeline.cli import program
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.model_in_use import promote, put_to_use, read_current, rollback
from funkflow.tasks.errors import DamagedFile, SettingsError, TryAgainLater


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Root, str, str]:
    """A root with two runs, one after the other."""
    root = Root(tmp_path_factory.mktemp("made"), address_of(client))
    ids = [str(root.run(lines(0, last), "train.epochs=1").run_id) for last in (1_000, 1_100)]
    return root, ids[0], ids[1]


@pytest.fixture
def root(made: tuple[Root, str, str], tmp_path: Path) -> Root:
    """The same, to be changed."""
    return made[0].copy(tmp_path / "copy")


def in_use(root: Root) -> str:
    current = read_current(str(root.folder / "data"))
    assert current is not None
    return current.run_id


def test_a_run_puts_its_model_to_use_and_remembers_the_one_before(made: tuple[Root, str, str]) -> None:
    root, first, second = made
    content = json.loads((root.folder / "data" / "current.json").read_text())
    assert (content["run_id"], content["by"]) == (second, "run")
    assert (root.folder / "data" / content["model"] / "model.json").exists()
    assert json.loads((root.folder / "data" / content["record"]).read_text())["state"] == "done"
    assert [use["run_id"] for use in content["previous"]] == [first]


def test_rollback_goes_back_and_the_run_that_was_taken_back_stays_so(root: Root, made: tuple[Root, str, str]) -> None:
    _, first, second = made
    data = str(root.folder / "data")
    back, taken_back = rollback(data)
    assert (back.run_id, taken_back, in_use(root)) == (first, second, first)
    events: list[Event] = []
    assert root.run(lines(0, 1_100), "train.epochs=1", listeners=[events.append]).run_id == second
    assert in_use(root) == first
    assert any("rolled back by hand" in event.message for event in events if isinstance(event, Noticed))
    with pytest.raises(SettingsError, match=f"{first} is the first model in use"):
        rollback(data)
    assert promote(data, second[:9]).run_id == second
    assert [use.run_id for use in promote(data, second).previous] == [first]  # once more changes nothing


@pytest.mark.parametrize("prefix", ["", "none"])
def test_promote_wants_one_run(root: Root, prefix: str) -> None:
    with pytest.raises(SettingsError, match="there is no run"):
        promote(str(root.folder / "data"), prefix)


def test_promote_wants_a_unique_prefix(root: Root, made: tuple[Root, str, str]) -> None:
    _, first, second = made
    (root.folder / "data" / "runs" / f"{first[:3]}zzz").mkdir()
    with pytest.raises(SettingsError, match="give more digits"):
        promote(str(root.folder / "data"), first[:3])
    assert in_use(root) == second


def test_a_model_that_is_not_whole_is_never_pointed_at(root: Root, made: tuple[Root, str, str]) -> None:
    _, first, second = made
    data = root.folder / "data"
    part = next((data / "runs" / first / "model" / "user_factors.parquet").iterdir())
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)  # as long as before
    for move in (lambda: promote(str(data), first), lambda: rollback(str(data))):
        with pytest.raises(DamagedFile, match="do not match checksum"):
            move()
    part.write_bytes(content[:-1])
    with pytest.raises(DamagedFile, match="incomplete"):
        put_to_use(str(data), first)
    (data / "runs" / first / "model" / "model.json").unlink()
    with pytest.raises(SettingsError, match="no model here"):
        promote(str(data), first)
    assert in_use(root) == second


def test_hands_off_while_a_run_is_at_work(root: Root, made: tuple[Root, str, str]) -> None:
    data = root.folder / "data"
    with FileLock(data / ".lock"):
        for move in (lambda: promote(str(data), made[1]), lambda: rollback(str(data))):
            with pytest.raises(TryAgainLater):
                move()


@pytest.mark.parametrize("content", ["[]", '{"run_id": "a", "previous": [1]}', '{"model": "b"}', "{"])
def test_what_is_no_pointer_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "current.json").write_text(content)
    with pytest.raises(DamagedFile, match=r"current\.json"):
        read_current(str(tmp_path))


def test_a_pointer_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text('{"run_id": "abc", "model": "runs/abc/model"}')
    current = read_current(str(tmp_path))
    assert current is not None
    assert current.to_dict()["model"] == "runs/abc/model"


def test_the_commands_say_what_is_in_use(root: Root, made: tuple[Root, str, str]) -> None:
    _, first, second = made
    data, said = str(root.folder / "data"), CliRunner()
    for words, expected in (
        (["current"], [second, first]),
        (["rollback"], [f"in use: {first}", f"taken back: {second}"]),
        (["promote", second[:8]], [f"in use: {second}", f"before it {first}"]),
    ):
        shown = said.invoke(program(), [*words, "--root", data], catch_exceptions=False).output
        assert all(word in shown for word in expected)
    told = json.loads(said.invoke(program(), ["current", "--json", "--root", data]).output)
    assert (told["run_id"], told["by"]) == (second, "promote")
    empty = said.invoke(program(), ["current", "--root", str(root.folder / "nothing")])
    assert isinstance(empty.exception, SettingsError)
