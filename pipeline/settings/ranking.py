"""The [ranking] section.

Covers: its settings with their defaults. Does not cover: measuring (pipeline/stages/ranking.py, tasks/serving/).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from funkflow.pipeline.settings.method_settings import Section

MOST_RANKED = 40_000
"""Users measured by default. A measure between 0 and 1 has a deviation of at most a half over users, so the standard
error of its mean is at most 0.0025; NDCG@10, with a deviation of 0.25, has half of that."""


class RankingSettings(Section):
    """The ranking of validation ratings: precision, recall, NDCG and more at `count`, without training items."""

    count: int = Field(10, ge=0, description="items per user; 0: no measurement")
    also: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (), description="further numbers of items per user at which everything is measured, for instance [20, 100]"
    )
    threshold: float | None = Field(
        None, description="least relevant rating; None: three quarters up the scale, 4 on a scale of 1 to 5; any count"
    )
    users: int | None = Field(
        None, ge=0, description=f"about how many users to measure; None: {MOST_RANKED:,} if there are more; 0: all"
    )

    @model_serializer(mode="wrap")
    def _without_further_lengths(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `also` out where it is empty, so that ids are those of settings from before it existed."""
        content: dict[str, Any] = dumped(self)
        return content if self.also else {name: value for name, value in content.items() if name != "also"}

    @property
    def lengths(self) -> tuple[int, ...]:
        """`count`, and then the other lengths in ascending order; empty without a measurement."""
        return (self.count, *sorted({*self.also} - {self.count})) if self.count else ()
