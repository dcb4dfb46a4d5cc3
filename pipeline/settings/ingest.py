"""The [ingest] section: the raw ratings.

Covers: its settings with their defaults, and valid combinations.
Does not cover: all other sections, and reading settings (sections.py).
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from funkflow.pipeline.settings.cluster import Bytes
from funkflow.pipeline.settings.method_settings import Place, Section
from funkflow.tasks.parsing.format.columns import NO_COLUMN
from funkflow.tasks.parsing.format.delimiters import DELIMITERS
from funkflow.tasks.transform import Transform

FILES_ALONE = "Settings name files; ratings in memory go to an argument of their own: funkflow.run(ratings=table)"
"""The message for ratings in a table instead of a file."""


def _as_paths(value: Any) -> Any:
    several = [value] if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(several, (list, tuple)) or not all(isinstance(each, (str, os.PathLike)) for each in several):
        raise ValueError(f"not paths. {FILES_ALONE}")
    return [os.fspath(each) if isinstance(each, os.PathLike) else each for each in several]


Paths = Annotated[tuple[Place, ...], BeforeValidator(_as_paths)]
"""Paths or URLs: several, or one."""


VALIDATION_PAIRS = "validation"
"""In ingest.known_pairs: the pairs of the validation ratings, without these."""


class ColumnSettings(Section):
    """Names of a table's columns, or positions from 0; None: recognised.

    timestamp = "none" ignores the times; rating = "none" says that every row is a like or a click.
    """

    user: str | int | None = Field(None, description="column of users")
    item: str | int | None = Field(None, description="column of items")
    rating: str | int | None = Field(None, description="column of ratings; none: there are none")
    timestamp: str | int | None = Field(None, description="column of times; none: they are ignored")


class IngestSettings(Section):
    """Raw ratings to Parquet."""

    ratings: Paths = Field(
        (),
        description="files, folders, archives, globs or URLs; {date} in them is the logical date (--date), {dates} "
        "every date up to it",
    )
    format: Literal["auto", "netflix", "movielens", "csv", "tsv", "parquet", "jsonl"] = Field(
        "auto", description="auto: recognised by name and first bytes; the run reports it"
    )
    columns: ColumnSettings = ColumnSettings()
    delimiter: str = Field(
        "",
        max_length=9,
        description="separator of fields in text: a character, ::, or tab, comma, semicolon, pipe, spaces; "
        "empty: the one with which all lines have the same number of fields",
    )
    id_type: Literal["auto", "integer", "string"] = Field(
        "auto",
        description="auto: integer if all first lines hold integers, or the column has a numeric type; a later id "
        "such as 007 is an error; string: ids as text, unchanged",
    )
    titles: Place = Field(
        "", description="movie_titles.txt, movies.dat, u.item or movies.csv; empty: the one beside the ratings, if any"
    )
    item_features: Place = Field(
        "",
        description="table of what is known of items besides ratings, such as genres, in CSV, TSV, Parquet, movies.dat "
        "or u.item; items without ratings are predicted by it, and bayes learns from it",
    )
    user_features: Place = Field("", description="the same of users, such as age and occupation")
    quoting: Literal["auto", "double", "none"] = Field(
        "auto",
        description="double: a field in double quotes may hold delimiters and line ends, two quotes mean one; "
        "none: quotes are ordinary characters; auto: recognised by the first lines",
    )
    scale: tuple[float, float] | None = Field(
        None, description="least and greatest valid rating; None: those of the format, else any finite number"
    )
    on_bad_rows: Literal["raise", "quarantine"] = Field(
        "raise",
        description="raise: a row that cannot be read ends the run; quarantine: such rows are left out, and listed in "
        "quarantine.parquet of the dataset",
    )
    incremental: bool = Field(
        False, description="start from the parent dataset that shares most inputs, and parse only new inputs"
    )
    deletions: Paths = Field(
        (), description="files, folders, globs or URLs of (user, item) pairs; their ratings are deleted"
    )
    known_pairs: Paths = Field(
        (),
        description="files, folders, globs or URLs of (user, item) pairs that are known without their rating, such as "
        "views: train.implicit learns from them, and is both by default; the word validation stands for the pairs "
        "of the validation ratings",
    )
    counts: str | int | None = Field(
        None,
        description="column of counts in place of ratings, such as plays or clicks: how often, and not how good; name, "
        "or position from 0. Such data, and files with no ratings at all, are trained on for a ranking",
    )
    duplicates: Literal["last", "mean", "sum", "raise"] = Field(
        "last",
        description="rule for several ratings of one user for one item; with ingest.counts the default is sum; likes "
        "and clicks, each a row that counts 1, are summed by last, too, and count once by mean",
    )
    transform: Transform = Field(
        "none",
        description="log1p: train on log(1 + rating), for counts and other right-skewed ratings above -1; RMSE and MAE "
        "are on that scale, predictions in rating units; duplicates = mean takes the mean of the logarithms",
    )
    seed: int = Field(0, ge=0, description="order of dense ids")
    chunk_bytes: Bytes = Field(
        15 * 2**20,
        ge=1024,
        description="raw text of one parsing task; below 16 MiB the next task reuses its memory",
    )
    partition_ratings: int = Field(
        4_000_000, ge=1000, description="target number of ratings in one file of ratings.parquet"
    )

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one(cls, value: str) -> str:
        if value not in ("", "::", *DELIMITERS) and (len(value) != 1 or value in '"\r\n'):
            raise ValueError(f"{value!r} is no delimiter: give one character, ::, or one of {', '.join(DELIMITERS)}")
        return value

    @property
    def has_counts(self) -> bool:
        """Whether the settings say that there are counts, or rows without ratings."""
        return self.counts is not None or self.columns.rating == NO_COLUMN

    @property
    def files_of_known_pairs(self) -> tuple[str, ...]:
        """The paths of `known_pairs`."""
        return tuple(each for each in self.known_pairs if each != VALIDATION_PAIRS)

    def refuse_idle_pairs(self, method: str, implicit: str, learnt: bool) -> None:
        """Raise ValueError for known pairs that training makes no use of.

        method : of training; implicit : of its settings; learnt : whether the method learns from who rated what.
        """
        if self.known_pairs and (implicit == "none" or not learnt):
            whose = f"train.method = {method!r}" if not learnt else 'train.implicit = "none"'
            remedy = 'set train.method = "sgd" or "bayes"' if not learnt else 'set train.implicit = "both"'
            raise ValueError(f"{whose} learns nothing from ingest.known_pairs: leave it out, or {remedy}")

    def deciding(self) -> dict[str, Any]:
        """Return the settings that change a dataset, of those added later only where they are used.

        Files count by their content and not by their names.
        """
        added = {name for name, idle in (("transform", "none"), ("counts", None)) if getattr(self, name) == idle}
        files = {"ratings", "titles", "item_features", "user_features", "deletions", "known_pairs"}
        found = self.model_dump(mode="json", exclude={*files, "chunk_bytes", "incremental"} | added)
        return found | {side: True for side in ("item_features", "user_features") if getattr(self, side)}

    def rule_for_duplicates(self, rated: bool) -> Literal["last", "mean", "sum", "raise"]:
        """Return the rule for rows of one pair: where no row is rated, a later one does not replace an earlier one."""
        return "sum" if not rated and self.duplicates == "last" else self.duplicates

    @model_validator(mode="after")
    def _counts_stand_alone(self) -> IngestSettings:
        if not self.has_counts:
            return self
        if self.counts is not None and self.columns.rating is not None:
            raise ValueError("ingest.counts and ingest.columns.rating are one column or none: give one of them")
        for name, value, unset in (("scale", self.scale, None), ("transform", self.transform, "none")):
            if value != unset:
                raise ValueError(f"ingest.{name} is for ratings, and these are counts: leave it out")
        if self.counts is not None and "duplicates" not in self.model_fields_set:
            object.__setattr__(self, "duplicates", "sum")
        return self

    @model_validator(mode="after")
    def _mean_needs_all(self) -> IngestSettings:
        if self.incremental and self.duplicates == "mean":
            raise ValueError(
                'incremental = true and duplicates = "mean" do not go together, as a dataset does not keep the ratings '
                'behind a mean: set duplicates = "last", or incremental = false'
            )
        return self

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> IngestSettings:
        if self.scale is not None and not self.scale[0] < self.scale[1]:
            raise ValueError(f"scale {list(self.scale)} is not a range: give [least, greatest]")
        if self.scale is not None and self.transform == "log1p" and self.scale[0] <= -1.0:
            raise ValueError(
                f'transform = "log1p" takes ratings above -1, and scale {list(self.scale)} begins below: '
                'raise its least, or set transform = "none"'
            )
        return self
