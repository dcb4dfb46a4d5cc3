"""What the report says in words: the verdict, memory, factors, the name of the data, and singular and plural.

Covers: sentences and figures made of facts that are written here. Does not cover: pages of real runs (test_report.py).
"""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import dask.utils
import pytest
from rich.console import Console

from funkflow.pipeline.progress.words import counted, data_name, format_bytes, format_time, moment, percent
from funkflow.pipeline.results.report.index import index_page
from funkflow.pipeline.results.report.intervals import convergence, intervals
from funkflow.pipeline.results.report.page import report_page
from funkflow.pipeline.results.report.ranking import ranking_section
from funkflow.pipeline.results.report.sections import ranks, resources
from funkflow.pipeline.results.report.verdict import tiles, verdict
from funkflow.pipeline.results.tables import result_table
from funkflow.pipeline.root.result import RunResult, ranking_verdict

BIASES = "RMSE below the bias baseline and the mean rating"
STAGES = [{"stage": "train", "bytes": 300 * 2**20}]
RANKING: Any = {
    "count": 10, "users": 5, "threshold": 4.0, "precision": 0.04, "recall": 0.05, "ndcg": 0.06,
    "most_rated": {"precision": 0.08, "recall": 0.1, "ndcg": 0.12},
}  # fmt: skip


def plain(page: str) -> str:
    return unescape(page).replace("\u00a0", " ")


def facts(gate: dict[str, Any] | None = None, asked: dict[str, Any] | None = None, **verdict_facts: Any) -> Any:
    found = {"rmse": 0.8, "biases_rmse": 0.9, "mean_rmse": 1.1, "ratings": 1, "split": "hash 10 %", "gate": gate or {}}
    return {
        "verdict": found | verdict_facts,
        "run": {"run_id": "a" * 16, "rank": 3, "seconds": 61.0, "settings": {"gate": asked or {}}},
        "data": {"ratings": 10},
        "memory": {"peak_bytes": 300 * 2**20, "predicted_bytes": 200 * 2**20, "by_stage": STAGES},
        "time": {"stages": [], "tasks": None},
    }


@pytest.mark.parametrize(
    ("gate", "asked", "words"),
    [
        ({"training_ratings": 9}, {"beats_biases": True}, f"{BIASES}."),
        (
            {"training_ratings": 2_000},
            {"beats_biases": True, "ratings_at_least": 1_000},
            f"{BIASES}; at least 1,000 training ratings (2,000 found).",
        ),
        (
            {"compared_with": "b", "rmse": 0.8, "rmse_before": 0.81, "ratings": 7},
            {"beats_biases": False, "rmse_worse_by_at_most": 0.01},
            "RMSE at most 0.01 above the model in use (0.8000 against 0.8100 on the same 7 validation ratings).",
        ),
        (
            {"training_ratings": 9},
            {"rmse_worse_by_at_most": -0.02},
            "RMSE at least 0.02 below the model in use (none in use yet).",
        ),
    ],
)
def test_the_gate_is_told_by_what_it_asked(gate: dict[str, Any], asked: dict[str, Any], words: str) -> None:
    assert f"The model passed the gate: {words}" in plain(verdict(facts(gate, asked)))


@pytest.mark.parametrize(
    ("gate", "asked"), [({}, {"beats_biases": True}), ({"training_ratings": 9}, {"beats_biases": False})]
)
def test_nothing_is_said_of_a_gate_that_asked_nothing(gate: dict[str, Any], asked: dict[str, Any]) -> None:
    assert "gate" not in verdict(facts(gate, asked | {"ratings_at_least": 1, "rmse_worse_by_at_most": None}))


def test_without_validation_nothing_was_asked_of_the_rmse() -> None:
    found = verdict(facts({"training_ratings": 9}, {"beats_biases": True}, rmse=None))
    assert "was not measured" in found
    assert "gate" not in found


def test_a_refusal_is_told_with_its_reason() -> None:
    assert "The gate refused the model: too few." in verdict(facts({"passed": False, "refusal": "too few"}))


