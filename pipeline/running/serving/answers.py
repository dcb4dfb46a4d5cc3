"""The JSON of requests and answers, for the OpenAPI page and for checks of requests.

Covers: fields, limits and words. Does not cover: routes (app.py).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

MOST_ITEMS = 1000
"""Items of an answer."""
MOST_PAIRS = 10_000
"""Pairs, or ratings, of a request."""

RawId = Annotated[StrictInt | StrictStr, Field(description="raw id, as the ratings have it")]
Count = Annotated[int, Field(ge=1, le=MOST_ITEMS, description="items to return, at most")]
Run = Annotated[str, Field(description="run of the model that answered")]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pair(_Request):
    """A user and an item."""

    user: RawId
    item: RawId


class Pairs(_Request):
    """Pairs to predict."""

    pairs: Annotated[list[Pair], Field(min_length=1, max_length=MOST_PAIRS)]


class Rating(_Request):
    """A rating of somebody new; without a number, it counts as the greatest of the scale."""

    item: RawId
    rating: float | None = None


class NewUser(_Request):
    """What somebody rated whom the model does not know."""

    ratings: Annotated[list[Rating], Field(min_length=1, max_length=MOST_PAIRS)]
    count: Count = 10


class Scored(BaseModel):
    """An item and its predicted rating, not clipped; for a ranking, its score."""

    item: RawId
    score: float


class Recommendations(BaseModel):
    """Items that a user did not rate, the best first; `user` : null for somebody new."""

    user: RawId | None
    items: list[Scored]
    model: Run


class Near(BaseModel):
    """An item and the cosine of its factors."""

    item: RawId
    cosine: float


class SimilarItems(BaseModel):
    """The items most similar to one, the nearest first."""

    item: RawId
    items: list[Near]
    model: Run


class Prediction(BaseModel):
    """The predicted rating of a pair; `known` : whether the model has both.

    What it does not have adds nothing to the prediction.
    """

    user: RawId
    item: RawId
    rating: float
    known: bool


class OnePrediction(Prediction):
    """The predicted rating of a pair that the model has."""

    model: Run


class Predictions(BaseModel):
    """Predicted ratings, in the order of the pairs."""

    predictions: list[Prediction]
    model: Run


class Health(BaseModel):
    """The model at work. `trouble` : why a newer one is not; null if nothing is wrong."""

    status: str
    model: Run
    since: str
    rank: int
    users: int
    items: int
    leaves_rated_out: bool
    trouble: str | None


class Problem(BaseModel):
    """What is wrong with a request, in one line."""

    detail: str
