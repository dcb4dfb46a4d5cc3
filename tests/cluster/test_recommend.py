"""Recommendations and rankings of a whole run, against every prediction of the saved model and a full sort.

Covers: pipeline/stages/recommend.py, pipeline/stages/ranking.py, tasks/serving/recommend.py,
tasks/serving/served_model.py and their words of the command.
Does not cover: the choice among many scores (test_best.py), one user's recommendations from Python
(test_recommender.py).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score, precision_score, recall_score
from ungated import UNGATED_SECTION

from funkflow import Model, RunResult, Settings, run
from funkflow.pipeline.planning.budget import Allowance, Size
from funkflow.pipeline.planning.plan import predict_for
from funkflow.pipeline.progress.events import Event, StageFinished
from funkflow.pipeline.root.result import RANKING_MEASURES
from funkflow.tasks.errors import BadInput, CannotFit
from funkflow.tasks.serving.recommend import recommend_to
from funkflow.tasks.storage import files

COUNT = 12


def settings_for(root: Path, **sections: Mapping[str, object]) -> Settings:
    """A run on made ratings: user 1 has rated all items but three, and the validation file has a pair of its own."""
    return Settings.build(
        {
            "root": str(root),
            "ingest": {"ratings": str(root / "ratings.csv"), "partition_ratings": 1000},
            "split": {"kind": "file", "file": str(root / "validation.csv")},
            "grid": {"shards": 3},
            "train": {"rank": 4, "epochs": 4},
            "gate": UNGATED_SECTION,
            "cluster": {"threads": 2},
            **sections,
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("root"), np.random.default_rng(5)
    cells = {(1, item) for item in range(57)}
    cells |= set(zip(rng.integers(2, 150, 4000).tolist(), rng.integers(0, 60, 4000).tolist(), strict=True))
    rows = [(user, 1000 + 7 * item, 1 + (user * item + item) % 5) for user, item in sorted(cells)]
    lines = [f"{user},{item},{rating}" for user, item, rating in rows]
    (root / "ratings.csv").write_text("user,item,rating\n" + "\n".join(lines) + "\n")
    own = next((2, 1000 + 7 * item, 5) for item in range(60) if (2, item) not in cells)
    held_out = [*rows[::9], own]
    (root / "validation.csv").write_text(
        "user,item,rating\n" + "\n".join(f"{u},{i},{r}" for u, i, r in held_out) + "\n"
    )
    return root


@pytest.fixture(scope="module")
def ran(root: Path) -> RunResult:
    ranking = {"count": 5, "users": 0, "also": [2, 12, 5]}
    return run(settings_for(root, recommend={"count": COUNT, "batch_users": 20}, ranking=ranking))


def predictions(model: Model) -> npt.NDArray[np.float64]:
    users, items = np.repeat(model.user_ids, len(model.item_ids)), np.tile(model.item_ids, len(model.user_ids))
    return model.predict(users, items, clip=False).reshape(len(model.user_ids), -1)


def masked(root: Path, model: Model, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    scores = pd.DataFrame(predictions(model), index=model.user_ids, columns=model.item_ids)
    for name in names:
        for user, item in pd.read_csv(root / name)[["user", "item"]].to_numpy():
            scores.loc[user, item] = -np.inf
    return np.array(scores)


def test_every_user_gets_the_unseen_items_with_the_highest_predictions(root: Path, ran: RunResult) -> None:
    model = Model.load(ran.paths["model"])
    scores = masked(root, model, ("ratings.csv", "validation.csv"))
    table = pd.read_parquet(Path(ran.paths["recommendations"], "recommendations.parquet"))
    assert list(table.columns) == ["user", "rank", "item", "score"]
    given = dict(iter(table.groupby("user")))
    for row, user in enumerate(model.user_ids):
        unseen = int((scores[row] > -np.inf).sum())
        assert given[user]["rank"].tolist() == list(range(1, min(COUNT, unseen) + 1))
        best = np.argsort(-scores[row])[: min(COUNT, unseen)]
        np.testing.assert_allclose(given[user]["score"], scores[row][best], rtol=1e-5)
        own = scores[row][pd.Index(model.item_ids).get_indexer(given[user]["item"])]
        np.testing.assert_allclose(own, given[user]["score"], rtol=1e-5)
        assert given[user]["item"].is_unique
    assert len(given[1]) == 3


def test_chosen_users_get_the_same_as_among_all(root: Path, ran: RunResult) -> None:
    result = run(settings_for(root, recommend={"count": COUNT, "users": [77, 1]}), until="recommend")
    everyone = pd.read_parquet(Path(ran.paths["recommendations"], "recommendations.parquet"))
    chosen = pd.read_parquet(Path(result.paths["recommendations"], "recommendations.parquet"))
    assert set(chosen["user"]) == {77, 1}
    expected = everyone[everyone["user"].isin([77, 1])].sort_values(["user", "rank"])
    got = chosen.sort_values(["user", "rank"])
    assert got["item"].tolist() == expected["item"].tolist()
    np.testing.assert_allclose(got["score"], expected["score"], rtol=1e-6)
    assert Path(ran.paths["recommendations"]).exists()


def test_this_process_alone_recommends_what_the_cluster_does(root: Path, ran: RunResult) -> None:
    """In the order that is asked for; of the model it keeps the rows of these users alone."""
    users = [77, 1, 5, 140]
    everyone = pd.read_parquet(Path(ran.paths["recommendations"], "recommendations.parquet"))
    rows = recommend_to(ran.paths["model"], users, COUNT)
    expected = [row for user in users for row in everyone[everyone["user"] == user].to_dict("records")]
    assert [(row["user"], row["rank"], row["item"]) for row in rows] == [
        (row["user"], row["rank"], row["item"]) for row in expected
    ]
    np.testing.assert_allclose([row["score"] for row in rows], [row["score"] for row in expected], rtol=1e-6)


def test_a_model_leaves_out_what_a_user_has_rated(root: Path, ran: RunResult) -> None:
    """In training, in validation, and in a validation file alone, as user 2 has."""
    model = Model.load(ran.paths["model"])
    everyone = pd.read_parquet(Path(ran.paths["recommendations"], "recommendations.parquet"))
    for user in (1, 2, 77):
        found = model.recommend(user, COUNT)
        assert found.items.tolist() == everyone[everyone["user"] == user]["item"].tolist()
    assert len(model.recommend(1, 60).items) == 3
    assert len(model.recommend(1, 60, exclude=()).items) == len(model.item_ids)


def test_an_unknown_user_is_refused_before_training(root: Path, tmp_path: Path) -> None:
    settings = settings_for(root, recommend={"count": 3, "users": [9999]}).model_copy(update={"root": str(tmp_path)})
    told: list[Event] = []
    with pytest.raises(BadInput, match="there is no user 9999"):
        run(settings, until="export", listeners=[told.append])
    assert [event.stage for event in told if isinstance(event, StageFinished)] == ["ingest"]


def test_recommendations_are_made_once(root: Path, ran: RunResult) -> None:
    events: list[Event] = []
    settings = settings_for(root, recommend={"count": COUNT, "batch_users": 20})
    run(settings, until="recommend", listeners=[events.append])
    assert [event.reused for event in events if isinstance(event, StageFinished) and event.stage == "recommend"] == [
        True
    ]


def test_two_workers_give_the_same_bytes(root: Path, ran: RunResult) -> None:
    folder = Path(ran.paths["recommendations"], "recommendations.parquet")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    folder.parent.joinpath("manifest.json").unlink()
    recommend = {"count": COUNT, "batch_users": 20}
    run(settings_for(root, recommend=recommend, cluster={"workers": 2, "threads": 1}), until="recommend")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(("user", "said"), [(9999, "there is no user 9999"), ("x", "are integers, not 1, x")])
def test_an_unknown_user_is_named(root: Path, ran: RunResult, user: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        run(settings_for(root, recommend={"count": 3, "users": [1, user]}), until="recommend")


def unseen_and_relevant(
    root: Path, model: Model, scores: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The scores of what is not in training, -inf elsewhere, and which of it is relevant, of the users with any."""
    unmasked, relevant = scores.copy(), np.zeros(scores.shape, bool)
    rows, columns = pd.Index(model.user_ids), pd.Index(model.item_ids)
    for name in ("ratings", "validation"):
        pairs = pd.read_csv(root / f"{name}.csv")
        places = rows.get_indexer(pairs["user"]), columns.get_indexer(pairs["item"])
        scores[places] = -np.inf
    scores[places] = unmasked[places]
    relevant[places] = pairs["rating"] >= 4
    users = relevant.any(axis=1)
    return scores[users], relevant[users]


