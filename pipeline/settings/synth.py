"""The [synth] section: a synthetic set.

Covers: its settings with their defaults, and the folder of the raw text.
Does not cover: making the set (tasks/synthetic/), or naming its validation ratings (effective.py).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from funkflow.pipeline.settings.method_settings import Place, Section
from funkflow.tasks.storage import files


class SynthSettings(Section):
    """A synthetic set in Netflix form, for the demo and benchmarks; a run makes it before it ingests."""

    folder: Place = Field("", description="folder of the raw text; empty: <root>/raw/<shape>-<seed>")
    shape: Literal["demo", "netflix"] = Field(
        "demo", description="demo: 6,000 users x 1,200 films, about 1 M ratings; netflix: 480,189 x 17,770, 100,480,507"
    )
    fraction: float = Field(1.0, gt=0, le=1, description="part of the shape's ratings, users and films to make")
    form: Literal["combined", "files"] = Field("combined", description="combined_data_*.txt, or a folder of mv_*.txt")
    seed: int = Field(0, ge=0, description="the same seed gives the same bytes")
    selection: float = Field(
        0.0,
        ge=0,
        le=3,
        description="how far people rate what they will like, so that who rated what tells something "
        "(train.implicit); 0: not at all",
    )
    moods: float = Field(
        0.0,
        ge=0,
        le=3,
        description="deviation of how a user rates from day to day, in stars, so that days tell something "
        "(train.time); users then rate about eight films on a day; the planted model knows no moods; 0: none",
    )

    def folder_under(self, root: str) -> str:
        """Return the folder: <root>/raw/<shape>-<seed>, with all else that differs from the defaults."""
        fraction = "" if self.fraction == 1 else f"-{self.fraction}"
        form = "" if self.form == "combined" else f"-{self.form}"
        selection = f"-s{self.selection:g}" if self.selection else ""
        moods = f"-m{self.moods:g}" if self.moods else ""
        return self.folder or files.join(root, "raw", f"{self.shape}-{self.seed}{fraction}{form}{selection}{moods}")