def test_the_ranking_stands_beside_the_most_rated_with_a_verdict() -> None:
    worse = verdict(facts(ranking=RANKING))
    words = "The top 10 recommendations lose to the most rated items in NDCG (0.0600 against 0.1200, 0.5 times), recall"
    assert words in plain(worse)
    mixed = verdict(facts(ranking=RANKING | {"ndcg": 0.2, "precision": 0.08}))
    for words in ("beat the most rated items in NDCG", "lose to them in recall", "and equal them in precision"):
        assert words in mixed
    assert "50 % below most rated (0.1200)" in plain(tiles(facts(ranking=RANKING)))
    table = plain(ranking_section(facts(ranking=RANKING)))
    assert all(words in table for words in ("0.0600", "0.1200", "\u221250 %", "Means over 5 users"))
    assert "ranking was not measured" in ranking_section(facts())


MEASURED = RANKING | {
    "hit_rate": 0.4, "coverage": 0.3, "random": {"precision": 0.01, "recall": 0.01, "ndcg": 0.012},
    "also": [RANKING | {"count": 20, "ndcg": 0.0777}],
}  # fmt: skip


def test_a_random_order_and_further_lengths_stand_in_the_table() -> None:
    page = plain(ranking_section(facts(ranking=MEASURED)))
    assert all(
        words in page for words in ("random order", "0.0120", "at 20 items", "0.0777", "hit rate", "Coverage: share")
    )
    assert "Random order: NDCG 0.0120." in plain(verdict(facts(ranking=MEASURED)))
    assert "random order" not in plain(ranking_section(facts(ranking=RANKING)))  # of an older run


@pytest.mark.parametrize(
    ("ndcg", "words"),
    [
        (0.31, "it ranks better than the most rated items: NDCG@10 0.3100 against 0.1200, 2.58 times as much"),
        (0.06, "it ranks worse than the most rated items: NDCG@10 0.0600 against 0.1200, 0.5 times as much"),
        (0.12, "it ranks no better than the most rated items: NDCG@10 0.1200 against 0.1200"),
    ],
)
def test_the_verdict_on_a_ranking_has_its_factor(ndcg: float, words: str) -> None:
    older: Any = RANKING | {"ndcg": ndcg}
    assert plain(ranking_verdict(older)) == words
    newer: Any = MEASURED | {"ndcg": ndcg}
    assert plain(ranking_verdict(newer)) == f"{words}; a random order: 0.0120"


def test_the_table_of_a_result_has_every_measure_at_every_length() -> None:
    console = Console(width=100)
    with console.capture() as shown:
        console.print(result_table(RunResult(ranking=MEASURED)))
    rows = [re.findall(r"[\w.@]+", line) for line in shown.get().splitlines()]
    assert ["NDCG@10", "0.0600", "0.1200", "0.0120"] in rows
    assert ["NDCG@20", "0.0777", "0.1200"] in rows
    assert ["coverage@10", "0.3000"] in rows
    assert "it ranks worse than the most rated items" in shown.get()


def test_a_figure_without_a_finding_is_described_by_nothing() -> None:
    page = ranking_section(facts(ranking=RANKING))
    assert "aria-labelledby" in page
    assert all(words not in page for words in ("aria-describedby", "says"))
    assert "aria-describedby" in resources(facts())


def test_memory_is_told_beside_its_prediction() -> None:
    above = facts()
    assert "300 MiB, 50 % above the 200 MiB predicted" in plain(resources(above))
    assert "50 % above the 200 MiB predicted" in plain(tiles(above))
    below = facts() | {"memory": {**above["memory"], "predicted_bytes": 400 * 2**20}}
    assert "300 MiB, 25 % below the 400 MiB predicted" in plain(resources(below))


