"""`~` stands for a home folder wherever a path may stand, and nothing makes a folder called ~.

Covers: settings, their files, options, models and hooks; homes that are not known; what is really called ~.
Does not cover: what a shell expands itself.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from executing import executed, ratings_in, settings_over
from factorised import model_of, saved_in_parts
from program import CHECKOUT, funkflow

from funkflow.pipeline.cli import program
from funkflow.pipeline.commands.shared_options import PATHS
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.model import Model
from funkflow.tasks.parsing.sources.sources import find_sources
from funkflow.tasks.storage import files
from funkflow.tasks.storage.paths import NO_HOME, absolute, ensure_home, expand_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def unknown(_uid: int) -> Any:
    raise KeyError


@pytest.mark.parametrize(
    ("path", "whole"),
    [
        ("~", "{home}"),
        ("~/x/*.csv", "{home}/x/*.csv"),
        ("./~/x", "./~/x"),
        ("x/~/y", "x/~/y"),
        ("x~", "x~"),
        ("s3://~/x", "s3://~/x"),
        ("", ""),
    ],
)
def test_a_leading_tilde_alone_is_a_home(home: Path, path: str, whole: str) -> None:
    assert expand_home(path) == whole.format(home=home)


def test_a_user_has_the_home_that_the_system_knows() -> None:
    user = pwd.getpwuid(0)
    assert expand_home(f"~{user.pw_name}/x") == f"{user.pw_dir}/x"


@pytest.mark.parametrize("variable", [None, "", NO_HOME])
def test_without_a_home_a_tilde_is_refused(variable: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    if variable is not None:
        monkeypatch.setenv("HOME", variable)
    with pytest.raises(SettingsError, match=r"^~/x: this user has no home folder.*or \./~/x for"):
        expand_home("~/x")


def test_an_unknown_user_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^~no-such/x: there is no user 'no-such' here.*or \./~no-such/x for"):
        expand_home("~no-such/x")


def test_libraries_find_a_home_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME")
    ensure_home()
    assert Path.home() == Path(NO_HOME)


def test_what_is_called_tilde_is_reached_from_the_folder_it_lies_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_bytes("./~/x", b"1")
    files.write_bytes("./~y", b"2")
    assert (Path("~/x").read_bytes(), Path("~y").read_bytes()) == (b"1", b"2")
    assert files.read_bytes("./~/x") == b"1"
    assert absolute("./~/x") == str(tmp_path / "~" / "x")


@pytest.mark.parametrize(
    "setting",
    [
        "root", "synth.folder", "ingest.ratings", "ingest.titles", "ingest.deletions", "split.file", "train.warm_from",
        "predict.pairs", "cluster.scheduler_file", "cluster.preset", "cluster.tls_ca", "cluster.tls_cert",
        "cluster.tls_key",
    ],
)  # fmt: skip
def test_every_setting_that_is_a_path_is_expanded(setting: str, home: Path) -> None:
    tls = [f"cluster.tls_{each}" for each in ("ca", "cert", "key")]
    with_it = {
        "split.file": ["split.kind=file"],
        "train.warm_from": ["train.warm_start=true"],
        **{key: [f"{each}=x" for each in tls] for key in tls},
    }
    value: Any = Settings.build({}, [*with_it.get(setting, []), f"{setting}=~/x"])
    for name in setting.split("."):
        value = getattr(value, name)
    assert value in (str(home / "x"), (str(home / "x"),))


def test_a_setting_says_which_user_is_not_there() -> None:
    with pytest.raises(SettingsError, match=r"^settings: root = '~no-such/x': there is no user 'no-such' here"):
        Settings.build({"root": "~no-such/x"})


@pytest.mark.parametrize("setting", ["root", "ingest.ratings"])
def test_a_name_that_is_not_utf8_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match=r"'x\\udce9': this name is not UTF-8; rename it"):
        Settings.build({}, [f"{setting}='x\udce9'"])


def test_a_name_that_is_not_utf8_is_refused_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x\udce9.csv").write_text("user,item,rating\n1,2,3\n")
    with pytest.raises(SettingsError, match=r"x\\udce9.csv: this name is not UTF-8; rename it"):
        find_sources([str(tmp_path)])


def test_every_option_that_is_a_path_is_expanded() -> None:
    """Those that are not, and speak of files all the same, stand for settings."""
    found = set()
    for word in (
        "run",
        "predict",
        "spectrum",
        "reconstruct",
        "report",
        "runs",
        "plan",
        "recommend",
        "forget",
        "current",
    ):
        command = typer.main.get_command(program(word))
        for each in [command, *getattr(command, "commands", {}).values()]:
            for option in each.params:
                help_text = str(getattr(option, "help", ""))
                if any(what in help_text for what in ("folder", "file", "page goes", "CSV", "ratings to read")):
                    found.add(str(option.name))
    assert found - {"conf", "words", "scheduler_file", "cluster", "as_page", "debug"} == PATHS


def test_a_run_makes_no_folder_called_tilde(home: Path) -> None:
    ratings_in(home)
    (home / "mine.toml").write_text('root = "~/root"\ningest.ratings = "~/ratings"\n', encoding="utf-8")
    done = funkflow("ingest", "~/mine.toml", HOME=str(home))
    assert done.returncode == 0, done.stderr
    assert list((home / "root" / "datasets").iterdir())
    listed = funkflow("runs", "--root=~/root", "--json", HOME=str(home))
    assert f'"root": "{home}/root"' in listed.stdout
    assert not (CHECKOUT / "~").exists()


def test_a_model_is_loaded_from_home(home: Path) -> None:
    model = saved_in_parts(model_of(np.random.default_rng(0)), str(home / "model"), 1)
    assert Model.load("~/model").mean == model.mean


def test_a_hook_in_a_home_is_found(home: Path) -> None:
    ratings_in(home)
    (home / "hook.py").write_text("import pathlib; (pathlib.Path(__file__).parent / 'told').touch()")
    executed(settings_over(home, str(home / "root"), hooks={"on_success": f"{sys.executable} ~/hook.py"}))
    assert os.path.exists(home / "told")