def test_the_ranking_is_what_scikit_learn_measures(root: Path, ran: RunResult) -> None:
    model = Model.load(ran.paths["model"])
    scores, relevant = unseen_and_relevant(root, model, predictions(model))
    assert ran.ranking["users"] == len(scores) > 50
    assert (ran.ranking["count"], ran.ranking["threshold"]) == (5, 4.0)
    np.put_along_axis(chosen := np.zeros(scores.shape, bool), np.argsort(-scores, axis=1)[:, :5], True, axis=1)
    chosen &= scores > -np.inf
    finite = np.where(scores > -np.inf, scores, -1e6)
    assert ran.ranking["ndcg"] == pytest.approx(ndcg_score(relevant, finite, k=5))
    assert ran.ranking["recall"] == pytest.approx(recall_score(relevant, chosen, average="samples"))
    assert ran.ranking["precision"] == pytest.approx(
        np.mean([precision_score(each, mine) * mine.sum() / 5 for each, mine in zip(relevant, chosen, strict=True)])
    )


def test_the_baseline_is_the_most_rated_items_of_training(root: Path, ran: RunResult) -> None:
    """Of equally many ratings the first item of the model; told by plain counting."""
    model = Model.load(ran.paths["model"])
    pairs = [set(map(tuple, pd.read_csv(root / f"{name}.csv")[["user", "item"]].to_numpy().tolist()))
             for name in ("ratings", "validation")]  # fmt: skip
    counts = pd.Series([item for _, item in pairs[0] - pairs[1]]).value_counts().reindex(model.item_ids, fill_value=0)
    everyone: npt.NDArray[np.float64] = np.tile(counts.to_numpy(np.float64), (len(model.user_ids), 1))
    scores, relevant = unseen_and_relevant(root, model, everyone)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    hits = np.take_along_axis(relevant & (scores > -np.inf), best, axis=1).sum(axis=1)
    assert hits.sum() > 10
    found = ran.ranking["most_rated"]
    assert found["precision"] == pytest.approx(np.mean(hits / 5))
    assert found["recall"] == pytest.approx(np.mean(hits / relevant.sum(axis=1)))
    assert found["precision"] != ran.ranking["precision"]


