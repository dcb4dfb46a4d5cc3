"""What a run knows of its raw ratings: the [ingest] section.

Covers: its settings with their defaults, and which of them go together.
Does not cover: all other sections, and reading settings (sections.py).
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from funkflow.pipeline.settings.cluster import Bytes
from funkflow.pipeline.settings.train import Place, Section
from funkflow.tasks.parsing.format.delimiters import DELIMITERS
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.transform import Transform

FILES_ALONE = (
    "Ratings are read from files: write a table to one first, for instance frame.to_parquet('ratings.parquet'), and "
    "name it, {'ingest': {'ratings': 'ratings.parquet'}}"
)
"""The answer to ratings that are a table, not a file."""


def _as_paths(value: Any) -> Any:
    several = [value] if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(several, (list, tuple)) or not all(isinstance(each, (str, os.PathLike)) for each in several):
        raise ValueError(f"not paths. {FILES_ALONE}")
    return [os.fspath(each) if isinstance(each, os.PathLike) else each for each in several]


Paths = Annotated[tuple[Place, ...], BeforeValidator(_as_paths)]
"""Paths or URLs: several, or one."""


class ColumnSettings(Section):
    """Names of a table's columns, or positions from 0; None: recognised. timestamp = "none" leaves the times out."""

    user: str | int | None = None
    item: str | int | None = None
    rating: str | int | None = None
    timestamp: str | int | None = None


class IngestSettings(Section):
    """Raw ratings to Parquet."""

    ratings: Paths = Field(
        (),
        description="files, folders, archives, globs or URLs; in them {date} is the logical date (--date), and {dates} "
        "stands for every date up to it",
    )
    format: Literal["auto", "netflix", "movielens", "csv", "tsv", "parquet", "jsonl"] = Field(
        "auto", description="auto: recognised by name and first bytes, and said"
    )
    columns: ColumnSettings = ColumnSettings()
    delimiter: str = Field(
        "",
        max_length=9,
        description="what separates the fields of text: a character, ::, or tab, comma, semicolon, pipe, spaces; "
        "empty: what gives all lines the same number of fields",
    )
    id_type: Literal["auto", "integer", "string"] = Field(
        "auto",
        description="auto: integer where the first lines all are, or the type of the column is a number; a later id "
        "such as 007 is an error; string: ids as they are written",
    )
    titles: Place = Field(
        "", description="movie_titles.txt, movies.dat, u.item or movies.csv; empty: the one beside the ratings, if any"
    )
    quoting: Literal["auto", "double", "none"] = Field(
        "auto",
        description="double: a field in double quotes may hold delimiters and line ends, and two quotes stand for one; "
        "none: quotes are letters; auto: as the first lines have it",
    )
    scale: tuple[float, float] | None = Field(
        None, description="least and greatest rating allowed; None: the format's own, else any finite number"
    )
    on_bad_rows: Literal["raise", "quarantine"] = "raise"
    incremental: bool = Field(
        False, description="grow from the dataset that has most of the inputs already: only what is new is parsed"
    )
    deletions: Paths = Field(
        (), description="files, folders, globs or URLs of (user, item) pairs whose ratings no longer count"
    )
    duplicates: Literal["last", "mean", "raise"] = Field(
        "last", description="what becomes of several ratings of one user for one item"
    )
    transform: Transform = Field(
        "none",
        description="log1p: train on log(1 + rating), for counts and other right-skewed ratings above -1; RMSE and MAE "
        "are on that scale, predictions in rating units again; duplicates = mean takes the mean of the logarithms",
    )
    seed: int = Field(0, ge=0, description="order in which dense ids are handed out")
    chunk_bytes: Bytes = Field(
        24 * 2**20,
        ge=1024,
        description="raw text parsed by one task; less than 32 MiB, so that its memory is used again by the next",
    )
    partition_ratings: int = Field(4_000_000, ge=1000, description="ratings aimed at in one file of ratings.parquet")

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one(cls, value: str) -> str:
        if value not in ("", "::", *DELIMITERS) and (len(value) != 1 or value in '"\r\n'):
            raise ValueError(f"{value!r} is no delimiter: give one character, ::, or one of {', '.join(DELIMITERS)}")
        return value

    @property
    def wanted_form(self) -> Wanted:
        """The form of the ratings, as far as the settings give it; the files tell the rest."""
        columns = self.columns
        return Wanted(
            format=self.format,
            columns=(columns.user, columns.item, columns.rating, columns.timestamp),
            user_type=self.id_type,
            item_type=self.id_type,
            scale=self.scale,
            delimiter=self.delimiter,
            quoting=self.quoting,
        )

    @model_validator(mode="after")
    def _mean_needs_all(self) -> IngestSettings:
        if self.incremental and self.duplicates == "mean":
            raise ValueError(
                'incremental = true and duplicates = "mean" do not go together, as a dataset does not keep the ratings '
                'that a mean was made of: set duplicates = "last", or incremental = false'
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
