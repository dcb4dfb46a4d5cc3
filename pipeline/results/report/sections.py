"""Sections of the page about one run; a line says why a section is missing.

Covers: the run, how it learnt, its factors, time and memory, and how to repeat it.
Does not cover: their order (page.py), the ratings (ratings.py), ranking (ranking.py), errors (errors.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from funkflow.pipeline.progress.words import counted, duration, listed, mebibytes, moment, percent
from funkflow.pipeline.results.report.bars import row_figure
from funkflow.pipeline.results.report.charts import line_figure, timeline_figure
from funkflow.pipeline.results.report.drawing import Figure, Series
from funkflow.pipeline.results.report.facts import (
    LearningFacts,
    MemoryFacts,
    RankFacts,
    ReportFacts,
    StageSeconds,
    TaskTimes,
)
from funkflow.pipeline.results.report.pieces import absent, figures, piece
from funkflow.pipeline.results.report.ratings import item_name
from funkflow.pipeline.settings.methods import ALL_METHODS
from funkflow.tasks.digits import rounded

_MIB = 2**20
_CLOSE = 1.01
"""A truncation with at most this multiple of the least RMSE is as good for most uses."""
_STOPPED = {"validation": "the validation ratings", "slice": "a slice of the training ratings"}


def run_summary(facts: ReportFacts) -> Markup:
    """Return the names and sizes of the run."""
    run, learning = facts["run"], facts["learning"]
    several, best = learning["counted"], learning["best_epoch"]
    one, done = several.removesuffix("es" if several == "passes" else "s"), len(learning["epochs"])
    ranked = learning.get("ranked")
    measure = f" NDCG@{ranked['places']}" if ranked else ""
    chosen = f", best{measure} on {_STOPPED[learning['stop_on']]}" if learning["stop_on"] in _STOPPED else ""
    which = f"epoch {best}" if best else "the start model"
    kept = {"epochs": f"; kept {which}{chosen}", "passes": f"; kept {counted(best, 'factor')}{chosen}"}
    settings = run["settings"]
    rows = [
        *_ratings_source(settings),
        ("model", f"{counted(run['rank'], 'factor')}, {_description(run['method'])}"),
        ("training", f"{counted(done, one, several)}{kept.get(several, '')}"),
        ("grid", f"{run['shards']} × {run['shards']} blocks" if run["shards"] > 1 else "one block"),
        ("finished", moment(run["ended"])),
        ("run", run["run_id"]),
        ("execution", run["execution"]),
    ]
    return piece("definitions", rows)


def _description(method: str) -> str:
    """Return the description of a method; the name of one that this version lacks."""
    return ALL_METHODS[method].description if method in ALL_METHODS else method


def _ratings_source(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the origin of the ratings."""
    synth, paths = settings.get("synth"), settings.get("ingest", {}).get("ratings") or []
    made = [("ratings", f"synthetic, shape {synth.get('shape')}, seed {synth.get('seed')}")] if synth else []
    return [*made, *([("ratings from", listed([str(path) for path in paths]))] if paths else [])]


def learning(several: Sequence[ReportFacts]) -> Markup:
    """Return the curves of one run, or of several over each other; those of NDCG where it decided."""
    drawn = [_curves_of_one(several[0]) if len(several) == 1 else _curves_of_several(several)]
    return figures(*_ndcg_curves(several), *drawn)


def _ndcg_curves(several: Sequence[ReportFacts]) -> list[Markup]:
    """Return the figure of the NDCGs by epoch, if there are any."""
    known = [(facts, ranked) for facts in several if (ranked := facts["learning"].get("ranked"))]
    if not known:
        return []
    longest, (first, ranked) = max(len(each["ndcg"]) for _, each in known), known[0]
    at = f"NDCG@{ranked['places']}" if len({each["places"] for _, each in known}) == 1 else "NDCG"
    says, kept = "", None
    curves = [Series(short(facts), _pad(each["ndcg"], longest)) for facts, each in known]
    rules: list[tuple[str, float]] = []
    if len(several) == 1:
        learned, found = first["learning"], ranked["ndcg"]
        curves, rules = [Series(_held_out(learned), found)], _start_rule(learned)
        over = f", over {counted(ranked['users'], 'user')} with a relevant validation rating"
        says = _kept_words(learned, at, [f"{each:.4f}" for each in found], over)
        kept = _kept_line(learned)
    figure = Figure(f"{at} by epoch", says, "epoch", at)
    return [line_figure(figure, list(range(1, longest + 1)), curves, rules, kept=kept)]


