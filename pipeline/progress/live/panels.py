"""Text of the live page, as HTML: the state of the run, keys of the figures, memory, the last events.

Covers: text and HTML. Does not cover: the style (frame.py), the figures, the facts (pipeline/progress/story.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from funkflow.pipeline.progress.colours import BLUE, GREY, VERMILION
from funkflow.pipeline.progress.live.block_figure import colour_of
from funkflow.pipeline.progress.story import EpochPoint, Story
from funkflow.pipeline.progress.words import age, rough_duration
from funkflow.tasks.digits import rounded

_LINES = 14
SPEED = "<h2>Mean speed <small>M ratings/s</small></h2>"


def state_panel(story: Story, now: float, workers: list[str]) -> str:
    """Return the state of a run. `now` : seconds since 1970."""
    facts = story.facts
    model = (
        f"{facts['method']}, rank {facts['rank']}; {facts['ratings']:,} ratings, {facts['users']:,} users, "
        f"{facts['items']:,} items"
        if facts
        else ""
    )
    parts = [
        f'<div><span class="state {escape(story.state)}">{escape(story.state)}</span><b>{escape(story.name)}</b></div>',
        f"<small>{escape(model)}</small>",
    ]
    if story.ended is None:
        done, of_all = _done(story)
        where, left = escape(_stage_words(story)), _left(story)
        parts.append(f'<div class="now"><b>{where}</b><span>{escape(left)}</span></div>')
        if of_all:
            parts.append(
                f'<div class="bar" role="progressbar" aria-label="{where}" aria-valuemin="0" aria-valuemax="{of_all}" '
                f'aria-valuenow="{done}"><i style="width:{100 * done / of_all:.1f}%"></i></div>'
            )
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for name, value, more in _figures(story, now, workers)
    )
    return f"{''.join(parts)}<dl>{tiles}</dl>"


def _done(story: Story) -> tuple[int, int]:
    """Return the progress of the current stage; of training in epochs, as everywhere on the page."""
    if story.stage == "train" and story.epochs:
        return max(story.epochs), story.most
    return (story.done, story.steps) if story.stage != "train" else (0, 0)


def _stage_words(story: Story) -> str:
    done, of_all = _done(story)
    if not story.stage:
        return "starting"
    if story.stage == "train":
        return f"train: {story.counted} {done:,} of {of_all:,}" if of_all else "train: starting"
    return f"{story.stage}: {done:,} of {of_all:,}" if of_all else story.stage


def _left(story: Story) -> str:
    seconds = story.seconds_left()
    return "" if seconds is None else f"at most {rough_duration(seconds)} left"


def _figures(story: Story, now: float, workers: list[str]) -> list[tuple[str, str, str]]:
    """Return the figures of a run: name, value, and a remark."""
    best, baselines, facts = story.best, story.baselines, story.facts
    found: list[tuple[str, str, str]] = []
    if story.rmse is not None:
        found.append(("validation RMSE", rounded(story.rmse), f"on {baselines.get('split', 'the validation ratings')}"))
    if best is not None:
        found.append(_best_of(best, story.counted))
    if baselines:
        found.append(
            ("to beat", rounded(baselines["biases_rmse"]), f"bias baseline; mean {rounded(baselines['mean_rmse'])}")
        )
    if story.epochs:
        rate = story.history[-1].ratings_per_second / 1e6
        found.append(("speed", f"{rate:,.1f} M ratings/s", ""))
    if facts.get("step") is not None:
        found.append(("initial learning rate", f"{facts['step']:.3g}", f"L2 {facts['l2']:.3g}"))
    over = story.ended if story.ended is not None else now
    found.append(("elapsed", rough_duration(max(0.0, over - story.began)), ""))
    there = f"{len(workers)}" if story.ended is None else ""
    lost = f"{story.workers_lost} lost" if story.workers_lost else ""
    words = ", ".join(filter(None, (there, lost)))
    return [*found, ("workers", words, "")] if words else found


def _best_of(best: EpochPoint, counted: str) -> tuple[str, str, str]:
    where = f"{counted} {best.epoch:,}"
    if best.stopping_ndcg is not None:
        training = f"{where}; training RMSE {rounded(best.training_rmse)}"
        return f"best validation NDCG@{best.places}", f"{best.stopping_ndcg:.4f}", training
    if best.stopping_rmse is None:
        return "best training RMSE", rounded(best.training_rmse), where
    return "best validation RMSE", rounded(best.stopping_rmse), f"{where}; training {rounded(best.training_rmse)}"


def keys(story: Story) -> str:
    """Return heading and keys of the curves with data."""
    history, biases = story.history, story.baselines.get("biases_rmse")
    places = next((each.places for each in history if each.stopping_ndcg is not None), 0)
    line, last = '<path d="M1 7h26" stroke="{}" stroke-width="2"{}/>', max(story.checkpoints, default=None)
    shown = [
        (bool(history), line.format(BLUE, "") + f'<circle cx="14" cy="7" r="3.5" fill="{BLUE}"/>', "training"),
        (
            places > 0 or any(each.stopping_rmse is not None for each in history),
            line.format(VERMILION, "") + f'<path d="M10.5 3.5h7v7h-7z" fill="{VERMILION}"/>',
            f"validation, NDCG@{places}, right axis" if places else "validation",
        ),
        (bool(history), f'<circle cx="14" cy="7" r="5" fill="none" stroke="{GREY}" stroke-width="2"/>', "best"),
        (
            biases is not None and bool(history),
            line.format(GREY, ' stroke-dasharray="5 3"'),
            "bias baseline",
        ),
        (
            last in story.epochs,
            f'<path d="M14 2l5.5 10h-11z" fill="none" stroke="{GREY}" stroke-width="2"/>',
            "newest checkpoint",
        ),
    ]
    items = "".join(
        f'<li><svg width="28" height="14" aria-hidden="true">{sign}</svg>{escape(words)}</li>'
        for known, sign, words in shown
        if known
    )
    measures, of_which = (f"RMSE and NDCG@{places}", "RMSE in ") if places else ("RMSE", "")
    return f"<h2>{measures} by {escape(story.counted)} <small>{of_which}rating units</small></h2><ul>{items}</ul>"


def worker_keys(workers: list[str]) -> str:
    """Return heading and keys of the grid. `workers` : in the order of their colours."""
    items = "".join(
        f'<li><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="3" '
        f'fill="{colour_of(worker, workers)}"/></svg>{escape(worker.partition("://")[2] or worker)}</li>'
        for worker in workers
    )
    states = "<p><small>solid: done · framed: running · pale: pending</small></p>"
    return f"<h2>Blocks by worker</h2><ul>{items or '<li>no workers</li>'}</ul>{states}"


def memory(story: Story) -> str:
    """Return the peak memory of all processes on the client's machine beside the prediction."""
    predicted, peak = int(story.facts.get("predicted_bytes") or 0), story.peak_bytes
    most = max(predicted, peak)
    over = bool(predicted) and peak > predicted
    bars = [
        f"<div>{name} <b>{value / 2**20:,.0f} MiB</b>{more}</div>"
        f'<div class="bar {kind}"><i style="width:{100 * value / most:.1f}%"></i></div>'
        for name, value, kind, more in (
            ("peak", peak, "over" if over else "peak", ", above the prediction" if over else ""),
            ("predicted", predicted, "predicted", ""),
        )
        if value
    ]
    measured = "".join(bars) or "<p>not measured</p>"
    return f"<h2>Memory <small>on the client's machine</small></h2>{measured}"


def lines_table(story: Story, now: float) -> str:
    """Return the last lines of events, the newest first."""
    rows = "".join(
        f'<tr><td>{datetime.fromtimestamp(when, UTC):%H:%M:%S}</td><td class="{escape(kind)}">{escape(kind)}</td>'
        f"<td>{escape(words)}</td></tr>"
        for when, kind, words in list(story.lines)[: -_LINES - 1 : -1]
    )
    heard = f"last event {age(max(0.0, now - story.heard))}" if story.ended is None else "run ended"
    return f"<h2>Events <small>UTC; {heard}</small></h2><table><tbody>{rows}</tbody></table>"
