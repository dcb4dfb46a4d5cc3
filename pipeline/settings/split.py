"""The [split] section.

Covers: its settings with their defaults, and the name of the validation ratings.
Does not cover: choosing the ratings (tasks/dataset/hold_out.py), combinations with other sections (sections.py).
"""

from __future__ import annotations

import datetime
import posixpath
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from funkflow.pipeline.settings.method_settings import Place, Section
from funkflow.tasks.parsing.sources.layouts import given_id
from funkflow.tasks.redact import name_of

SPLIT_BY = {"file": "file", "after": "date"}
"""Kinds of split that need another setting of [split], and its name."""


def _date_text(value: object) -> object:
    """Return a date as text: TOML reads one without quotes as a date."""
    text = value.isoformat() if type(value) is datetime.date else value
    if isinstance(text, str) and text not in ("", "{date}"):
        try:
            text = datetime.date.fromisoformat(text).isoformat()
        except ValueError as cause:
            raise ValueError("write a date as YYYY-MM-DD, or {date}, which --date replaces") from cause
    return text


def _name_of_file(url: str) -> str:
    """Return the name of a validation file, or of a table that was given in memory."""
    table = given_id(url)
    return f"validation= ({table[:8]})" if table else posixpath.basename(name_of(url))


class SplitSettings(Section):
    """The validation ratings, which training does not use."""

    kind: Literal["file", "fraction", "last", "after", "users", "none"] = Field(
        "fraction",
        description="a file of pairs or ratings, a hash fraction, each user's last n, all from a date on, part of the "
        "ratings of users whom training does not see, or no validation",
    )
    file: Place = Field(
        "", description="kind = file: probe.txt, or pairs or ratings in any format of ingest; {date}: --date"
    )
    fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="kind = fraction: part of the ratings, by a hash of seed and raw ids; kind = users: of the users",
    )
    found: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="kind = users: part of each such user's ratings to validate on; their row is folded in from the "
        "others after training",
    )
    last: int = Field(1, ge=1, description="kind = last: ratings per user, the newest by time")
    date: Annotated[str, BeforeValidator(_date_text)] = Field(
        "", description="kind = after: YYYY-MM-DD; ratings from the beginning of that day in UTC on; {date}: --date"
    )
    seed: int = Field(0, ge=0, description="seed of the hash; the same seed holds out the same ratings")

    @property
    def description(self) -> str:
        """Name of the validation ratings; reports give it with each RMSE."""
        if self.kind == "fraction":
            return f"hash {self.fraction * 100:g} % (seed {self.seed})"
        return {
            "file": _name_of_file(self.file),
            "last": f"last {self.last} per user",
            "after": f"from {self.date} on",
            "users": f"{self.found * 100:g} % of {self.fraction * 100:g} % of the users (seed {self.seed})",
            "none": "none",
        }[self.kind]

    @property
    def since(self) -> int:
        """The beginning of the day `date` in UTC, in seconds since 1970; 0 without one."""
        if not self.date:
            return 0
        day = datetime.date.fromisoformat(self.date)
        return int(datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp())

    @model_validator(mode="after")
    def _file_or_date_is_named(self) -> SplitSettings:
        for kind, name in SPLIT_BY.items():
            if getattr(self, name) and "kind" not in self.model_fields_set:
                object.__setattr__(self, "kind", kind)
        for kind, name in SPLIT_BY.items():
            if (self.kind == kind) != bool(getattr(self, name)):
                raise ValueError(f'split.kind = "{kind}" and split.{name} go together: give both or neither')
        return self