@pytest.mark.parametrize(
    ("values", "rmses", "words"),
    [
        ([9.0, 1.0], [0.9, 0.8], ["The strongest factor holds 99 % of", "Lowest RMSE: 0.8000, with all 2 factors."]),
        (
            [2.0, 2.0, 2.0],
            [0.9, 0.805, 0.8],
            ["The 2 strongest factors hold 67 %", "all 3 factors; 2 come within 1 %."],
        ),
        ([2.0], [0.9], ["The only factor holds all the energy", "with the only factor."]),
        ([2.0, 0.1], [0.9, 1.0], ["with the strongest of 2 factors."]),
    ],
)
def test_factors_are_counted_in_words_that_fit(values: list[float], rmses: list[float], words: list[str]) -> None:
    found = [{"rank": number, "rmse": rmse, "energy": 1.0} for number, rmse in enumerate(rmses, start=1)]
    page = plain(ranks([facts() | {"ranks": found, "spectrum": values}]))
    assert all(each in page for each in words), page


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"ingest": {"ratings": ["/data/ml-1m/ratings.dat"]}}, "ml-1m/ratings.dat"),
        ({"ingest": {"ratings": ["ratings.csv"]}}, "ratings.csv"),
        ({"ingest": {"ratings": ["/data/netflix/"]}}, "netflix"),
        ({"ingest": {"ratings": ["s3://bucket/days/*.parquet", "more.csv"]}}, "days and 1 more"),
        ({"ingest": {"ratings": ["https://host/sets/r.csv?***"]}}, "sets/r.csv"),
        ({"synth": {"shape": "demo", "fraction": 0.03}, "ingest": {"ratings": []}}, "demo, synthetic (3.0 %)"),
        ({}, "ratings"),
    ],
)
def test_data_are_called_by_their_names(settings: dict[str, Any], name: str) -> None:
    assert plain(data_name(settings)) == name


def test_counts_shares_and_times_read_as_people_write_them() -> None:
    assert [counted(1, "row"), counted(38, "row"), counted(1_000, "pass", "passes")] == [
        "1 row",
        "38 rows",
        "1,000 passes",
    ]
    assert [plain(percent(share)) for share in (0.002, 0.083, 0.48, -0.48)] == ["0.2 %", "8.3 %", "48 %", "\u221248 %"]
    assert moment("2026-11-29T08:22:05+00:00") == moment("2026-11-29T09:22:05+01:00") == "29 November 2026, 08:22 UTC"
    assert [moment("2026-01-31"), moment("soon")] == ["31 January 2026", "soon"]


def record(number: int, dataset: str, rmse: float, split: str = "hash 10 %") -> Any:
    return {
        "id": f"20260101T0000{number:02d}", "date": "2026-01-01", "state": "done", "run_id": f"{number:016d}",
        "dataset": dataset, "metrics": {"rmse": rmse, "split": split, "seconds": 1.0},
        "settings": {"ingest": {"ratings": [f"/data/{dataset[:2]}/r.csv"]}},
    }  # fmt: skip


def test_executions_of_different_sets_have_curves_of_their_own() -> None:
    records = [record(number, dataset, 0.9) for number, dataset in enumerate(("aa1", "bb1", "aa1", "bb1", "aa1"))]
    page = index_page(records[::-1], {}, {})
    assert page.count('class="line') == 2 + 2  # two curves, and two keys
    assert "aa/r.csv, hash 10 %: first 0.9000, last 0.9000." in page
    assert "Do not compare RMSEs of different sets." in page
    splits = [record(0, "aa1", 0.9), record(1, "aa1", 0.8, "file"), record(2, "aa1", 0.7)]
    assert "aa/r.csv, file: 0.8000." in index_page(splits, {}, {})
    grown = index_page([record(number, f"aa{number}", 0.9) for number in range(2)], {}, {})
    assert all(f"aa/r.csv, hash 10 %, dataset aa{number}" in grown for number in range(2))


def test_many_sets_do_not_make_many_keys() -> None:
    page = index_page([record(number, f"{number:02d}", 0.9) for number in range(20)], {}, {})
    assert "15 other sets" in page
    assert page.count("<li>") == 6


