"""The settings that a run leaves mean the same wherever they are read.

Covers: which paths are made whole, what stays as it is, and hooks. Does not cover: running them again (test_report.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import fsspec
import pytest
from pydantic import BaseModel

from funkflow.pipeline.root.run_record import Record
from funkflow.pipeline.settings.effective import with_absolute_paths
from funkflow.pipeline.settings.method_settings import Place
from funkflow.pipeline.settings.presets import read_settings
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import SettingsError

PLACE = get_args(Place)[1]


def places(section: BaseModel, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every setting that is a path, or several, by its name, with its value."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from places(value, f"{above}{name}.")
        elif PLACE in field.metadata or repr(PLACE) in str(field.annotation):
            yield f"{above}{name}", value


def whole(value: Any) -> bool:
    return all(Path(each).is_absolute() for each in (value if isinstance(value, tuple) else (value,)))


def test_no_path_depends_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old" / "model").mkdir(parents=True)
    settings = Settings.build(
        {
            "root": "out",
            "synth": {"folder": "raw"},
            "ingest": {
                "ratings": ["./r.csv", "more/*.csv"],
                "deletions": ["gone.csv"],
                "known_pairs": ["views.csv"],
                **{name: f"{name}.csv" for name in ("titles", "item_features", "user_features")},
            },
            "split": {"kind": "file", "file": "held.csv"},
            "predict": {"pairs": "pairs.csv"},
            "train": {"warm_start": True, "warm_from": "old/model"},
            "track": {"mlflow": "mlruns"},
            "cluster": {
                "scheduler_file": "s.json",
                **{f"tls_{name}": f"{name}.pem" for name in ("ca", "cert", "key")},
            },
        }
    )
    saved = with_absolute_paths(settings)
    found = dict(places(saved))
    assert [name for name, value in found.items() if not value] == ["cluster.preset"]
    assert [name for name, value in found.items() if value and not whole(value)] == []
    assert saved.ingest.ratings == (f"{tmp_path}/r.csv", f"{tmp_path}/more/*.csv")
    assert with_absolute_paths(saved) == saved


@pytest.mark.parametrize(
    "content",
    [
        {"root": "s3://bucket/root", "ingest": {"ratings": ["https://host/r.csv?key=1", "/data/r.csv"]}},
        {"root": "/r", "synth": {}, "split": {"kind": "file", "file": "probe.txt"}},
        {"root": "/r", "train": {"warm_start": True, "warm_from": "a1b2"}, "cluster": {"preset": "slurm"}},
        {"root": "/r", "ingest": {"known_pairs": ["validation", "/data/views.csv"]}},
        {"root": "/r", "track": {"mlflow": "file:mlruns"}},
        {"root": "/r", "track": {"mlflow": "databricks"}},
    ],
)
def test_urls_and_names_stay(content: dict[str, Any]) -> None:
    settings = Settings.build(content)
    assert with_absolute_paths(settings) == settings


def test_the_file_of_a_cluster_is_whole_too() -> None:
    saved = with_absolute_paths(Settings.build({"cluster": {"preset": "mine.toml"}}))
    assert saved.cluster.preset == str(Path("mine.toml").absolute())


@pytest.mark.parametrize("entry", [".", "..", "./", "folder/"])
def test_the_last_part_stays_as_a_dataset_is_named_by_it(entry: str) -> None:
    (saved,) = with_absolute_paths(Settings.build({"ingest": {"ratings": [entry]}})).ingest.ratings
    assert Path(saved).is_absolute()
    assert saved.rstrip("/").rsplit("/", 1)[-1] == (entry.rstrip("/").rsplit("/", 1)[-1] or entry)


def test_hooks_are_not_called_by_who_runs_it_again(tmp_path: Path) -> None:
    settings = Settings.build({"root": str(tmp_path), "hooks": {"on_success": "mail", "timeout_seconds": 5}})
    Record(str(tmp_path), "a" * 16, with_absolute_paths(settings))
    again = Settings.load(str(tmp_path / "settings.toml"))
    assert again.hooks.on_success.get_secret_value() == ""
    assert again.hooks.timeout_seconds == 5


def test_settings_are_read_from_a_store(tmp_path: Path) -> None:
    with fsspec.open("memory://folder/settings.toml", "w") as file:
        file.write('root = "memory://folder"\n')
    assert read_settings("memory://folder/settings.toml")[0] == {"root": "memory://folder"}
    with pytest.raises(SettingsError, match=r"memory://folder/none\.toml: cannot read these settings"):
        read_settings("memory://folder/none.toml")
