"""Likes, clicks and counts: files without ratings train a model that ranks, from the raw file to the report.

Covers: pipeline/flow.py, pipeline/settings/effective.py, tasks/grid/scatter.py: what a run says, sums of repeated rows,
three digits of counts, confidences, a validation file of pairs, what is refused.
Does not cover: which columns are found (test_columns.py), the row solves themselves (test_als.py).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Heard
from ingesting import ingest, refusal, settings, table

from funkflow import Model, Settings, run
from funkflow.pipeline.cluster.context import Context
from funkflow.pipeline.planning.plan import plan_of
from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.manifests import Dataset
from funkflow.pipeline.stages.grid import grid
from funkflow.pipeline.stages.split import split
from funkflow.tasks.errors import BadInput, SettingsError
from funkflow.tasks.grid.block import read_block
from funkflow.tasks.grid.scatter import with_three_digits
from funkflow.tasks.model.about import read_about

GROUPS, USERS, ITEMS = 5, 120, 50


def likes(path: Path, seed: int = 3) -> pd.DataFrame:
    """Users like most of their own group's items, and hardly any other; written without ratings."""
    rng = np.random.default_rng(seed)
    users, items = (each.ravel() for each in np.indices((USERS, ITEMS)))
    kept = rng.random(len(users)) < np.where(users % GROUPS == items % GROUPS, 0.8, 0.03)
    frame = pd.DataFrame({"user": users[kept], "item": items[kept]})
    frame.to_csv(path, index=False)
    return frame


def test_a_file_of_likes_trains_a_model_that_ranks_and_says_so(tmp_path: Path) -> None:
    path, events = tmp_path / "likes.csv", list[Event]()
    likes(path)
    content = {"root": str(tmp_path / "root"), "ingest": {"ratings": [str(path)]}, "train": {"rank": 8}}
    result = run(Settings.build(content), listeners=[events.append])
    said = [event.message for event in events if isinstance(event, Noticed)]
    assert any("no ratings, so every row is a like, or a click, and counts 1" in each for each in said)
    assert any("so the run trains a model that ranks (train.goal = ranking)" in each for each in said)
    assert (result.goal, result.rmse, result.evaluation) == ("ranking", None, {})
    assert result.ranking["ndcg"] > 1.5 * result.ranking["most_rated"]["ndcg"]
    about = read_about(result.paths["model"])
    assert (about["goal"], about["settings"]["train"]["method"]) == ("ranking", "als")
    page = Path(result.paths["report"]).read_text(encoding="utf-8")
    assert "recommendations beat the most rated items" in page
    again = run(Settings.load(str(Path(result.paths["run"], "settings.toml"))))
    assert again.run_id == result.run_id