def _kept_words(found: LearningFacts, measure: str, scores: Sequence[str], over: str = "") -> str:
    """Return a sentence about the kept epoch and its score; `measure` names the score."""
    best, epochs = found["best_epoch"], len(scores)
    if best:
        return f"Kept epoch {best} of {epochs}: {measure} {scores[best - 1]}{over}."
    return f"Kept the start model: {counted(epochs, 'epoch')} did not improve the {measure}{over}."


def _kept_line(found: LearningFacts) -> tuple[str, float] | None:
    best = found["best_epoch"]
    return (f"kept epoch {best}", float(best)) if best and len(found["epochs"]) > 1 else None


def _start_rule(found: LearningFacts) -> list[tuple[str, float]]:
    return [("start model", found["start"])] if "start" in found else []


def _curves_of_one(facts: ReportFacts) -> Markup:
    found, biases = facts["learning"], facts["verdict"].get("biases_rmse")
    epochs = found["epochs"]
    held_out = _held_out(found)
    curves = [Series("training", [each["training_rmse"] for each in epochs]),
              Series(held_out, [each["stopping_rmse"] for each in epochs])]  # fmt: skip
    curves = [each for each in curves if any(value is not None for value in each.values)]
    rules = [("bias baseline", biases)] if biases else []
    rules += [] if found.get("ranked") else _start_rule(found)
    one = {"passes": "pass"}.get(found["counted"], found["counted"].removesuffix("s"))
    counts_epochs = found["counted"] == "epochs"
    says = ""
    if counts_epochs and epochs[-1]["stopping_rmse"] is not None:
        says = _kept_words(found, f"{held_out} RMSE", [rounded(each["stopping_rmse"]) for each in epochs])
    figure = Figure(f"RMSE by {one}", says, one, "RMSE")
    kept = _kept_line(found) if counts_epochs else None
    return line_figure(figure, [each["epoch"] for each in epochs], curves, rules, kept=kept)


def _held_out(found: LearningFacts) -> str:
    return {"slice": "early-stopping slice"}.get(found["stop_on"], "validation")


def _curves_of_several(several: Sequence[ReportFacts]) -> Markup:
    longest = max(len(facts["learning"]["epochs"]) for facts in several)
    curves = [Series(short(facts), [_judged_rmse(facts, number) for number in range(longest)]) for facts in several]
    says = "Validation RMSE; training RMSE of a run without validation ratings."
    figure = Figure("RMSE by epoch", says, "epoch", "RMSE")
    return line_figure(figure, list(range(1, longest + 1)), curves)


def _judged_rmse(facts: ReportFacts, number: int) -> float | None:
    epochs = facts["learning"]["epochs"]
    if number >= len(epochs):
        return None
    stopping = epochs[number]["stopping_rmse"]
    return epochs[number]["training_rmse"] if stopping is None else stopping


def short(facts: ReportFacts) -> str:
    """Return the beginning of a run's id, and its rank."""
    return f"{facts['run']['run_id'][:8]}, rank {facts['run']['rank']}"


def ranks(several: Sequence[ReportFacts]) -> Markup:
    """Return RMSE against rank and the singular values, of one run or of several."""
    return figures(_truncation_figure(several), _singular_values(several))


def _truncation_figure(several: Sequence[ReportFacts]) -> Markup:
    known = [(facts, found) for facts in several if (found := facts.get("ranks"))]
    if not known:
        return absent("RMSE by number of factors", "No validation ratings")
    most = max(len(found) for _, found in known)
    curves = [Series(short(facts), _pad([each["rmse"] for each in found], most)) for facts, found in known]
    says = _best_rank(known[0][1]) if len(several) == 1 else ""
    figure = Figure("RMSE by number of factors", says, "strongest factors", "validation RMSE")
    return line_figure(figure, list(range(1, most + 1)), curves)


def _best_rank(found: Sequence[RankFacts]) -> str:
    best = min(found, key=lambda each: each["rmse"])
    close = next(each["rank"] for each in found if each["rmse"] <= _CLOSE * best["rmse"])
    says = f"Lowest RMSE: {rounded(best['rmse'])}, with {_share_of(best['rank'], len(found))}"
    if close >= best["rank"]:
        return f"{says}."
    return f"{says}; {'the strongest alone comes' if close == 1 else f'{close} come'} within 1\u00a0%."


def _share_of(number: int, every: int) -> str:
    if every == 1:
        return "the only factor"
    if number == every:
        return f"all {every} factors"
    return f"the strongest of {every} factors" if number == 1 else f"the {number} strongest of {every} factors"


