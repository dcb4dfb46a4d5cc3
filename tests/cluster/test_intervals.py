"""Intervals of a run's own draws, against the files that the sampler wrote.

Covers: the kept draws in the exported model (pipeline/stages/export.py), `Model.intervals`, `predict.intervals`,
`recommend.by`, `Model.fold_in_draws`, the calibration of a run and its part of the report.
Does not cover: whether the draws are of the posterior, the files of draws
(tests/unit/test_drawn_rows.py), quantiles (tests/unit/test_mixture.py), orders
one by one (tests/unit/test_orders_by_draws.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest
from distributed import Client
from posterior_runs import NOISE, planted_frame, posterior_settings
from program import funkflow

from funkflow import Model, RunResult, run
from funkflow.pipeline.root.manifests import Training
from funkflow.pipeline.root.model_manifests import Calibration
from funkflow.tasks.errors import BadInput, DamagedFile, SettingsError
from funkflow.tasks.model.about import read_about, refuse_missing_parts
from funkflow.tasks.model.draws.intervals import intervals_of
from funkflow.tasks.serving.recommend import recommend_to
from funkflow.tasks.storage import files, npy

DRAWS, RANK = 24, 2
PAIRS = pd.DataFrame({"user": [1003, 1003, 1100, 77, 1003, 77], "item": [5001, 5040, 5001, 5001, 4, 4]})
"""Pairs that the model has, and then a user, an item, and both that it does not have."""


@pytest.fixture(scope="module")
def ran(client: Client, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    folder = tmp_path_factory.mktemp("posterior")
    PAIRS.to_csv(folder / "pairs.csv", index=False)
    predict = {"pairs": str(folder / "pairs.csv"), "intervals": True}
    return run(posterior_settings(folder, client, predict=predict, report={}))


@pytest.fixture(scope="module")
def model(ran: RunResult) -> Model:
    return Model.load(ran.paths["model"])


def ratings_of(user: int) -> dict[int, float]:
    """Return all ratings of a user, also those that validate."""
    own = planted_frame().query("user == @user")
    return dict(zip(own["item"].tolist(), own["rating"].tolist(), strict=True))


def drawn_predictions(ran: RunResult, model: Model) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what the sampler's rows say.

    Predictions of each draw for all pairs of ids, float64 (D, users, items), and noise variances, float64 (D, users).
    """
    training = Training.published(files.join(ran.paths["run"], "training"))
    assert training is not None
    assert training.posterior is not None
    whole, variances = [], []
    for draw in training.posterior.kept:
        sides = []
        for entries, ids in ((draw.users, model.user_ids), (draw.items, model.item_ids)):
            folder = files.join(ran.paths["run"], "checkpoints")
            rows = np.concatenate([npy.read_array(files.join(folder, entry.path)) for entry in entries])
            sides.append(rows.astype(np.float64)[np.argsort(ids)])
        whole.append(training.steps.mean + training.steps.deviation * sides[0][:, :-1] @ sides[1].T)
        variances.append(training.steps.deviation**2 * sides[0][:, -1])
    return np.array(whole), np.array(variances)


