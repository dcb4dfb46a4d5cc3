"""A model over HTTP: real requests to a real server, whose answers are those of the model.

Covers: the routes of pipeline/running/serving/, their errors, metrics and description.
Does not cover: the answers in all their cases (test_mapped_model.py), the change of models (test_serve_changes.py), how
fast it is (bench/requests.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from distributed import Client
from served_runs import Runs, two_runs

from chaos.served import Server
from funkflow import Model


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return two_runs(client, tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def served(made: Runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(["--root", str(made.root)], tmp_path_factory.mktemp("log") / "log") as server:
        yield server


@pytest.fixture
def client_of(served: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url) as client:
        yield client


@pytest.fixture(scope="module")
def model(made: Runs) -> Model:
    return made.model(made.second)


def test_recommendations_are_those_of_the_model_without_rated_items(client_of: httpx.Client, model: Model) -> None:
    for user in model.user_ids.tolist():
        items, scores = model.recommend(user, 4)
        answer = client_of.get(f"/recommend/{user}", params={"count": 4}).json()
        assert [each["item"] for each in answer["items"]] == items.tolist()
        np.testing.assert_allclose([each["score"] for each in answer["items"]], scores, rtol=1e-6)
        assert (answer["user"], answer["model"]) == (user, model.about["run_id"])


def test_the_short_way_of_a_recommendation_is_that_of_fastapi(client_of: httpx.Client, model: Model) -> None:
    for user in model.user_ids[:20].tolist():
        quick, checked = (client_of.get(f"/recommend/{user}?count={count}") for count in ("7", "07"))
        assert quick.content == checked.content
        assert dict(quick.headers).keys() == dict(checked.headers).keys()


def test_one_pair_and_many_are_predicted_as_by_the_model(client_of: httpx.Client, model: Model) -> None:
    user, item = int(model.user_ids[3]), int(model.item_ids[5])
    one = client_of.get("/predict", params={"user": user, "item": item}).json()
    assert one == {
        "user": user, "item": item, "rating": pytest.approx(model.predict(user, item)[0], rel=1e-12), "known": True,
        "model": model.about["run_id"],
    }  # fmt: skip
    pairs = [{"user": user, "item": item}, {"user": user, "item": 10**25}, {"user": -1, "item": item}]
    many = client_of.post("/predict", json={"pairs": pairs}).json()["predictions"]
    assert [each["known"] for each in many] == [True, False, False]
    expected = model.predict([user, user, -1], [item, -1, item])
    np.testing.assert_allclose([each["rating"] for each in many], expected, rtol=1e-12)


def test_similar_items_are_those_of_the_model(client_of: httpx.Client, model: Model) -> None:
    item = int(model.item_ids[5])
    items, cosines = model.similar(item, 3)
    found = client_of.get(f"/similar/{item}?count=3").json()["items"]
    assert [each["item"] for each in found] == items.tolist()
    np.testing.assert_allclose([each["cosine"] for each in found], cosines, rtol=1e-12)


def test_somebody_new_gets_what_fold_in_finds(client_of: httpx.Client, model: Model) -> None:
    first, second, third = model.item_ids[:3].tolist()
    given = [{"item": first, "rating": 4.5}, {"item": str(second), "rating": 1}, {"item": third}]
    answer = client_of.post("/fold-in", json={"ratings": given, "count": 5}).json()
    assert model.scale is not None
    items, scores = model.recommend(model.fold_in({first: 4.5, second: 1.0, third: model.scale[1]}), 5)
    assert [each["item"] for each in answer["items"]] == items.tolist()
    np.testing.assert_allclose([each["score"] for each in answer["items"]], scores, rtol=1e-6)
    assert answer["user"] is None


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/recommend/99999", 404, "user 99999: this id is not in the model; POST /fold-in recommends to somebody"),
        ("/recommend/seven", 422, "user 'seven': the user ids of this model are integers; give one"),
        ("/recommend/a%09b", 422, r"user 'a\\tb': the user ids"),
        ("/recommend/1?count=0", 422, "count: Input should be greater than or equal to 1"),
        ("/recommend/1?count=1001", 422, "count: Input should be less than or equal to 1000"),
        ("/similar/99999", 404, "item 99999: this id is not in the model"),
        ("/predict?user=1", 422, "item: Field required"),
        ("/predict?user=1&item=99999", 404, "item 99999: this id is not in the model"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_is_wrong_is_one_line(client_of: httpx.Client, path: str, status: int, detail: str) -> None:
    answer = client_of.get(path)
    assert answer.status_code == status
    (only,) = answer.json().items()
    assert only[0] == "detail"
    assert len(only[1].splitlines()) == 1
    assert re.match(detail, only[1])


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/fold-in", {"ratings": [{"item": 99999, "rating": 3}]}, 404, "item 99999: this id is not in the model"),
        ("/fold-in", {"ratings": [{"item": 1, "rating": 77}]}, 422, "fold_in: rating 77 of 1 is not a number from"),
        ("/fold-in", {"ratings": []}, 422, "ratings: List should have at least 1 item"),
        ("/fold-in", {"ratings": [{"item": True}]}, 422, "ratings.0.item"),
        ("/predict", {"pairs": [{"user": 1}]}, 422, "pairs.0.item: Field required"),
        (
            "/predict",
            {"pairs": [{"user": "one", "item": 1}]},
            422,
            "user 'one': the user ids of this model are integers",
        ),
    ],
)
def test_a_body_that_is_wrong_is_named(client_of: httpx.Client, path: str, body: Any, status: int, detail: str) -> None:
    answer = client_of.post(path, json=body)
    assert (answer.status_code, answer.json()["detail"][: len(detail)]) == (status, detail)


def test_health_names_the_model_at_work(client_of: httpx.Client, model: Model) -> None:
    health = client_of.get("/health").json()
    assert health.pop("since").endswith("+00:00")
    assert health == {
        "status": "ok", "model": model.about["run_id"], "rank": 4, "users": len(model.user_ids),
        "items": len(model.item_ids), "leaves_rated_out": True, "trouble": None,
    }  # fmt: skip


def test_metrics_count_requests_by_route_and_status(client_of: httpx.Client, model: Model) -> None:
    def counted() -> dict[str, float]:
        answer = client_of.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        found = (line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in found}

    before = counted()
    for path in ("/similar/99999", "/similar/99999", "/nowhere"):
        client_of.get(path)
    after = counted()
    for name, more in (('route="/similar/{item}",status="404"', 2), ('route="other",status="404"', 1)):
        series = f"funkflow_serve_requests_total{{{name}}}"
        assert after[series] - before.get(series, 0.0) == more
    assert after[f'funkflow_serve_model{{run="{model.about["run_id"]}"}}'] == 1
    assert after['funkflow_serve_model_loads_total{outcome="loaded"}'] == 1
    assert after['funkflow_serve_request_seconds_bucket{le="+Inf",route="/similar/{item}"}'] >= 2


def test_answers_are_as_the_openapi_page_describes_them(client_of: httpx.Client, model: Model) -> None:
    described = client_of.get("/openapi.json").json()
    user, item = int(model.user_ids[0]), int(model.item_ids[0])
    asked = {
        ("get", "/recommend/{user}"): client_of.get(f"/recommend/{user}"),
        ("get", "/similar/{item}"): client_of.get(f"/similar/{item}"),
        ("get", "/predict"): client_of.get("/predict", params={"user": user, "item": item}),
        ("post", "/predict"): client_of.post("/predict", json={"pairs": [{"user": user, "item": item}]}),
        ("post", "/fold-in"): client_of.post("/fold-in", json={"ratings": [{"item": item}]}),
        ("get", "/health"): client_of.get("/health"),
    }
    assert described["paths"].keys() == {*(path for _, path in asked), "/metrics"}
    for (method, path), answer in asked.items():
        route = described["paths"][path][method]
        assert answer.status_code == 200
        schema = {**route["responses"]["200"]["content"]["application/json"]["schema"], **described}
        jsonschema.Draft202012Validator(schema).validate(answer.json())
        assert route["description"]
        for status in ("404", "422"):
            problem = route["responses"].get(status)
            assert not problem or problem["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
    assert "swagger" in client_of.get("/docs").text