def test_further_lengths_have_every_measure_of_the_same_lists(root: Path, ran: RunResult) -> None:
    """Each equals a measurement of its own; what a list is long does not change its beginning."""
    assert [each["count"] for each in ran.ranking["also"]] == [2, 12]
    for further in ran.ranking["also"]:
        alone = run(settings_for(root, ranking={"count": further["count"]}), until="ranking").ranking
        assert {name: alone[name] for name in further} == further  # type: ignore[literal-required]
        assert {*RANKING_MEASURES} <= {*further}


def test_hits_coverage_and_novelty_are_those_of_plain_counting(root: Path, ran: RunResult) -> None:
    model = Model.load(ran.paths["model"])
    scores, relevant = unseen_and_relevant(root, model, predictions(model))
    training = pd.read_csv(root / "ratings.csv").merge(
        pd.read_csv(root / "validation.csv"), on=["user", "item"], how="left", indicator=True
    )
    training = training[training["_merge"] == "left_only"]
    counts = training["item"].value_counts().reindex(model.item_ids, fill_value=0).to_numpy()
    surprise = -np.log2(np.maximum(1, counts) / training["user"].nunique())
    best = np.argsort(-scores, axis=1)[:, :5]
    is_item = np.take_along_axis(scores, best, axis=1) > -np.inf
    hits = np.take_along_axis(relevant, best, axis=1) & is_item
    assert ran.ranking["hit_rate"] == pytest.approx(hits.any(axis=1).mean())
    assert ran.ranking["coverage"] == pytest.approx(len(np.unique(best[is_item])) / len(model.item_ids))
    assert ran.ranking["novelty"] == pytest.approx(surprise[best[is_item]].mean())
    chance = ran.ranking["random"]
    candidates = (scores > -np.inf).sum(axis=1)
    assert chance["precision"] == pytest.approx(
        np.mean(relevant.sum(axis=1) / candidates * np.minimum(candidates, 5) / 5)
    )
    assert chance["recall"] == pytest.approx(np.mean(np.minimum(1, 5 / candidates)))
    assert "coverage" not in chance


def test_a_sample_of_users_has_every_measure(root: Path, ran: RunResult) -> None:
    heard: list[Event] = []
    chosen = settings_for(root, ranking={"count": 5, "users": 40, "also": [2]})
    sample = run(chosen, until="ranking", listeners=[heard.append]).ranking
    assert 20 < sample["users"] <= 40 < ran.ranking["users"]
    (said,) = [each.summary for each in heard if isinstance(each, StageFinished) and each.stage == "ranking"]
    error = 0.5 / math.sqrt(sample["users"])
    assert re.search(rf" {sample['users']} of \d+ users, standard error at most {error:.4f}$", said)
    for each in (sample, sample["also"][0], sample["most_rated"]):
        assert {*RANKING_MEASURES} <= {*each}
    assert {*RANKING_MEASURES} - {*sample["random"]} == {"coverage"}


def test_nothing_relevant_is_said_and_nothing_measured(root: Path, ran: RunResult) -> None:
    result = run(settings_for(root, ranking={"threshold": 6.0}), until="ranking")
    assert result.ranking == {}


def test_a_model_from_before_it_carried_its_l2_is_exported_anew(root: Path, ran: RunResult) -> None:
    about = Path(ran.paths["model"], "model.json")
    content = files.without_seal(str(about), json.loads(about.read_text()))
    l2 = content.pop("l2")
    files.write_sealed(str(about), content)
    run(settings_for(root), until="export")
    assert json.loads(about.read_text())["l2"] == l2 > 0


@pytest.mark.parametrize("section", ["recommend", "ranking"])
def test_what_cannot_fit_is_refused_with_both_numbers(root: Path, ran: RunResult, section: str) -> None:
    """A list so long that the prediction passes what the cluster is given."""
    allowance = Allowance(1, 2, 800 * 2**20, str(root))
    settings = settings_for(root, **{section: {"count": 1_000_000}})
    prediction = predict_for(settings, Size(50_000_000, 4_000_000, 2_000_000, 0), 4, allowance)
    with pytest.raises(CannotFit, match=r"for recommending and has 800\.00 MiB; lower recommend\.count"):
        allowance.refuse_recommending(prediction.recommend_bytes, prediction.recommend_worker_bytes)