@pytest.mark.parametrize("exponent", range(-7, 19))
def test_sizes_and_times_are_written_as_dask_writes_them(exponent: int) -> None:
    for factor in (0.95, 1.0, 1.5, 3.6, 6.0, 7.2, 7.3, 8.64, 9.2):
        assert format_bytes(int(factor * 10**exponent)) == dask.utils.format_bytes(int(factor * 10**exponent))
        seconds = factor * 10 ** min(exponent, 9)
        assert format_time(seconds) == dask.utils.format_time(seconds)


def test_several_runs_are_compared_with_units() -> None:
    epochs = [{"epoch": n, "training_rmse": 0.8, "stopping_rmse": 0.9} for n in (1, 2)]
    learning = {"counted": "epochs", "stop_on": "validation", "best_epoch": 2, "epochs": epochs}
    of_epochs, of_passes = (
        facts(ratings=number) | {"ranks": None, "spectrum": None, "learning": learning | {"counted": counted}}
        for number, counted in ((1_500, "epochs"), (None, "passes"))
    )
    page = report_page([of_epochs, of_passes])
    rows = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in page.split("<tr>")]
    cells = {row[0]: row[1:] for row in rows if row}
    assert cells["validation"] == ["hash 10 %, 1,500 ratings", "hash 10 %"]
    assert cells["training"][:2] == ["epoch 2 of 2", "2 passes"]


def fifth(low: float, coverage: list[float]) -> dict[str, Any]:
    return {"low": low, "high": low + 1, "ratings": 60, "coverage": coverage, "deviation": 0.9, "rmse": 1.0}


def test_intervals_are_told_by_their_coverage_and_by_the_fifth_that_is_farthest_off() -> None:
    measured: Any = {
        "ratings": 300, "levels": [0.5, 0.95], "coverage": [0.512, 0.934], "pits": [14, 16],
        "by_deviation": [fifth(0, [0.5, 0.95]), fifth(2, [0.47, 0.83])],
        "by_ratings": [fifth(10, [0.56, 0.95]), fifth(20, [0.5, 0.95])],
        "scores": [{"level": 0.5, "model": 2.0, "constant": 2.2, "best_constant": 2.1}], "constants": [0.7, 0.8],
    }  # fmt: skip
    page = plain(intervals(facts() | {"intervals": measured}))
    assert "Central intervals of 50, 95 % hold 51.2 %, 93.4 % of 300 validation ratings." in page
    assert "Farthest off: the 95 % interval holds 83.0 % at 2 to 3." in page
    assert "Farthest off: the 50 % interval holds 56.0 % at 10 to 11." in page
    assert "0.7000 fits the training ratings, 0.8000 the validation ratings" in page
    assert re.search(r"constant 0\.7000.*constant 0\.8000.*2\.0000.*2\.2000.*2\.1000", page, re.DOTALL)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([90, 7, 3, 0, 0, 0], "1.1 or more for 0.0 % of 100 predictions: the chains nearly agree"),
        ([96, 4, 0, 0, 0, 0], "1.1 or more for 0.0 % of 100 predictions: the chains agree"),
        ([2, 20, 38, 30, 9, 1], "1.1 or more for 40 % of 100 predictions: there chains settle in different optima"),
    ],
)
def test_convergence_is_told_by_the_share_of_predictions_beyond_each_limit(counts: list[int], words: str) -> None:
    measured: Any = {
        "chains": 8, "draws": 16, "r_hat": [1.07, 1.24, 1.6], "effective": [64.0, 12.0],
        "by_r_hat": {"edges": [1.01, 1.05, 1.1, 1.2, 1.5], "counts": counts},
        "by_effective": {"edges": [25.0, 50.0], "counts": [10, 20, 70]},
    }  # fmt: skip
    page = plain(convergence(facts() | {"convergence": measured}))
    assert words in page
    assert "128 draws are worth 64 independent ones in the median, 12 at least" in page
    assert "off by 12 % of their deviation" in page
    assert page.count("1.01, chains agree") == page.count("1.1, chains differ") == 1
    rows = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in page.split("<tr>")]
    numbers = [int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()]
    assert numbers == [*counts, 10, 20, 70]
