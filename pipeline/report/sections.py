"""The parts of the page about one run, each from its part of the facts; what is not there is said in a line.

Covers: what each part shows and says. Does not cover: their order (page.py), how figures are drawn (charts.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipeline.report.charts import Figure, Series, bar_figure, line_figure, timeline_figure
from pipeline.report.scales import written
from pipeline.report.style import scrolling_table
from pipeline.report.verdict import duration
from tasks.digits import rounded

Facts = Mapping[str, Any]
_MIB = 2**20


def summary(facts: Facts) -> str:
    """Return what was run, by its names."""
    run, learning = facts["run"], facts["learning"]
    rows = [
        ("run", run["run_id"]),
        ("execution", run["execution"]),
        ("made", run["ended"]),
        ("model", f"{run['method']}, rank {run['rank']}; {len(learning['epochs'])} {learning['counted']}, best "
                  f"{learning['best_epoch']}, stopped on {learning['stop_on']}"),
        ("grid", f"{run['shards']} × {run['shards']} blocks"),
    ]  # fmt: skip
    return definitions(rows)


def definitions(rows: Sequence[tuple[str, Any]]) -> str:
    """Return names and values as a list."""
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in rows) + "</dl>"


def data(facts: Facts) -> str:
    """Return what the ratings look like."""
    found = facts["data"]
    low, high = found["scale"]
    rows = [
        ("ratings", f"{found['ratings']:,}; {found['training']:,} to train on, {found['validation']:,} held out"),
        ("users, items", f"{found['users']:,} and {found['items']:,}"),
        ("scale", f"{low:g} to {high:g}"),
        ("set aside", f"{found['quarantined']['rows']:,} rows, in {found['quarantined']['path']}"
                      if found["quarantined"] else "no row"),
    ]  # fmt: skip
    shown = figures(
        _time(found["by_time"]),
        _values(found["values"]),
        _tail(found["user_counts"], "user"),
        _tail(found["item_counts"], "item"),
    )
    return definitions(rows) + _set_aside(found["quarantined"]) + shown + _top(found["top_items"])


def _set_aside(found: Facts | None) -> str:
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{escape(each['file'])}</td><td class=number>{each['line']}</td><td>{escape(each['reason'])}</td></tr>"
        for each in found["first"]
    )
    title = f"The first {len(found['first'])} of the rows set aside"
    return f"<h3>{title}</h3>{scrolling_table(title, ('file', 'line', 'why'), rows)}"


def _time(times: Facts | None) -> str:
    if not times:
        return none("Ratings over time", "the ratings have no timestamps")
    most = max(range(len(times["ratings"])), key=lambda place: times["ratings"][place])
    first, last = (rounded(times["mean"][place], *times["mean"]) for place in (0, -1))
    says = (
        f"From {times['start'][0]} to {times['start'][-1]}; the most, {times['ratings'][most]:,}, in "
        f"{times['start'][most]}. Mean rating {first} at first, {last} at last."
    )
    figure = Figure("Ratings by month", says, "month", "ratings")
    return bar_figure(figure, times["start"], [Series("ratings", times["ratings"])])


def _values(values: Facts | None) -> str:
    if not values:
        return none("Ratings by value", "there are too many different values; the errors below have bins")
    totals = [sum(values[name]) or 1 for name in ("training", "validation")]
    shares = [
        Series(f"{name}, %", [100 * count / total for count in values[name]])
        for name, total in zip(("training", "validation"), totals, strict=True)
    ]
    often = max(range(len(values["value"])), key=lambda place: values["training"][place])
    says = (
        f"The most frequent rating is {values['value'][often]:g}, {shares[0].values[often]:.0f} % of those to train on."
    )
    figure = Figure("Ratings by value", says, "rating", "% of the ratings")
    return bar_figure(figure, [f"{value:g}" for value in values["value"]], shares)


def _tail(tail: Facts | None, side: str) -> str:
    title = f"Ratings of a {side}" if side == "user" else "Ratings of an item"
    if not tail:
        return none(title, "they were not counted")
    labels = [bounds(low, high) for low, high in zip(tail["low"], tail["high"], strict=True)]
    total, ratings = sum(tail["rows"]) or 1, sum(tail["ratings"]) or 1
    top = max((n for n in range(len(labels)) if tail["rows"][n]), default=0)
    without = tail["rows"][0]
    says = (
        f"{f'{without:,} ({without / total:.1%})' if without else 'None'} of the {side}s without a rating to train on; "
        f"those with {labels[top]} make up {tail['ratings'][top] / ratings:.1%} of all ratings."
    )
    figure = Figure(title, says, f"ratings to train on, of one {side}", f"{side}s")
    return bar_figure(figure, labels, [Series(f"{side}s", tail["rows"])])


def bounds(low: int, high: int) -> str:
    """Write a bin of counts."""
    return str(low) if low == high else f"{written(low)}–{written(high)}"


def _top(items: Sequence[Facts]) -> str:
    if not items:
        return ""
    rows = "".join(f'<tr><td>{named(each)}</td><td class="number">{each["ratings"]:,}</td></tr>' for each in items)
    return f"<h3>The most rated</h3>{scrolling_table('the most rated items', ('item', 'ratings'), rows)}"


def named(item: Facts) -> str:
    """Write an item by its title, or by its id if it has none."""
    return escape(str(item.get("title") or item["id"]))


def learning(several: Sequence[Facts]) -> str:
    """Return the curves of one run, or of several over each other."""
    if len(several) == 1:
        found, judged = several[0]["learning"], several[0]["verdict"]
        epochs = found["epochs"]
        curves = [Series("training", [each["training_rmse"] for each in epochs]),
                  Series(f"held out ({found['stop_on']})", [each["stopping_rmse"] for each in epochs])]  # fmt: skip
        curves = [each for each in curves if any(value is not None for value in each.values)]
        rules = [("biases alone", judged["biases_rmse"])] if judged.get("biases_rmse") else []
        says = f"The best is number {found['best_epoch']} of {len(epochs)}."
        figure = Figure(f"RMSE by {found['counted'].rstrip('s')}", says, found["counted"], "RMSE")
        return figures(line_figure(figure, [each["epoch"] for each in epochs], curves, rules))
    longest = max(len(facts["learning"]["epochs"]) for facts in several)
    curves = [
        Series(short(facts), [_held_out(facts, number) for number in range(longest)]) for facts in several
    ]  # fmt: skip
    figure = Figure("RMSE by epoch, held out where there is any", "One curve for each run.", "epoch", "RMSE")
    return figures(line_figure(figure, list(range(1, longest + 1)), curves))


def _held_out(facts: Facts, number: int) -> float | None:
    epochs = facts["learning"]["epochs"]
    if number >= len(epochs):
        return None
    stopping = epochs[number]["stopping_rmse"]
    return epochs[number]["training_rmse"] if stopping is None else stopping  # type: ignore[no-any-return]


def short(facts: Facts) -> str:
    """Return enough of a run's id to know it by."""
    return f"{facts['run']['run_id'][:8]}, rank {facts['run']['rank']}"


