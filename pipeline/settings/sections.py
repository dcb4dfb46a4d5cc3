"""The settings of a run, validated and frozen, from TOML and `--set` words.

Covers: all sections, loading them, and checks without data.
Does not cover: checks with data (each stage); tasks, which get plain numbers and arrays.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SecretStr, model_validator

from funkflow.pipeline.settings.cluster import Bytes as Bytes
from funkflow.pipeline.settings.cluster import ClusterSettings as ClusterSettings
from funkflow.pipeline.settings.ingest import FILES_ALONE
from funkflow.pipeline.settings.ingest import ColumnSettings as ColumnSettings
from funkflow.pipeline.settings.ingest import IngestSettings as IngestSettings
from funkflow.pipeline.settings.method_settings import BatchSettings as BatchSettings
from funkflow.pipeline.settings.method_settings import Place as Place
from funkflow.pipeline.settings.method_settings import Section as Section
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.overrides import copied, override, validated
from funkflow.pipeline.settings.presets import read_settings, refuse_missing_data
from funkflow.pipeline.settings.ranking import RankingSettings as RankingSettings
from funkflow.pipeline.settings.serving import PredictSettings as PredictSettings
from funkflow.pipeline.settings.serving import RecommendSettings as RecommendSettings
from funkflow.pipeline.settings.split import SPLIT_BY
from funkflow.pipeline.settings.split import SplitSettings as SplitSettings
from funkflow.pipeline.settings.synth import SynthSettings as SynthSettings
from funkflow.pipeline.settings.train import TrainSettings as TrainSettings
from funkflow.tasks.errors import SettingsError


class GridSettings(Section):
    """The P x P grid of blocks. Fixed by data and settings, never by the cluster."""

    shards: int = Field(
        0,
        ge=0,
        le=4096,
        description="P, row and column shards; 0: by the number of ratings (tasks/grid/layout.py)",
    )


class GateSettings(Section):
    """The conditions under which a new model is promoted; otherwise the run ends with exit code 5.

    Its numbers must always be finite.
    """

    rmse_worse_by_at_most: float | None = Field(
        None,
        description="greatest excess of the new model's RMSE over that of the model in use, both on the new "
        "validation ratings; below 0: the new RMSE must be lower by that; None: no comparison",
    )
    ratings_at_least: int = Field(1, ge=1, description="least number of training ratings")
    beats_most_rated: bool = Field(
        True,
        description="with train.goal = ranking: whether its NDCG on the validation ratings must be above that of the "
        "most rated items for the same users; without such ratings there is no such condition",
    )
    beats_biases: bool = Field(
        True,
        description="with train.goal = ratings: whether its RMSE on the validation ratings must be below those of the "
        "mean rating and of the bias baseline; without validation ratings there is no such condition",
    )


class ReportSettings(Section):
    """The page report.html in the folder of the run: the data, the training, and the errors of the model."""

    write: bool = Field(True, description="whether a run writes the report")
    factors: int = Field(8, ge=0, description="number of strongest factors to show, with the items at their ends")
    least_ratings: int = Field(50, ge=0, description="least number of ratings of an item at the end of a factor")


class HookSettings(Section):
    """Hooks after an execution; each gets its record in the ledger as JSON. They do not change the result."""

    on_success: SecretStr = Field(
        SecretStr(""),
        description="after exit code 0: a command, which gets the record on its standard input, or an http(s) URL, "
        "which gets it by POST; empty: none. Secret, as such URLs often are: no file holds it",
    )
    on_failure: SecretStr = Field(SecretStr(""), description="after any other exit code: likewise")
    timeout_seconds: float = Field(
        30.0, gt=0, description="time limit of a hook; its failure does not fail the execution"
    )


class TrackSettings(Section):
    """Logging of whole runs after they end. It does not change the result."""

    mlflow: Place = Field(
        "",
        description="tracking URI of MLflow, such as http://127.0.0.1:5000 or file:mlruns: log settings, curves, "
        "figures, report, model card and model there; empty: nothing",
    )
    experiment: str = Field("funkflow", min_length=1, description="experiment in MLflow, made if it does not exist")


COUNTS_ARE_WEIGHED = (
    "counts and likes are trained on with a weight for missing cells, without which every pair could be 1: leave out "
    'train.method, or set it to "als", and train.als.alpha, or set it above 0'
)
"""The message for a method that looks at counts alone."""
IDLE_SECTIONS = frozenset({"root", "cluster", "hooks", "track"})
"""Sections that do not change the result, so that no id depends on them."""


class Settings(Section):
    """All of a run's settings. `Settings.load("demo")`, `Settings.load("my.toml", ["train.rank=128"])`."""

    root: Place = Field("data", description="local folder or fsspec URL for everything that a run writes")
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
    track: TrackSettings = TrackSettings()

    @model_validator(mode="after")
    def _counts_are_ranked(self) -> Settings:
        """Counts say how often, not how good: a model of them ranks, by the method that weighs missing cells."""
        if self.ingest.has_counts and self.train.goal == "ratings":
            if "goal" in self.train.model_fields_set:
                raise ValueError(
                    "train.goal = ratings needs ratings, and ingest.counts names none: leave train.goal out, or set it "
                    'to "ranking"'
                )
            named = self.train.model_dump(exclude_unset=True)
            object.__setattr__(self, "train", TrainSettings.model_validate({**named, "goal": "ranking"}))
        if self.ingest.has_counts and not self.train.weighs_missing_cells:
            raise ValueError(COUNTS_ARE_WEIGHED)
        return self

    @model_validator(mode="after")
    def _what_is_known_is_learnt(self) -> Settings:
        """Features and known pairs are for methods that learn from them, and decide what is the default."""
        suited = {
            "method": "bayes" if self.ingest.item_features or self.ingest.user_features else None,
            "implicit": "both" if self.ingest.known_pairs else None,
        }
        changed = {name: value for name, value in suited.items() if value and name not in self.train.model_fields_set}
        if changed and self.train.goal == "ratings":
            chosen = self.train.model_dump(exclude_unset=True)
            object.__setattr__(self, "train", TrainSettings.model_validate({**chosen, **changed}))
        learnt = "implicit" not in METHODS[self.train.method].ignores
        self.ingest.refuse_idle_pairs(self.train.method, self.train.implicit, learnt)
        return self

    @model_validator(mode="after")
    def _gate_has_ratings(self) -> Settings:
        if self.split.kind == "none" and self.gate.rmse_worse_by_at_most is not None:
            raise ValueError(
                'split.kind = "none" leaves no validation to compare models on: leave out gate.rmse_worse_by_at_most, '
                "or choose another split"
            )
        return self

    @model_validator(mode="after")
    def _gate_suits_the_goal(self) -> Settings:
        if self.train.goal == "ranking" and self.gate.rmse_worse_by_at_most is not None:
            raise ValueError(
                "gate.rmse_worse_by_at_most compares RMSEs, which a ranking has no use for: leave it out "
                "(gate.beats_most_rated asks for its NDCG)"
            )
        return self

    @model_validator(mode="after")
    def _users_fold_in(self) -> Settings:
        if self.split.kind != "users":
            return self
        if METHODS[self.train.method].removes_baseline:
            raise ValueError(
                f'split.kind = "users" folds users in by the objective of training, which train.method = '
                f"{self.train.method!r} has not: take als, sgd or batch, or another split"
            )
        if self.train.warm_start:
            raise ValueError(
                'split.kind = "users" validates on users whom training does not see, and a start model may have seen '
                "them: set train.warm_start = false, or choose another split"
            )
        return self

    @model_validator(mode="after")
    def _stop_on_existing_ratings(self) -> Settings:
        """Without validation ratings of users in training stop on a slice by default, if the method needs any."""
        if self.train.stop_on == "validation" and self.split.kind in ("none", "users"):
            if "stop_on" in self.train.model_fields_set:
                raise ValueError(
                    f'split.kind = "{self.split.kind}" leaves no validation to stop on: leave out train.stop_on, or '
                    'set it to "slice" or "nothing"'
                )
            by_default = self.train.weighs_missing_cells and self.train.stop_by is None
            needs_none = METHODS[self.train.method].missing_as_zero or by_default
            object.__setattr__(self, "train", self.train.stopping_on("nothing" if needs_none else "slice"))
        return self

    @model_validator(mode="after")
    def _stop_by_existing_lists(self) -> Settings:
        if self.train.stops_by == "ndcg" and not self.ranking.count:
            if self.train.stop_by == "ndcg":
                raise ValueError(
                    'train.stop_by = "ndcg" measures lists of ranking.count items: leave it out, or set ranking.count '
                    "above 0"
                )
            object.__setattr__(self, "train", self.train.stopping_on("nothing"))
        return self

    def refuse_missing_draws(self) -> None:
        """Raise SettingsError where a run would need draws of a posterior and keeps none."""
        if not (self.train.method == "bayes" and self.train.keep_draws):
            self.recommend.refuse_missing_draws()
            self.predict.refuse_missing_draws()

    @classmethod
    def of(
        cls, given: Settings | str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = ()
    ) -> Settings:
        """Return settings, whichever way they are given.

        Parameters
        ----------
        given : settings as such, as a nested mapping, or as the name of a preset or the path of a TOML file.
        overrides : `key=value` words.
        """
        if isinstance(given, (str, os.PathLike)):
            settings = cls.load(os.fspath(given), overrides)
            refuse_missing_data(os.fspath(given), settings.ingest.ratings)
            return settings
        if isinstance(given, Mapping):
            return cls.build(given, overrides)
        if not isinstance(given, Settings):
            raise SettingsError(
                f"run: settings are a {type(given).__name__}; give a preset's name, the path of a .toml file, a "
                f"mapping or Settings. {FILES_ALONE}"
            )
        return cls.build(given.model_dump(exclude_unset=True), overrides) if overrides else given

    @classmethod
    def load(cls, name_or_path: str, overrides: Sequence[str] = ()) -> Settings:
        """Read a shipped preset or a TOML file.

        Parameters
        ----------
        name_or_path : name of a preset, or path of a file.
        overrides : `key=value` words, which count before the file.

        Raises
        ------
        SettingsError
            The file is missing or not TOML, a key is unknown (names the nearest one), or a value is bad.
        """
        content, where = read_settings(name_or_path)
        return cls.build(content, overrides, where)

    @classmethod
    def load_with_ratings(cls, name_or_path: str, overrides: Sequence[str], validation: bool) -> Settings:
        """Read settings whose ratings the overrides replace; drop their synthetic set and validation file.

        Parameters
        ----------
        name_or_path, overrides : as for `load`.
        validation : whether the overrides name a validation file, too.
        """
        content, where = read_settings(name_or_path)
        content.pop("synth", None)
        if not validation and "file" in content.get("split", {}):
            content.pop("split")
        return cls.build(content, overrides, where)

    @classmethod
    def build(cls, content: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "settings") -> Settings:
        """Check a nested mapping plus `key=value` overrides; raise SettingsError with the key.

        Parameters
        ----------
        content : the settings by section.
        overrides : `key=value` words, which count before `content`.
        where : name of `content` in messages.
        """
        merged = copied(content)
        for word in overrides:
            override(merged, word)
        named = {word.partition("=")[0].strip() for word in overrides}
        for kind, name in SPLIT_BY.items() if "split.kind" in named else ():
            if f"split.{name}" not in named and merged["split"]["kind"] != kind:
                merged["split"].pop(name, None)  # of the split that the word replaces
        return validated(merged, cls, where)