def noise_factors_at(model: Model, predicted: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what multiplies the variance of the noise at these predictions."""
    by_rating = model.about["draws"]["noise_by_rating"]
    return np.array(by_rating["factors"])[np.searchsorted(by_rating["edges"], predicted, side="right")]


def test_the_draws_of_the_model_are_those_of_the_sampler_in_rating_units(ran: RunResult, model: Model) -> None:
    whole, variances = drawn_predictions(ran, model)
    users, items = np.sort(model.user_ids), np.sort(model.item_ids)
    pairs = np.array([(a, b) for a in range(0, len(users), 7) for b in range(0, len(items), 5)])
    found = model.intervals(users[pairs[:, 0]], items[pairs[:, 1]])
    wanted = whole[:, pairs[:, 0], pairs[:, 1]]
    least, greatest = model.scale or (0.0, 0.0)
    np.testing.assert_allclose(found["mean"], np.clip(wanted.mean(axis=0), least, greatest), atol=1e-5)
    noise = noise_factors_at(model, wanted.mean(axis=0)) * variances[:, pairs[:, 0]].mean(axis=0)
    np.testing.assert_allclose(found["deviation"] ** 2, wanted.var(axis=0) + noise, rtol=1e-4)


def test_files_of_draws_have_the_raw_ids_and_order_of_the_factors(ran: RunResult) -> None:
    for side in ("user", "item"):
        draws, factors = (pq.read_table(f"{ran.paths['model']}/{side}_{name}.parquet") for name in ("draws", "factors"))
        assert draws["raw_id"].equals(factors["raw_id"])
        assert draws.schema.field("draws").type.list_size == DRAWS * (RANK + 1)


def test_the_noise_is_a_deviation_in_rating_units(model: Model) -> None:
    assert np.mean(model.about["draws"]["noise"]) == pytest.approx(NOISE, rel=0.1)


def test_each_level_holds_that_part_of_what_is_drawn(ran: RunResult, model: Model) -> None:
    """A rating is a draw's prediction and noise: simulated, as many lie below each end as it says."""
    (whole, variances), rng = drawn_predictions(ran, model), np.random.default_rng(0)
    user, item = np.sort(model.user_ids)[4], np.sort(model.item_ids)[9]
    factor = noise_factors_at(model, whole[:, 4, 9].mean())
    noise = np.sqrt(factor * variances[:, 4])
    ratings = whole[:, 4, 9] + noise * rng.normal(size=(200_000, DRAWS))
    found = model.intervals([user], [item], levels=(0.5, 0.9)).iloc[0]
    for level in (50, 90):
        inside = (ratings > found[f"lower_{level}"]) & (ratings < found[f"upper_{level}"])
        assert inside.mean() == pytest.approx(level / 100, abs=0.003)


def test_who_is_not_in_the_model_has_wider_intervals(model: Model) -> None:
    known, _, _, new_user, new_item, both = model.intervals(PAIRS["user"], PAIRS["item"])["deviation"]
    assert known < new_user < both
    assert known < new_item < both


def test_intervals_stay_on_the_scale_and_around_the_mean(model: Model) -> None:
    frame = planted_frame()
    found = model.intervals(frame["user"], frame["item"])
    assert model.scale is not None
    assert found["lower_95"].min() >= model.scale[0]
    assert found["upper_95"].max() <= model.scale[1]
    ordered = found[["lower_95", "lower_80", "lower_50", "mean", "upper_50", "upper_80", "upper_95"]].to_numpy()
    assert (np.diff(ordered, axis=1) >= 0).all()


def test_a_run_writes_the_intervals_of_its_pairs(ran: RunResult, model: Model) -> None:
    written = pq.read_table(files.join(ran.paths["predictions"], "predictions.parquet")).to_pandas()
    wanted = model.intervals(PAIRS["user"], PAIRS["item"]).astype(np.float32)
    pd.testing.assert_frame_equal(written[wanted.columns.tolist()], wanted)
    assert written["user"].tolist() == PAIRS["user"].tolist()


def test_the_command_writes_the_same_intervals(ran: RunResult, model: Model, tmp_path: Path) -> None:
    PAIRS.to_csv(tmp_path / "pairs.csv", index=False)
    words = ("--model", ran.paths["model"], "--pairs", f"{tmp_path}/pairs.csv", "--out", f"{tmp_path}/out")
    done = funkflow("predict", *words, "--intervals")
    assert done.returncode == 0, done.stderr
    written = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pandas()
    wanted = model.intervals(PAIRS["user"], PAIRS["item"]).astype(np.float32)
    pd.testing.assert_frame_equal(written[wanted.columns.tolist()], wanted)


def test_the_command_refuses_a_model_without_draws_in_one_line(model: Model, tmp_path: Path) -> None:
    PAIRS.to_csv(tmp_path / "pairs.csv", index=False)
    model.save(str(tmp_path / "saved"))
    words = ("--model", f"{tmp_path}/saved", "--pairs", f"{tmp_path}/pairs.csv", "--out", f"{tmp_path}/out")
    done = funkflow("predict", *words, "--intervals")
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if "train.keep_draws" in line] == done.stderr.splitlines()[-1:]


def test_levels_that_are_no_parts_are_refused(model: Model) -> None:
    with pytest.raises(BadInput, match="level 80 is not between 0 and 1"):
        model.intervals([1003], [5001], levels=(80,))


def test_a_model_without_draws_is_refused_by_the_name_of_the_setting(model: Model, tmp_path: Path) -> None:
    model.save(str(tmp_path / "saved"))
    with pytest.raises(BadInput, match=r"no draws.*train\.keep_draws") as refused:
        Model.load(str(tmp_path / "saved")).intervals([1003], [5001])
    assert "\n" not in str(refused.value)


def test_a_new_user_with_few_ratings_has_wider_intervals(model: Model) -> None:
    own = ratings_of(1003)
    items = [item for item in np.sort(model.item_ids).tolist() if item not in own]
    few, many = (model.fold_in_draws(dict(list(own.items())[:count])) for count in (2, len(own)))
    spread = {name: model.intervals(row, items)["deviation"].mean() for name, row in (("few", few), ("many", many))}
    nobody = model.intervals([77] * len(items), items)["deviation"].mean()
    draws, places = replace(model.draws_for("intervals"), user_noise=None), np.array(model.known_rows(items, "items"))
    user = np.repeat(np.asarray(model.known_rows([1003], "users")), len(places))
    known = intervals_of(draws, user, places, ())[:, 1].mean()
    assert spread["many"] < spread["few"] < nobody
    assert spread["many"] == pytest.approx(known, rel=0.05)


def test_a_new_user_with_the_ratings_of_a_known_one_has_their_predictions(model: Model) -> None:
    own = ratings_of(1003)
    items = np.sort(model.item_ids)
    new, known = (model.intervals(who, items)["mean"] for who in (model.fold_in_draws(own), [1003] * len(items)))
    assert np.sqrt(np.mean((new - known) ** 2)) < 0.25 * np.std(known)