def ranks(several: Sequence[Facts]) -> str:
    """Return RMSE against rank and the singular values, of one run or of several."""
    with_ranks = [facts for facts in several if facts.get("ranks")]
    with_values = [facts for facts in several if facts.get("spectrum")]
    parts = []
    if with_ranks:
        most = max(len(facts["ranks"]) for facts in with_ranks)
        curves = [
            Series(short(facts), _padded([each["rmse"] for each in facts["ranks"]], most)) for facts in with_ranks
        ]
        best = min(with_ranks[0]["ranks"], key=lambda each: each["rmse"])
        says = f"With its {best['rank']} strongest factors the RMSE is least, {rounded(best['rmse'])}."
        figure = Figure("RMSE with the strongest factors only", says, "rank", "validation RMSE")
        parts.append(line_figure(figure, list(range(1, most + 1)), curves))
    else:
        parts.append(none("RMSE with the strongest factors only", "no ratings were held out to validate on"))
    if with_values:
        most = max(len(facts["spectrum"]) for facts in with_values)
        curves = [Series(short(facts), _padded(facts["spectrum"], most)) for facts in with_values]
        values = with_values[0]["spectrum"]
        half = next(
            n for n in range(1, len(values) + 1) if sum(v * v for v in values[:n]) * 2 >= sum(v * v for v in values)
        )
        figure = Figure(
            "Singular values", f"Half of the energy is in the first {half} of {len(values)}.", "rank", "value"
        )
        parts.append(line_figure(figure, list(range(1, most + 1)), curves, y_log=min(values) > 0))
    else:
        parts.append(none("Singular values", "the spectrum was not asked for"))
    return figures(*parts)


