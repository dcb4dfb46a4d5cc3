"""The settings of each run of a comparison: of the method alone, whatever the settings that all runs share.

Covers: pipeline/results/comparison/contenders.py, and the request of such a run.
Does not cover: the runs and their table (test_compare.py).
"""

from __future__ import annotations

import pytest

from funkflow.pipeline.results.comparison.contenders import CONTENDERS, settings_for
from funkflow.pipeline.settings.methods import METHODS
from funkflow.pipeline.settings.request import Request
from funkflow.pipeline.settings.sections import Settings

SHARED = Settings.build(
    {
        "train": {
            "method": "sgd", "goal": "ranking", "als": {"alpha": 0.2, "steps": 5}, "biases": True, "center": True,
            "step": 0.01, "tolerance": 1e-3, "batch": {"steps": 9}, "bayes": {"draws": 7}, "keep_draws": 3,
        },
        "gate": {"ratings_at_least": 7},
    }
)  # fmt: skip
"""With words for several methods at once, which a single run would refuse."""


def of(method: str, pure: bool = False) -> Settings:
    return settings_for(SHARED, method, 16, pure)


def test_als_alone_completes_the_ratings() -> None:
    train = of("als").train
    assert (train.method, train.goal, train.als.alpha, train.als.steps) == ("als", "ratings", None, 5)
    assert (train.biases, train.weighs_missing_cells) == (True, False)


def test_als_for_a_ranking_has_the_defaults_of_that_goal() -> None:
    chosen = of("als-ranking")
    train = chosen.train
    assert (train.method, train.goal, train.als.alpha, train.epochs) == ("als", "ranking", 0.2, 24)
    assert (train.biases, train.center, chosen.gate.ratings_at_least) == (False, False, 1)


def test_a_measure_to_stop_by_goes_with_one_goal() -> None:
    shared = Settings.build({"train": {"goal": "ranking", "stop_by": "ndcg"}})
    chosen = {method: settings_for(shared, method, 16, pure=False).train.stops_by for method in ("sgd", "als-ranking")}
    assert chosen == {"sgd": "rmse", "als-ranking": "ndcg"}


def test_draws_have_the_settings_of_the_comparison_and_no_other_method_has() -> None:
    train = of("bayes").train
    assert (train.bayes.draws, train.keep_draws) == (7, 3)
    assert not {"bayes", "keep_draws"} & of("sgd").train.model_dump().keys()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_predicts_ratings_by_its_own_settings(method: str) -> None:
    for pure in (False, True):
        train = of(method, pure).train
        assert (train.method, train.goal, train.rank, train.biases) == (method, "ratings", 16, not pure)
        train.refuse_idle_settings()


def test_a_comparison_ranks_without_putting_a_model_to_use() -> None:
    request = Request.checked("evaluate", ranks=True)
    assert [request.reaches(stage) for stage in ("evaluate", "ranking", "export", "recommend", "report")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not Request.checked("evaluate").reaches("ranking")


def test_what_can_be_compared_is_each_method_and_two_more() -> None:
    assert set(CONTENDERS) - set(METHODS) == {"als-ranking", "most-rated"}