def _singular_values(several: Sequence[ReportFacts]) -> Markup:
    known = [(facts, values) for facts in several if (values := facts.get("spectrum"))]
    if not known:
        return absent("Singular values", "The run computed no spectrum")
    most = max(len(values) for _, values in known)
    curves = [Series(short(facts), _pad(values, most)) for facts, values in known]
    says = _half(known[0][1]) if len(several) == 1 else ""
    figure = Figure("Singular values", says, "factor", "singular value")
    every = [value for _, values in known for value in values]
    return line_figure(figure, list(range(1, most + 1)), curves, y_log=min(every) > 0)


def _half(values: Sequence[float]) -> str:
    """Return how many of the strongest factors hold half of the energy."""
    if len(values) == 1:
        return "The only factor holds all the energy."
    sums = list(accumulate(value * value for value in values))
    half = next(n for n, above in enumerate(sums, start=1) if 2 * above >= sums[-1])
    few = "The strongest factor holds" if half == 1 else f"The {half} strongest factors hold"
    share = percent(sums[half - 1] / sums[-1]) if sums[-1] else "none"
    return f"{few} {share} of the energy (sum of squared singular values)."


def _pad(values: Sequence[float], length: int) -> list[float | None]:
    return [*values, *([None] * (length - len(values)))]


def factor_table(facts: ReportFacts) -> Markup:
    """Return the strongest factors, with the items at their ends."""
    found = facts["factors"]
    if not found:
        return absent("Factors", "No item has enough ratings (report.least_ratings)")
    rows = [
        (
            Markup("{}<small>{}</small>").format(each["factor"], percent(each["share"])),
            *(piece("ends", [item_name(item) for item in each[end]]) for end in ("low", "high")),
        )
        for each in found
    ]
    words = "The two ends of a factor appeal to different users; their order is arbitrary."
    heads = ("factor, % of energy", "one end", "other end")
    return piece("paragraphs", [words]) + piece("table", "strongest factors", heads, rows)


def resources(facts: ReportFacts) -> Markup:
    """Return the times of stages and tasks, and the memory of stages."""
    return figures(
        _stage_seconds(facts["time"]["stages"]), _stage_memory(facts["memory"]), _task_times(facts["time"]["tasks"])
    )


def _stage_seconds(stages: Sequence[StageSeconds]) -> Markup:
    longest = max(stages, key=lambda each: each["seconds"], default=None)
    says = f"Longest: {longest['stage']}, {duration(longest['seconds'])}." if longest else ""
    values = [each["seconds"] for each in stages]
    figure = Figure("Time by stage", says, "stage", "seconds")
    return row_figure(figure, [each["stage"] for each in stages], values, [duration(value) for value in values])


def _stage_memory(found: MemoryFacts) -> Markup:
    stages = {each["stage"]: each["bytes"] for each in found["by_stage"] if each["bytes"]}
    predicted, peak = found.get("predicted_bytes"), found["peak_bytes"]
    says = f"All processes together: {mebibytes(peak)}, no prediction."
    if predicted:
        off = f"{percent(abs(peak / predicted - 1))} {'above' if peak > predicted else 'below'}"
        says = f"All processes together: {mebibytes(peak)}, {off} the {mebibytes(predicted)} predicted."
    if worker := found.get("worker_bytes"):
        of_worker = found.get("predicted_worker_bytes")
        foretold = f" of {mebibytes(of_worker)} predicted" if of_worker else ""
        says += f" Largest worker: {mebibytes(worker)}{foretold}."
    figure = Figure("Peak memory by stage", says, "stage", "MiB")
    level = (f"predicted, {mebibytes(predicted)}", predicted / _MIB) if predicted else None
    values = [value / _MIB for value in stages.values()]
    return row_figure(figure, list(stages), values, [mebibytes(value) for value in stages.values()], level)


def _task_times(tasks: TaskTimes | None) -> Markup:
    if not tasks:
        return absent("Tasks by worker", "The scheduler kept no record of the tasks")
    thinned = f" Shown: one task in {tasks['one_in']}." if tasks.get("one_in", 1) > 1 else ""
    says = f"{counted(len(tasks['workers']), 'worker')}: {', '.join(tasks['workers'])}.{thinned}"
    figure = Figure("Tasks by worker", says, "seconds since the first task", "worker")
    return timeline_figure(figure, tasks["workers"], tasks["kinds"], tasks["rows"])


def repeat(facts: ReportFacts) -> Markup:
    """Return the command, the settings and the versions of the run."""
    run = facts["run"]
    versions = [("code", run["code_version"]), *run["versions"].items()]
    return piece("repeat", run["repeat"], json.dumps(run["settings"], indent=1), versions)
