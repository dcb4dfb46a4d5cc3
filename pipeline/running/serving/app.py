"""The routes of a server.

Covers: predictions, recommendations, similar items, somebody new, health, metrics; errors as one line of JSON.
Does not cover: the JSON's fields (answers.py), the answers themselves (tasks/serving/mapped_model.py), the change of
models (follower.py), the shorter way of most requests (quick.py), the server (server.py).

Answers are written as they are computed: their fields are only described by the classes in answers.py, as checking each
would take longer than to find the items.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from funkflow.pipeline.models.item_words import greatest_rating
from funkflow.pipeline.running.serving.answers import (
    MOST_ITEMS,
    Health,
    NewUser,
    OnePrediction,
    Pairs,
    Predictions,
    Problem,
    Recommendations,
    SimilarItems,
)
from funkflow.pipeline.running.serving.follower import Follower
from funkflow.pipeline.running.serving.metrics import Application, Metrics, measured
from funkflow.pipeline.running.serving.quick import RECOMMEND, as_json, quick, recommendations
from funkflow.tasks.errors import BadInput, FunkflowError, UnknownId

Count = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="items to return, at most")]
_SOMEBODY_NEW = "POST /fold-in recommends to somebody new, from their ratings"


def application(follower: Follower, metrics: Metrics) -> Application:
    """Return the ASGI application that serves the follower's model."""

    @asynccontextmanager
    async def following(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(follower.follow())
        yield
        task.cancel()

    app = FastAPI(
        title="funkflow", version=version("funkflow"), lifespan=following,
        description="Predictions and recommendations of a model in use.",
    )  # fmt: skip
    _add_errors(app)
    _add_recommendations(app, follower)
    _add_predictions(app, follower)
    _add_state(app, follower, metrics)
    return measured(quick(app, follower), metrics)


def _add_recommendations(app: FastAPI, follower: Follower) -> None:
    @app.get(f"{RECOMMEND}{{user:path}}", responses=_described(Recommendations, 404), response_model=None)
    async def recommend(user: str, count: Count = 10) -> Response:
        """Return the items with the highest predictions that a user did not rate."""
        served = follower.served
        try:
            row = served.model.users.row(user)
        except UnknownId as error:
            raise UnknownId(f"{error.message.partition(';')[0]}; {_SOMEBODY_NEW}") from error
        best = await served.batches.recommend(row, count)
        return _answer(recommendations(served, served.model.users.plain(user), best))

    @app.get("/similar/{item:path}", responses=_described(SimilarItems, 404), response_model=None)
    async def similar(item: str, count: Count = 10) -> Response:
        """Return the items whose factors are most similar to those of an item, by their cosine."""
        served = follower.served
        row = served.model.items.row(item)
        found = served.model.similar_rows(row, count)
        near = zip(served.model.items.at(found.items), found.cosines.tolist(), strict=True)
        listed = [{"item": each, "cosine": cosine} for each, cosine in near]
        return _json({"item": served.model.items.plain(item), "items": listed, "model": served.name})

    @app.post("/fold-in", responses=_described(Recommendations, 404), response_model=None)
    async def fold_in(new: NewUser) -> Response:
        """Return the items with the highest predictions for somebody new, from their ratings."""
        served = follower.served
        ratings = {
            served.model.items.plain(each.item): (
                greatest_rating(served.model, "ratings") if each.rating is None else each.rating
            )
            for each in new.ratings
        }
        best = served.model.recommend_folded(served.model.fold_in(ratings), new.count)
        return _answer(recommendations(served, None, best))


def _add_predictions(app: FastAPI, follower: Follower) -> None:
    @app.get("/predict", responses=_described(OnePrediction, 404), response_model=None)
    async def predict(user: str, item: str) -> Response:
        """Return the predicted rating of a user and an item that the model has."""
        served = follower.served
        users, items = served.model.users, served.model.items
        rating = served.model.predict_rows([users.row(user)], [items.row(item)])
        pair = {"user": users.plain(user), "item": items.plain(item), "rating": float(rating[0]), "known": True}
        return _json({**pair, "model": served.name})

    @app.post("/predict", responses=_described(Predictions), response_model=None)
    async def predict_pairs(body: Pairs) -> Response:
        """Return the predicted rating of each pair; what the model does not have adds nothing to it."""
        served = follower.served
        user_rows = [served.model.users.find(pair.user) for pair in body.pairs]
        item_rows = [served.model.items.find(pair.item) for pair in body.pairs]
        ratings = served.model.predict_rows(user_rows, item_rows).tolist()
        predictions = [
            {"user": pair.user, "item": pair.item, "rating": rating, "known": user >= 0 and item >= 0}
            for pair, rating, user, item in zip(body.pairs, ratings, user_rows, item_rows, strict=True)
        ]
        return _json({"predictions": predictions, "model": served.name})


def _add_state(app: FastAPI, follower: Follower, metrics: Metrics) -> None:
    @app.get("/health", responses=_described(Health), response_model=None)
    async def health() -> Response:
        """Return the model at work, and why a newer one is not."""
        served = follower.served
        columns = served.model.columns
        return _json(
            {
                "status": "an older model" if follower.trouble else "ok",
                "model": served.name,
                "since": served.since,
                "rank": columns.shape[0] - 1,
                "users": len(served.model.user_biases),
                "items": columns.shape[1],
                "leaves_rated_out": served.mapped.knows_rated,
                "trouble": follower.trouble or None,
            }
        )

    @app.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}})
    async def metrics_text() -> Response:
        """Return metrics for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(FunkflowError)
    async def of_ours(_: Request, error: FunkflowError) -> Response:
        status = 404 if isinstance(error, UnknownId) else 422 if isinstance(error, BadInput) else 500
        return _json({"detail": error.message}, status)

    @app.exception_handler(Exception)
    async def of_nobody(_: Request, error: Exception) -> Response:
        return _json({"detail": f"unexpected {type(error).__name__}; the messages of the server show where"}, 500)

    @app.exception_handler(RequestValidationError)
    async def of_request(_: Request, error: RequestValidationError) -> Response:
        return _json({"detail": "; ".join(map(_fault, error.errors()))}, 422)

    @app.exception_handler(HTTPException)
    async def of_routes(_: Request, error: HTTPException) -> Response:
        return _json({"detail": error.detail}, error.status_code, error.headers)


def _fault(error: Mapping[str, Any]) -> str:
    where = ".".join(str(each) for each in error["loc"][1:]) or "body"
    return f"{where}: {error['msg']}"


def _described(answer: type, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the answers of a route for the OpenAPI page."""
    return {200: {"model": answer}, **{status: {"model": Problem} for status in (*statuses, 422)}}


def _json(content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return _answer(as_json(content), status, headers)


def _answer(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(body, status, headers, "application/json")
