"""Settings: one default each, every mistake named.

Covers: pipeline/settings/sections.py and the files of conf/. Does not cover: their effect.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from funkflow.pipeline.settings.presets import presets
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.settings.train import TrainSettings
from funkflow.tasks.errors import SettingsError


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads(name: str) -> None:
    settings = Settings.load(name)
    assert settings.ingest.ratings or settings.synth


def test_the_presets_are_the_documented_ones() -> None:
    assert presets() == ["demo", "movielens-100k", "movielens-1m", "netflix"]


@pytest.mark.parametrize("name", ["movielens-1m", "movielens-100k"])
def test_movielens_presets_train_with_the_rule(name: str) -> None:
    """Nothing under [train] but the rank."""
    assert Settings.load(name).train.model_fields_set <= {"rank"}


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().train.rank = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.rnk=3", "no setting 'train.rnk'; the nearest is 'train.rank'"),
        ("trian.rank=3", "no setting 'trian'; the nearest is 'train"),
        ("ingest.colums.user=1", "no setting 'ingest.colums'; the nearest is 'ingest.columns"),
        ("train.rank=0", "train.rank = 0: Input should be greater than or equal to 1"),
        ("train.rank=many", "train.rank = 'many'"),
        ("train.l2=-1", "train.l2 = -1"),
        ("train.l2=nan", "train.l2 = nan"),
        ("split.kind=some", "split.kind = 'some'"),
        ("split.kind=after", 'split.kind = "after" and split.date go together'),
        ("split.date=yesterday", "split.date = 'yesterday': write a date as YYYY-MM-DD"),
        ("split.kind=file", 'split.kind = "file" and split.file go together'),
        ("ingest.scale=[5,1]", "scale [5.0, 1.0] is not a range"),
        ("ingest.chunk_bytes=lots", "ingest.chunk_bytes"),
        ("rank", "write it as section.key=value"),
        ("train.rank.k=3", "rank is no section"),
    ],
)
def test_a_bad_word_is_named(word: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.build({"ingest": {"ratings": ["x"]}, "train": {"rank": 8}}, [word])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_follows_from_a_choice_is_chosen() -> None:
    """Only where nothing else is asked for."""
    assert Settings.build({}, ["split.file=probe.txt"]).split.kind == "file"
    dated = Settings.build({}, ["split.date=2005-01-01"])
    assert (dated.split.kind, dated.split.date) == ("after", "2005-01-01")
    assert Settings.build({"split": {"date": "2005-01-01"}}, ["split.kind=last"]).split.date == ""
    assert Settings.build({"split": {"kind": "none"}}).train.stop_on == "slice"
    assert Settings.build({}, ["split.kind=none", "train.method=lanczos"]).train.stop_on == "nothing"
    assert Settings.build({}, ["split.kind=none", "train.stop_on=nothing"]).train.stop_on == "nothing"
    assert Settings.build({}, ["train.warm_from=models/old"]).train.warm_start
    assert Settings.load("demo", ["split.kind=none"]).split.file == ""
    for words, message in (
        (["split.kind=none", "train.stop_on=validation"], "leave out train.stop_on"),
        (["split.kind=none", "split.file=probe.txt"], "go together"),
        (["train.warm_from=models/old", "train.warm_start=false"], "train.warm_from names a start model"),
    ):
        with pytest.raises(SettingsError, match=message):
            Settings.build({}, words)


def test_overrides_reach_every_kind_of_value() -> None:
    words = [
        "train.rank=128",
        "train.biases=false",
        "ingest.chunk_bytes=32 MiB",
        'ingest.ratings=["a", "b"]',
        "root=s3://bucket/x",
        "ingest.scale=[0.5, 5]",
    ]
    settings = Settings.build({}, words)
    assert settings.train.rank == 128
    assert settings.train.biases is False
    assert settings.ingest.chunk_bytes == 32 * 2**20
    assert settings.ingest.ratings == ("a", "b")
    assert settings.root == "s3://bucket/x"
    assert settings.ingest.scale == (0.5, 5.0)


def test_ratings_of_ones_own_leave_the_synthetic_set_and_its_probe_behind() -> None:
    settings = Settings.load_with_ratings("demo", ['ingest.ratings=["mine.csv"]', "train.rank=3"], validation=False)
    assert settings.synth is None
    assert settings.split.kind == "fraction"
    assert (settings.ingest.ratings, settings.train.rank) == (("mine.csv",), 3)


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[train\nrank = 3\n")
    with pytest.raises(SettingsError, match=r"mine\.toml: not valid TOML: .*line 1"):
        Settings.load(str(path))


def test_an_unknown_preset_is_told_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"no preset is called 'demmo'.*demo, movielens-100k"):
        Settings.load("demmo")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere.toml: cannot read"):
        Settings.load(str(tmp_path / "nowhere.toml"))


def test_lengths_of_rankings_are_in_order_and_absent_where_none_is_asked() -> None:
    """So that ids of settings without them stay as they were."""
    asked = Settings.build({"ranking": {"count": 10}}, ["ranking.also=[100, 20, 10, 20]"])
    assert asked.ranking.lengths == (10, 20, 100)
    assert Settings.build(asked.model_dump()) == asked
    assert "also" not in Settings.build({}).model_dump(mode="json")["ranking"]
    assert Settings.build(asked.model_dump(), ["ranking.count=0"]).ranking.lengths == ()
    with pytest.raises(SettingsError, match=r"ranking\.also"):
        Settings.build({}, ["ranking.also=[0]"])


@pytest.mark.parametrize(
    ("method", "implicit", "few", "many"),
    [
        ("sgd", "auto", "auto", "none"),
        ("bayes", "auto", "both", "none"),
        ("sgd", "both", "both", "both"),
        ("bayes", "items", "items", "items"),
        ("als", "auto", "none", "none"),
    ],
)
def test_who_rated_what_is_the_default_where_it_was_measured(method: str, implicit: Any, few: str, many: str) -> None:
    chosen = TrainSettings(method=method, implicit=implicit)
    assert [chosen.implicit_for(ratings, 600_000) for ratings in (40_000_000, 40_000_001)] == [few, many]


def test_draws_of_sparse_rows_have_no_means() -> None:
    drawn, descended = TrainSettings(method="bayes"), TrainSettings()
    assert [drawn.implicit_for(ratings, 100) for ratings in (599, 600)] == ["none", "both"]
    assert descended.implicit_for(599, 100) == "auto"
