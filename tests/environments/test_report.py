"""The report: what a real run leaves, as people see it, and the pages of several runs.

Covers: facts against the run's own figures, what is not there, the pages in a real browser at two widths, light and
dark, accessibility, the commands, and titles that are markup.
Does not cover: the sums (test_breakdown.py), the live page (test_live.py).
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe import axe_script as axe_script
from axe import findings
from browser import browser as browser
from browser import watched
from playwright.sync_api import Browser
from typer.testing import CliRunner
from ungated import UNGATED_SECTION

from funkflow import RunResult, Settings, run
from funkflow.pipeline.cli import program
from funkflow.pipeline.planning.budget import Allowance, Prediction
from funkflow.pipeline.progress.events import Event, StageFinished
from funkflow.pipeline.results.report.card import model_card
from funkflow.pipeline.results.report.fact_parts import quarantined_rows
from funkflow.pipeline.results.report.page import report_page
from funkflow.tasks.parsing.rows.rows import RejectedRow, quarantine_table
from funkflow.tasks.storage import files
from funkflow.tasks.versions import ALGORITHM_VERSION

MOST_BYTES = 3 * 2**20


def settings(root: Path, **train: Any) -> Settings:
    return Settings.build(
        {
            "root": str(root),
            "synth": {"shape": "demo", "fraction": 0.03},
            "train": {"rank": 6, "epochs": 4} | train,
            "report": {"least_ratings": 5},
            "gate": UNGATED_SECTION,
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RunResult]]:
    """Two runs under one root, and its folder."""
    root = tmp_path_factory.mktemp("reported")
    with pytest.MonkeyPatch.context() as patch:  # as named from the folder that it lies in
        patch.chdir(root.parent)
        first = run(settings(Path(root.name)))
    return root, [first, run(settings(root, rank=3))]


@pytest.fixture(scope="module")
def facts(made: tuple[Path, list[RunResult]]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(made[1][0].paths["run"]) / "report" / "facts.json").read_text())
    return found


def test_the_facts_are_those_of_the_run(made: tuple[Path, list[RunResult]], facts: Any) -> None:
    result = made[1][0]
    errors = facts["errors"]
    for bins in (errors["by_user_activity"], errors["by_item_popularity"], errors["by_value"], errors["by_time"]):
        count = sum(each["ratings"] for each in bins)
        squared = sum(each["rmse"] ** 2 * each["ratings"] for each in bins)
        assert count == facts["verdict"]["ratings"] == facts["data"]["validation"]
        assert math.sqrt(squared / count) == pytest.approx(result.rmse, rel=1e-5)
    assert sum(errors["residuals"]["counts"]) == count
    assert facts["verdict"]["rmse"] == result.rmse
    data = facts["data"]
    assert sum(data["values"]["training"]) == data["training"]
    assert sum(data["by_time"]["ratings"]) == data["ratings"]
    assert sum(data["user_counts"]["ratings"]) == sum(data["item_counts"]["ratings"]) == data["training"]
    assert sum(data["user_counts"]["rows"]) == data["users"]
    assert [each["ratings"] for each in data["top_items"]] == sorted(
        (each["ratings"] for each in data["top_items"]), reverse=True
    )
    assert len(facts["learning"]["epochs"]) == result.epochs
    assert len(facts["ranks"]) == len(facts["spectrum"]) == 6
    assert facts["ranks"][-1]["rmse"] == pytest.approx(result.rmse, rel=1e-5)
    assert len(facts["factors"]) == 6
    for factor in facts["factors"]:
        assert factor["low"][0]["value"] < 0 < factor["high"][0]["value"]
        assert all(each["ratings"] >= 5 and each["title"] for end in ("low", "high") for each in factor[end])
    tasks = facts["time"]["tasks"]
    assert {"descend", "parse"} <= set(tasks["kinds"])
    loads = [kind for kind in tasks["kinds"] if kind.startswith("load-blocks")]
    assert loads == ["load-blocks-baseline"]  # training takes them over
    assert tasks["kinds"].count("count") == 1
    assert [each["stage"] for each in facts["time"]["stages"]][:3] == ["cluster", "synth", "ingest"]
    assert facts["memory"]["peak_bytes"] > 0
    assert facts["convergence"] is None  # of draws alone
    assert 'id="convergence"' not in report_page([facts])


def test_the_model_card_lies_beside_it_and_its_code_runs(
    made: tuple[Path, list[RunResult]], facts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_folder = Path(made[1][0].paths["run"])
    card = (run_folder / "model-card.md").read_text()
    assert card == model_card(facts)
    assert f"algorithm version {ALGORITHM_VERSION}" in card
    assert f"{facts['verdict']['biases_mae']:.4f}" in card
    monkeypatch.chdir(run_folder)
    exec(card.split("```python\n")[1].split("```")[0], {})


def test_its_command_is_the_same_run_from_any_folder_and_keeps_the_report(
    made: tuple[Path, list[RunResult]], facts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, (first, _) = made
    (root / "receipts").rename(root / "receipts-away")  # so that the stages are gone through
    events: list[Event] = []
    monkeypatch.chdir(tmp_path)
    program_name, command, file = shlex.split(facts["run"]["repeat"])
    assert (program_name, command) == ("funkflow", "run")
    again = run(file, listeners=[events.append])
    assert list(tmp_path.iterdir()) == []
    assert again.run_id == first.run_id
    assert again.paths == first.paths
    assert [event.reused for event in events if isinstance(event, StageFinished) and event.stage == "report"] == [True]


def test_it_can_be_turned_off(made: tuple[Path, list[RunResult]], tmp_path: Path) -> None:
    root, _ = made
    without = settings(tmp_path).model_copy(
        update={"report": settings(root).report.model_copy(update={"write": False})}
    )
    assert "report" not in run(without).paths


def test_spectrum_and_report_ask_whether_the_model_can_be_scored(
    made: tuple[Path, list[RunResult]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    shutil.rmtree(copy / "receipts")
    kept = copy / "runs" / str(made[1][0].run_id)
    for manifest in ("model/spectrum", "report"):
        (kept / manifest / "manifest.json").unlink()
    asked: list[Prediction] = []
    monkeypatch.setattr(Allowance, "refuse_scoring", lambda _, prediction: asked.append(prediction))
    again = run(settings(copy))
    assert again.run_id == made[1][0].run_id
    assert len(asked) == 2
    assert again.predicted_memory_bytes >= asked[0].scoring_bytes > 0
    assert asked[0].scoring_worker_bytes > 0


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(browser: Browser, made: tuple[Path, list[RunResult]], width: int, scheme: Any) -> None:
    page_file = Path(made[1][0].paths["report"])
    assert page_file.stat().st_size < MOST_BYTES
    with watched(browser, width, scheme=scheme) as seen:
        page = seen.page
        page.goto(page_file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(_EMPTY_PARTS) == []
        assert page.evaluate(_OVERLAPS) == []
        assert page.evaluate(_EMPTY_ROWS) == []
        assert page.evaluate(_BACKGROUND) == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 29)"}[scheme]
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#main"
        page.get_by_role("button", name="light or dark").click()
        assert page.evaluate("document.documentElement.dataset.scheme") != scheme
        assert (seen.errors, seen.left_the_machine) == ([], [])
        assert page.pdf()[:4] == b"%PDF"


def test_the_words_of_figures_can_be_read_on_a_phone(browser: Browser, made: tuple[Path, list[RunResult]]) -> None:
    with watched(browser, 420) as seen:
        seen.page.goto(Path(made[1][0].paths["report"]).as_uri())
        assert min(seen.page.evaluate(_LETTERS)) >= 11


def test_without_a_script_it_is_dark_where_the_system_is(browser: Browser, made: tuple[Path, list[RunResult]]) -> None:
    context = browser.new_context(java_script_enabled=False, color_scheme="dark")
    page = context.new_page()
    page.goto(Path(made[1][0].paths["report"]).as_uri())
    assert page.evaluate(_BACKGROUND) == "rgb(20, 23, 29)"
    context.close()


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_keeps_anybody_out(
    browser: Browser, made: tuple[Path, list[RunResult]], axe_script: str, tmp_path: Path, scheme: Any
) -> None:
    """The pages of one run, of two, and of all, by the rules of axe-core."""
    root, (first, second) = made
    every, both = tmp_path / "every.html", tmp_path / "both.html"
    root_words = ["--root", str(root)]
    for asked in (["runs", "--html", "--out", str(every)], ["report", str(first.run_id), str(second.run_id)]):
        out = [] if "--out" in asked else ["--out", str(both)]
        assert CliRunner().invoke(program(), [*asked, *out, *root_words]).exit_code == 0
    for page_file in (Path(first.paths["report"]), both, every):
        with watched(browser, scheme=scheme) as seen:
            seen.page.goto(page_file.as_uri())
            assert findings(seen.page, axe_script) == []


_EMPTY_PARTS = """() => [...document.querySelectorAll('section')]
    .filter(s => !s.querySelector('svg.plot, table, dl, .none')).map(s => s.id)"""
_OVERLAPS = """() => [...document.querySelectorAll('svg.plot')].flatMap(svg => {
  const frame = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')].map(t => [t.textContent,
    t.getBoundingClientRect()]), found = [];
  texts.forEach(([a, r], i) => {
    if (r.left < frame.left - 2 || r.right > frame.right + 2 || r.bottom > frame.bottom + 2) found.push('cut: ' + a);
    texts.slice(i + 1).forEach(([b, q]) => { if (Math.min(r.right, q.right) - Math.max(r.left, q.left) > 1 &&
      Math.min(r.bottom, q.bottom) - Math.max(r.top, q.top) > 2) found.push(a + ' over ' + b); });
  });
  return found;
})"""
_EMPTY_ROWS = """() => [...document.querySelectorAll('.figures')].filter(row => {
  const whole = row.getBoundingClientRect(), last = row.lastElementChild.getBoundingClientRect();
  return last.right < whole.right - 0.4 * whole.width; }).map(row => row.parentElement.id)"""
_LETTERS = """() => [...document.querySelectorAll('svg.plot')].map(svg =>
  parseFloat(getComputedStyle(svg.querySelector('text')).fontSize)
  * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"""
_BACKGROUND = "() => getComputedStyle(document.body).backgroundColor"


def test_the_commands_make_pages_of_one_run_of_several_and_of_all(
    browser: Browser, made: tuple[Path, list[RunResult]], tmp_path: Path
) -> None:
    root, (first, second) = made
    assert first.run_id is not None
    assert second.run_id is not None
    words = ["--root", str(root)]
    one, both, every = (tmp_path / name for name in ("one.html", "both.html", "every.html"))
    for asked in (
        ["report", first.run_id, "--out", str(one)],
        ["report", first.run_id[:6], second.run_id[:6], "--out", str(both)],
        ["runs", "--html", "--out", str(every)],
    ):
        done = CliRunner().invoke(program(), [*asked, *words])
        assert done.exit_code == 0, done.output
    assert one.read_text() == Path(first.paths["report"]).read_text()
    for page_file, shown in ((both, ["train.rank", "0.", first.run_id[:8]]), (every, ["done", second.run_id[:8]])):
        with watched(browser) as seen:
            seen.page.goto(page_file.as_uri())
            text = seen.page.inner_text("body")
            assert all(word in text for word in shown)
            assert seen.page.evaluate(_OVERLAPS) == []
            assert (seen.errors, seen.left_the_machine) == ([], [])
    assert every.read_text().count('class="spark"') >= 2
    missing = CliRunner().invoke(program(), ["report", "nosuch", *words])
    assert "no such record" in str(missing.exception)


def test_quarantined_rows_are_named_with_their_reasons(facts: Any, tmp_path: Path) -> None:
    rows = tuple(RejectedRow("r.csv", line, "7,x,<b>", f"'<b>{line}' is no rating", "") for line in range(2, 40))
    url = str(tmp_path / "quarantine.parquet")
    files.write_table(url, quarantine_table(rows))
    found = quarantined_rows(len(rows), url)
    assert found is not None
    assert (found["rows"], len(found["first"])) == (38, 10)
    assert found["first"][0] == {"file": "r.csv", "line": 2, "reason": "'<b>2' is no rating"}
    with_rows: Any = {**facts, "data": {**facts["data"], "quarantined": found}}
    page = report_page([with_rows])
    assert "38 rows, in" in page
    assert "&lt;b&gt;2&#39; is no rating" in page
    assert quarantined_rows(0, url) is None


def test_what_is_not_there_is_said(facts: Any) -> None:
    bare: Any = {**facts, "ranks": None, "spectrum": None, "errors": None, "factors": None}
    bare["data"] = {**facts["data"], "by_time": None, "values": None, "user_counts": None, "item_counts": None}
    bare["time"] = {"stages": [], "tasks": None}
    bare["verdict"] = {**facts["verdict"], "rmse": None}
    bare["memory"] = {"peak_bytes": 0, "predicted_bytes": None, "by_stage": []}
    page = report_page([bare])
    assert page.count('class="none"') >= 10
    assert "was not measured" in page


def test_markup_in_titles_and_settings_stays_words(facts: Any) -> None:
    evil = "<script>alert(1)</script>&\"'"
    spoilt = json.loads(json.dumps(facts))
    spoilt["factors"][0]["low"][0]["title"] = spoilt["data"]["top_items"][0]["title"] = evil
    spoilt["verdict"]["split"] = spoilt["run"]["settings"]["root"] = spoilt["run"]["run_id"] = evil
    spoilt["time"]["tasks"]["kinds"][0] = evil
    for page in (report_page([spoilt]), report_page([spoilt, facts])):
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page
