"""What a run is told: validated, frozen settings, read from TOML and `--set` words.

Covers: every setting with its one default, its unit in its name, and the checks that need no data.
Does not cover: checks that need the data (each stage), nor how a setting is used: tasks get plain numbers and arrays.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, SecretStr, model_validator

from funkflow.pipeline.settings.cluster import Bytes as Bytes
from funkflow.pipeline.settings.cluster import ClusterSettings as ClusterSettings
from funkflow.pipeline.settings.ingest import ColumnSettings as ColumnSettings
from funkflow.pipeline.settings.ingest import IngestSettings as IngestSettings
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.overrides import copied, override, validated
from funkflow.pipeline.settings.presets import read_settings
from funkflow.pipeline.settings.train import BatchSettings as BatchSettings
from funkflow.pipeline.settings.train import Place as Place
from funkflow.pipeline.settings.train import Section as Section
from funkflow.pipeline.settings.train import TrainSettings as TrainSettings
from funkflow.tasks.redact import name_of
from funkflow.tasks.storage import files


class SynthSettings(Section):
    """A synthetic set in Netflix form, made before anything is ingested (demo and benchmarks)."""

    folder: Place = Field("", description="where the raw text goes; empty: <root>/raw/<shape>-<seed>")
    shape: Literal["demo", "netflix"] = Field(
        "demo", description="demo: 6,000 users x 1,200 films, about 1 M ratings; netflix: 480,189 x 17,770, 100,480,507"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="part of the shape's ratings, users and films to make")
    form: Literal["combined", "files"] = Field("combined", description="combined_data_*.txt, or a folder of mv_*.txt")
    seed: int = Field(0, ge=0, description="the same seed gives the same bytes")

    def folder_under(self, root: str) -> str:
        """Return the folder: <root>/raw/<shape>-<seed>, with fraction and form where they are not the usual ones."""
        fraction = "" if self.fraction == 1 else f"-{self.fraction}"
        form = "" if self.form == "combined" else f"-{self.form}"
        return self.folder or files.join(root, "raw", f"{self.shape}-{self.seed}{fraction}{form}")


class SplitSettings(Section):
    """Which ratings are kept from training to validate the model on."""

    kind: Literal["file", "fraction", "last", "none"] = Field(
        "fraction", description="a file of pairs or ratings, a hash fraction, each user's last n, or no validation"
    )
    file: Place = Field(
        "", description="kind = file: probe.txt, or pairs or ratings in any format ingest reads; {date}: --date"
    )
    fraction: float = Field(
        0.1, gt=0, lt=1, description="kind = fraction: part of the ratings, by a hash of seed and raw ids"
    )
    last: int = Field(1, ge=1, description="kind = last: ratings a user, newest by time")
    seed: int = Field(0, ge=0)

    @property
    def description(self) -> str:
        """Name of the validation ratings, as reports give it with each RMSE."""
        if self.kind == "fraction":
            return f"hash {self.fraction * 100:g} % (seed {self.seed})"
        return {
            "file": posixpath.basename(name_of(self.file)),
            "last": f"last {self.last} per user",
            "none": "none",
        }[self.kind]

    @model_validator(mode="after")
    def _file_is_named(self) -> SplitSettings:
        if self.file and "kind" not in self.model_fields_set:
            object.__setattr__(self, "kind", "file")
        if (self.kind == "file") != bool(self.file):
            raise ValueError('split.kind = "file" and split.file go together: give both or neither')
        return self


class GridSettings(Section):
    """The P x P grid of blocks. Fixed by data and settings, never by the cluster."""

    shards: int = Field(
        0,
        ge=0,
        le=4096,
        description="P, row and column shards; 0: by the number of ratings (tasks/grid/layout.py)",
    )


class GateSettings(Section):
    """What a new model must show before it replaces the one in use; otherwise the run ends with exit code 5.

    That its numbers are finite is always asked.
    """

    rmse_worse_by_at_most: float | None = Field(
        None,
        description="RMSE that the new model may have above that of the one in use, both on the new validation "
        "ratings; below 0: it must be better by that; None: not compared",
    )
    ratings_at_least: int = Field(1, ge=1, description="training ratings")
    beats_biases: bool = Field(
        True,
        description="whether its RMSE on the validation ratings must lie below those of the mean rating and of the "
        "biases alone; asks nothing where none are held out",
    )


class RankingSettings(Section):
    """How well validation ratings are ranked: precision, recall and NDCG at `count`, training items left out."""

    count: int = Field(10, ge=0, description="items a user; 0: not measured")
    threshold: float | None = Field(
        None, description="least rating that is relevant; None: three quarters up the scale, 4 on a scale of 1 to 5"
    )
    users: int = Field(
        0,
        ge=0,
        description="users to measure on, about: whole parts of the dataset, which are cut by hash; 0: all",
    )


class RecommendSettings(Section):
    """The best unseen items of every user, after training."""

    count: int = Field(0, ge=0, description="items a user; 0: no such step")
    users: tuple[str | int, ...] = Field((), description="raw ids of the only users to recommend to; empty: all")
    batch_users: int = Field(20_000, ge=1, description="users that one task serves, at most about")


class ReportSettings(Section):
    """One page about the run, report.html in its folder: what the data look like, how it learnt, and where it errs."""

    write: bool = Field(True, description="whether it is made, once the model is there")
    factors: int = Field(8, ge=0, description="strongest factors to show by the items at their ends")
    least_ratings: int = Field(50, ge=0, description="of an item that may stand for a factor's end")


class PredictSettings(Section):
    """Predictions for given pairs, after training."""

    pairs: Place = Field(
        "", description="file of (user, item) pairs, or qualifying.txt; {date}: --date; empty: no such step"
    )
    batch_pairs: int = Field(2_000_000, ge=1, description="pairs predicted by one task")


class HookSettings(Section):
    """Who is told how an execution ended, with its record in the ledger as JSON. Changes nothing in the result."""

    on_success: SecretStr = Field(
        SecretStr(""),
        description="exit code 0: a command, which gets the record on its standard input, or an http(s) URL, to which "
        "it is posted; empty: nobody. Secret, as such URLs are: written nowhere",
    )
    on_failure: SecretStr = Field(SecretStr(""), description="any other exit code: likewise")
    timeout_seconds: float = Field(30.0, gt=0, description="what a hook may take; one that fails fails no execution")


IDLE_SECTIONS = frozenset({"root", "cluster", "hooks"})
"""What of the settings changes nothing in the result, so that no id is made of it."""


class Settings(Section):
    """All of a run's settings. `Settings.load("demo")`, `Settings.load("my.toml", ["train.rank=128"])`."""

    root: Place = Field("data", description="local folder or fsspec URL that everything is written under")
    synth: SynthSettings | None = None
    ingest: IngestSettings = IngestSettings()
    split: SplitSettings = SplitSettings()
    grid: GridSettings = GridSettings()
    train: TrainSettings = TrainSettings()
    gate: GateSettings = GateSettings()
    ranking: RankingSettings = RankingSettings()
    report: ReportSettings = ReportSettings()
    recommend: RecommendSettings = RecommendSettings()
    predict: PredictSettings = PredictSettings()
    cluster: ClusterSettings = ClusterSettings()
    hooks: HookSettings = HookSettings()

    @model_validator(mode="after")
    def _gate_has_ratings(self) -> Settings:
        if self.split.kind == "none" and self.gate.rmse_worse_by_at_most is not None:
            raise ValueError(
                'split.kind = "none" leaves no validation to compare models on: leave out gate.rmse_worse_by_at_most, '
                "or hold ratings out"
            )
        return self

    @model_validator(mode="after")
    def _stop_on_what_is_there(self) -> Settings:
        """Without validation ratings stop on a slice, unless told otherwise; a method without epochs needs none."""
        if self.train.stop_on == "validation" and self.split.kind == "none":
            if "stop_on" in self.train.model_fields_set:
                raise ValueError(
                    'split.kind = "none" leaves no validation to stop on: leave out train.stop_on, or set it to '
                    '"slice" or "nothing"'
                )
            chosen = "nothing" if METHODS[self.train.method].missing_as_zero else "slice"
            object.__setattr__(self, "train", self.train.model_copy(update={"stop_on": chosen}))
        return self

    @classmethod
    def load(cls, name_or_path: str, overrides: Sequence[str] = ()) -> Settings:
        """Read a shipped preset by name, or any TOML file by path, and apply `key=value` overrides to it.

        Raises
        ------
        SettingsError
            No such file, not TOML, an unknown key (names the nearest valid one) or a bad value.
        """
        content, where = read_settings(name_or_path)
        return cls.build(content, overrides, where)

    @classmethod
    def load_with_ratings(cls, name_or_path: str, overrides: Sequence[str], validation: bool) -> Settings:
        """Read settings whose ratings the overrides replace: their synthetic set and validation file go."""
        content, where = read_settings(name_or_path)
        content.pop("synth", None)
        if not validation and "file" in content.get("split", {}):
            content.pop("split")
        return cls.build(content, overrides, where)

    @classmethod
    def build(cls, content: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "settings") -> Settings:
        """Check a nested mapping plus `key=value` overrides; errors are SettingsErrors that name the key."""
        merged = copied(content)
        for word in overrides:
            override(merged, word)
        named = {word.partition("=")[0].strip() for word in overrides}
        if "split.kind" in named and "split.file" not in named and merged["split"]["kind"] != "file":
            merged["split"].pop("file", None)  # it belongs to the split that the word replaces
        return validated(merged, cls, where)
