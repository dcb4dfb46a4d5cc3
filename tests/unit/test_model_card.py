"""The model card: its figures, their standard errors, and limits that follow from the facts.

Covers: pipeline/results/report/card.py on facts that are written here. Does not cover: that of a run (test_report.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funkflow.pipeline.results.report.card import model_card

RANKING: Any = {
    "count": 10, "users": 400, "threshold": 4.0, "precision": 0.04, "recall": 0.05, "ndcg": 0.06,
    "most_rated": {"precision": 0.08, "recall": 0.1, "ndcg": 0.12},
    "random": {"precision": 0.01, "recall": 0.01, "ndcg": 0.01},
}  # fmt: skip


def facts(goal: str = "ratings", **verdict: Any) -> Any:
    edges = np.linspace(-4, 4, 49)
    errors = np.random.default_rng(0).normal(0, 0.8, 10_000)
    bins = [{"low": 1, "high": 1, "ratings": 7, "rmse": 1.3}, {"low": 2, "high": 3, "ratings": 200, "rmse": 1.1},
            {"low": 4, "high": 7, "ratings": 9_793, "rmse": 0.79}]  # fmt: skip
    return {
        "run": {
            "run_id": "a" * 16, "ended": "2026-11-30T16:27:00+00:00", "method": "sgd", "rank": 3,
            "code_version": {"package": "9.9", "algorithm": 7},
            "settings": {"ingest": {"ratings": ["s3://***@b/ml|1m"]}, "split": {"kind": "fraction"},
                         "train": {"goal": goal, "seed": 5}},
        },
        "verdict": {"rmse": 0.8, "mae": 0.6, "biases_rmse": 0.9, "biases_mae": 0.7, "mean_rmse": 1.1, "mean_mae": 1.0,
                    "ratings": 10_000, "split": "hash 10 %", "gate": {}} | verdict,
        "data": {"format": "CSV", "ratings": 100_000, "training": 90_000, "validation": 10_000, "users": 50,
                 "items": 40, "scale": [1.0, 5.0], "by_time": None, "quarantined": None},
        "learning": {"counted": "epochs", "stop_on": "validation", "best_epoch": 2, "l2": 0.05,
                     "epochs": [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]},
        "errors": {"by_user_activity": bins,
                   "residuals": {"edges": edges.tolist(), "counts": np.histogram(errors, edges)[0].tolist()}},
    }  # fmt: skip


def test_a_card_of_ratings_has_every_figure() -> None:
    card = model_card(facts(ranking=RANKING))
    for line in (
        "# Model card: ml\\|1m",
        "| funkflow | 9.9, algorithm version 7 |",
        "| format | CSV |",
        "| ratings | 100,000 (90,000 training, 10,000 validation by hash 10 %) |",
        "On 10,000 validation ratings. Standard errors assume independent ratings.",
        "| bias baseline | 0.9000 |  | 0.7000 |",
        "| mean rating | 1.1000 |  | 1.0000 |",
        "| model | 0.0600 | at most 0.012 | 0.0400 | 0.0500 |",  # √(0.06 · 0.94 / 400)
        "| epoch kept | 2 |",
        "| seed | 5 |",
        "| L2 per rating | 0.05, for ratings of unit deviation |",
        "- Do not recommend by its predictions: the most rated items are better.",
        "- Users with 2 to 3 training ratings have RMSE 1.1000 (200 validation ratings).",
        "model.predict(",
    ):
        assert line in card


def test_the_standard_error_is_that_of_the_errors() -> None:
    """An RMSE σ of n normal errors has the standard error σ / √(2 n)."""
    (row,) = (line for line in model_card(facts()).splitlines() if line.startswith("| model | 0.8000 |"))
    assert float(row.split("|")[3]) == pytest.approx(0.8 / np.sqrt(2 * 10_000), rel=0.05)


def test_a_card_of_a_ranking_has_lists_and_no_rmse() -> None:
    card = model_card(facts("ranking", rmse=None, ranking=RANKING) | {"errors": None})
    assert "RMSE" not in card
    assert "A score is not a rating" in card
    assert "model.recommend(" in card


def test_a_card_without_validation_and_of_a_refused_model_says_so() -> None:
    bare = facts(rmse=None, split="none", gate={"passed": False, "refusal": "<b>worse"}) | {"errors": None}
    card = model_card(bare)
    assert "Nothing was measured: no validation ratings." in card
    assert "- The gate refused the model: &lt;b>worse." in card