def test_recommendations_of_a_run_are_those_of_the_model_by_the_same_order(ran: RunResult, model: Model) -> None:
    for by in ("lower", "thompson"):
        rows = recommend_to(ran.paths["model"], [1003, 1100], 5, by)
        for user in (1003, 1100):
            items, scores = model.recommend(user, 5, by=by)
            own = [row for row in rows if row["user"] == user]
            assert [row["item"] for row in own] == items.tolist()
            np.testing.assert_allclose([row["score"] for row in own], scores, atol=1e-4)


def test_a_lower_quantile_is_below_the_mean_and_an_upper_one_above(model: Model) -> None:
    items = model.recommend(1003, 60, by="lower", exclude=()).items
    by = {name: model.recommend(1003, 60, by=name, exclude=()) for name in ("lower", "upper")}
    scores = {name: dict(zip(found.items.tolist(), found.scores, strict=True)) for name, found in by.items()}
    assert all(scores["lower"][item] < scores["upper"][item] for item in items.tolist())


def test_settings_that_need_draws_are_refused_before_training(client: Client, tmp_path: Path) -> None:
    chosen = posterior_settings(tmp_path, client, train={"keep_draws": 0}, recommend={"count": 3, "by": "upper"})
    with pytest.raises(SettingsError, match=r"recommend\.by = upper needs draws.*train\.keep_draws"):
        run(chosen)
    assert not (tmp_path / "root" / "datasets").exists()


def test_an_order_by_draws_is_refused_for_a_model_without_them(model: Model, tmp_path: Path) -> None:
    model.save(str(tmp_path / "saved"))
    with pytest.raises(BadInput, match=r"recommend\.by = thompson: this model has no draws.*train\.keep_draws"):
        Model.load(str(tmp_path / "saved")).recommend(1003, by="thompson", exclude=())


def test_a_run_measures_how_well_its_intervals_hold(ran: RunResult) -> None:
    found = Calibration.published(files.join(ran.paths["run"], "calibration"))
    assert found is not None
    assert found.ratings == ran.evaluation["ratings"] == sum(found.pits)
    assert found.step == 0.0
    assert found.coverage == pytest.approx((0.5, 0.8, 0.95), abs=0.1)
    assert all(score.model < 1.1 * score.best_constant for score in found.scores)


def test_the_report_shows_how_well_intervals_hold(ran: RunResult) -> None:
    page = Path(ran.paths["report"]).read_text(encoding="utf-8")
    assert page.count("Coverage by") == 2 * page.count("Where ratings lie in their distributions") > 0
    assert "Mean interval score" in page


def test_the_report_draws_the_convergence_that_the_manifest_has(ran: RunResult) -> None:
    training = Training.published(files.join(ran.paths["run"], "training"))
    assert training is not None
    assert training.posterior is not None
    record = training.posterior
    assert record.by_r_hat is not None
    assert record.by_effective is not None
    drawn = files.read_json(files.join(ran.paths["run"], "report", "facts.json"))["convergence"]
    assert drawn["by_r_hat"] == record.by_r_hat.content()
    assert drawn["by_effective"] == record.by_effective.content()
    assert 0 < sum(record.by_r_hat.counts) == sum(record.by_effective.counts) <= ran.evaluation["ratings"]
    first = sum(edge <= record.r_hat[2] for edge in record.by_r_hat.edges)
    assert max(place for place, count in enumerate(record.by_r_hat.counts) if count) == first
    assert Path(ran.paths["report"]).read_text(encoding="utf-8").count('id="convergence"') == 1


def test_priors_of_draws_that_are_lost_are_a_clear_line_and_come_back_with_the_next_run(
    client: Client, tmp_path: Path
) -> None:
    chosen = posterior_settings(tmp_path, client)
    model = Path(run(chosen).paths["model"])
    priors, draws = model / "draw_priors.parquet", model / "user_draws.parquet" / "part.00001.parquet"
    whole = {path: path.read_bytes() for path in (priors, draws)}
    for path, content in whole.items():
        path.unlink()
        with pytest.raises(DamagedFile, match=path.name):
            refuse_missing_parts(str(model), read_about(str(model)))
        assert run(chosen).paths["model"] == str(model)
        assert path.read_bytes() == content


def test_draws_and_calibration_have_the_same_bits_in_one_process(
    ran: RunResult, client: Client, tmp_path: Path
) -> None:
    twin = run(posterior_settings(tmp_path, client, cluster={"processes": "one"}))
    for side in ("user", "item"):
        one, other = (Path(each.paths["model"]) / f"{side}_draws.parquet/part.00001.parquet" for each in (ran, twin))
        assert one.read_bytes() == other.read_bytes()
    factors = [Model.load(each.paths["model"]).about["draws"]["noise_by_rating"] for each in (ran, twin)]
    assert factors[0] == factors[1]
    assert len(factors[0]["factors"]) == 6  # of 500 ratings or more
    found = [Calibration.published(files.join(each.paths["run"], "calibration")) for each in (ran, twin)]
    assert found[0] is not None
    assert found[0].content()["pits"] == found[1].content()["pits"] if found[1] else False