def test_repeated_rows_are_summed_and_counts_are_read(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("user,item\n1,2\n1,3\n1,2\n2,2\n1,2\n", encoding="utf-8")
    clicks = ingest(context, settings(path))
    assert (clicks.rating_maximum, clicks.duplicates) == (3.0, 2)
    assert sorted(table(context, clicks).itertuples(index=False, name=None)) == [(1, 2, 3.0), (1, 3, 1.0), (2, 2, 1.0)]
    once = ingest(context, settings(path, duplicates="mean"))
    assert table(context, once)["rating"].tolist() == [1.0] * 3
    path = tmp_path / "plays.csv"
    path.write_text("listener_id,song_id,plays\n1,2,3\n1,3,1.5\n1,2,4\n", encoding="utf-8")
    plays = ingest(context, settings(path, counts="plays", columns={"user": "listener_id"}))
    assert (plays.counts, plays.bounds) == (True, (1.5, 7.0))
    assert sorted(table(context, plays)["rating"]) == [1.5, 7.0]


@pytest.mark.parametrize("wrong", ["0", "-2", "nan"])
def test_a_count_that_is_none_is_named(wrong: str, context: Context, tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    path.write_text(f"user,item,plays\n1,2,3\n1,3,{wrong}\n", encoding="utf-8")
    said = refusal(context, path, counts="plays")
    assert said.startswith(f"{path}:3: ")
    assert wrong == "nan" or "is no number above 0" in said
    kept = ingest(context, settings(path, counts="plays", on_bad_rows="quarantine"))
    assert (kept.ratings, kept.quarantined) == (1, 1)


def test_blocks_keep_three_digits_of_counts(heard: Heard, tmp_path: Path) -> None:
    counts = np.arange(1, 4_001, dtype=np.float32) * 1.37
    path = tmp_path / "plays.csv"
    frame = pd.DataFrame({"user": np.arange(4_000) % 80, "item": np.arange(4_000) // 80, "plays": counts})
    frame.to_csv(path, index=False)
    context, chosen = heard.context, Settings.build({"ingest": {"ratings": [str(path)], "counts": "plays"}})
    dataset = ingest(context, chosen.ingest)
    held_out = split(context, dataset, chosen.split, chosen.ingest, 0.0)
    made = grid(context, dataset, held_out, chosen.grid)
    blocks = [read_block(context.store.blocks, each.checksum, (80, 50)) for each in made.blocks]
    levels = np.concatenate([block.levels for block in blocks])
    assert made.counts
    assert len(np.unique(levels)) < 1_500
    np.testing.assert_array_equal(with_three_digits(levels), levels)
    np.testing.assert_allclose(with_three_digits(counts), counts, rtol=0.005)


def test_a_validation_file_may_have_pairs_alone(heard: Heard, tmp_path: Path) -> None:
    path, validation = tmp_path / "likes.csv", tmp_path / "test.csv"
    likes(path)
    validation.write_text("user,item\n0,1\n0,2\n1,7\n", encoding="utf-8")
    chosen = Settings.build({"ingest": {"ratings": [str(path)]}, "split": {"file": str(validation)}})
    dataset: Dataset = ingest(heard.context, chosen.ingest)
    held_out = split(heard.context, dataset, chosen.split, chosen.ingest, 0.0)
    assert held_out.validation.ratings == 3


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"train": {"goal": "ratings"}}, r"train\.goal = ratings needs ratings"),
        ({"train": {"method": "sgd"}}, r"counts and likes are trained on with a weight for missing cells"),
        ({"train": {"als": {"alpha": 0.0}}}, r"counts and likes are trained on with a weight for missing cells"),
        ({"gate": {"rmse_worse_by_at_most": 0.1}}, r"gate\.rmse_worse_by_at_most compares RMSEs"),
        ({"ingest": {"counts": "n", "scale": [1, 5]}}, r"ingest\.scale is for ratings"),
        ({"ingest": {"counts": "n", "transform": "log1p"}}, r"ingest\.transform is for ratings"),
        ({"ingest": {"counts": "n", "columns": {"rating": "n"}}}, r"are one column or none"),
    ],
)
def test_what_counts_have_no_use_for_is_refused(section: dict[str, dict[str, object]], match: str) -> None:
    with pytest.raises(SettingsError, match=match):
        Settings.build({"ingest": {"counts": "n"}, **section})


def test_likes_met_unawares_are_refused_with_a_method_for_ratings(tmp_path: Path) -> None:
    path = tmp_path / "likes.csv"
    likes(path)
    content = {"root": str(tmp_path / "root"), "ingest": {"ratings": [str(path)]}, "train": {"method": "sgd"}}
    with pytest.raises(SettingsError, match=r"train\.method = 'sgd': counts and likes are trained on with a weight"):
        run(Settings.build(content))


def test_somebody_new_is_folded_in_by_counts(tmp_path: Path) -> None:
    """A row of the model is what folding its own counts in gives, nearly: it was solved by steps."""
    path = tmp_path / "plays.csv"
    frame = likes(path).assign(plays=lambda given: 1 + given["item"] % 7)
    frame.to_csv(path, index=False)
    train = {"rank": 6, "epochs": 40}
    content = {"root": str(tmp_path / "root"), "ingest": {"ratings": [str(path)], "counts": "plays"}, "train": train}
    model = Model.load(run(Settings.build({**content, "split": {"kind": "none"}}), until="export").paths["model"])
    own = frame[frame["user"] == 3]
    folded = model.fold_in(dict(zip(own["item"].tolist(), own["plays"].tolist(), strict=True)))
    trained = model.user_factors[model.known_rows([3], "users")][0]
    np.testing.assert_allclose(folded.factors, trained, atol=0.02 * float(np.abs(trained).max()))
    with pytest.raises(BadInput, match="rating 0 of 3 is not a number from"):
        model.fold_in({3: 0.0})


def test_stars_of_netflix_text_are_no_counts_where_every_row_is_a_like(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "combined_data_1.txt"
    path.write_text("1:\n5,3,2005-01-01\n6,4,2005-02-01\n2:\n5,5,2005-01-01\n", encoding="utf-8")
    made = ingest(context, settings(path, columns={"rating": "none"}))
    assert (made.counts, made.timestamps) == (True, True)
    assert table(context, made)["rating"].tolist() == [1.0] * 3


def test_a_plan_of_likes_is_that_of_a_ranking(tmp_path: Path) -> None:
    likes(tmp_path / "likes.csv")
    content = {"root": str(tmp_path / "root"), "ingest": {"ratings": [str(tmp_path / "likes.csv")]}}
    planned = plan_of(Settings.build(content))
    assert (planned.size.counts, planned.method) == (True, "als")
    with pytest.raises(BadInput, match="no column for the rating among user, item"):
        plan_of(Settings.build({**content, "train": {"goal": "ratings"}}))