def _padded(values: Sequence[float], length: int) -> list[float | None]:
    return [*values, *([None] * (length - len(values)))]


def factors(facts: Facts) -> str:
    """Return the strongest factors by the items at their ends."""
    found = facts["factors"]
    if not found:
        return none("Factors", "no item has ratings enough (report.least_ratings)")
    rows = "".join(
        f'<tr><th scope="row">{each["factor"]}</th><td>{each["share"]:.1%}</td>'
        + "".join(f"<td>{'<br>'.join(named(item) for item in each[end])}</td>" for end in ("low", "high"))
        + "</tr>"
        for each in found
    )
    heads = ("factor", "energy", "one end", "the other end")
    return (
        "<p>Items far apart on a factor are liked by different people. Its sign says nothing.</p>"
        f"{scrolling_table('factors', heads, rows)}"
    )


def times(facts: Facts) -> str:
    """Return how long stages and tasks took."""
    stages, tasks = facts["time"]["stages"], facts["time"]["tasks"]
    longest = max(stages, key=lambda each: each["seconds"], default=None)
    says = f"The longest is {longest['stage']}, {duration(longest['seconds'])}." if longest else ""
    bars = bar_figure(Figure("Seconds by stage", says, "stage", "seconds"), [each["stage"] for each in stages],
                      [Series("seconds", [each["seconds"] for each in stages])])  # fmt: skip
    if not tasks:
        return figures(bars, none("Tasks by worker", "the scheduler did not tell"))
    thinned = f" One task in {tasks['one_in']} is drawn." if tasks.get("one_in", 1) > 1 else ""
    count = len(tasks["workers"])
    says = f"{count} worker{'s' * (count > 1)}: {', '.join(tasks['workers'])}.{thinned}"
    figure = Figure("Tasks by worker", says, "seconds since the first task", "")
    return figures(bars, timeline_figure(figure, tasks["workers"], tasks["kinds"], tasks["rows"]))


def memory(facts: Facts) -> str:
    """Return how much memory stages took, and what was predicted."""
    found = facts["memory"]
    stages = {each["stage"]: each["bytes"] / _MIB for each in found["by_stage"] if each["bytes"]}
    predicted = found.get("predicted_bytes")
    foretold = f"predicted {predicted / _MIB:,.0f} MiB" if predicted else "nothing was predicted"
    says = f"Peak of all processes together {found['peak_bytes'] / _MIB:,.0f} MiB; {foretold}."
    if worker := found.get("worker_bytes"):
        of_worker = found.get("predicted_worker_bytes")
        foretold = f", predicted {of_worker / _MIB:,.0f} MiB" if of_worker else ""
        says += f" The largest worker had {worker / _MIB:,.0f} MiB{foretold}."
    figure = Figure("Peak memory by stage", says, "stage", "MiB")
    return figures(bar_figure(figure, list(stages), [Series("MiB", list(stages.values()))]))


def repeat(facts: Facts) -> str:
    """Return what it takes to run it again."""
    run = facts["run"]
    rows = [(name, value) for name, value in run["versions"].items()]
    return (
        f"<p>The same run again: <code>{escape(run['repeat'])}</code></p>"
        f"<details><summary>All settings</summary><pre>{escape(json.dumps(run['settings'], indent=1))}</pre></details>"
        f"<details><summary>Versions</summary>{definitions([('code', run['code_version']), *rows])}</details>"
    )


def figures(*parts: str) -> str:
    """Lay figures out side by side where there is room."""
    return f'<div class="figures">{"".join(parts)}</div>'


def none(title: str, why: str) -> str:
    """Return the place of a figure that there is nothing for."""
    return f'<figure><figcaption>{escape(title)}</figcaption><p class="none">Not here: {escape(why)}.</p></figure>'
