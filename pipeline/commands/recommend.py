"""The commands `recommend`, `similar` and `factors`.

Covers: their options, and lists of items as tables.
Does not cover: the choice of items (tasks/), the stage (pipeline/stages/recommend.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

import funkflow
from funkflow.pipeline.commands.options import (
    AsJson,
    ModelFolder,
    Resume,
    RunOptions,
    interrupts,
    model_from,
    print_result,
    quoted,
    watching,
)
from funkflow.tasks.digits import rounded
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    import numpy as np
    from rich import box, console, table, text

    from funkflow.pipeline.models import item_words, usefulness
    from funkflow.pipeline.progress import events
    from funkflow.pipeline.results import tables
    from funkflow.pipeline.settings.sections import RecommendSettings, Settings
    from funkflow.tasks.model import about
    from funkflow.tasks.model.model import Model
    from funkflow.tasks.parsing import titles as film_titles
    from funkflow.tasks.serving import recommend as serving
else:  # the help needs none of them, and a recommendation not all
    np = late("numpy")
    box, console, table, text = late("rich.box"), late("rich.console"), late("rich.table"), late("rich.text")
    item_words, usefulness = late("funkflow.pipeline.models.item_words"), late("funkflow.pipeline.models.usefulness")
    events, tables = late("funkflow.pipeline.progress.events"), late("funkflow.pipeline.results.tables")
    about, film_titles = late("funkflow.tasks.model.about"), late("funkflow.tasks.parsing.titles")
    serving = late("funkflow.tasks.serving.recommend")

_DEFAULT_COUNT = 10
_ENDS = 3

Count = Annotated[int, typer.Option("--count", help="number to list")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (recommend, similar, factors):
        app.command()(command)


def recommend(
    *,
    model: ModelFolder = "",
    count: Annotated[
        int | None, typer.Option("--count", help="items per user; default: recommend.count, or 10", show_default=False)
    ] = None,
    user: Annotated[
        list[str] | None,
        typer.Option("--user", help="raw id of a user: print the items of this user alone; may be repeated"),
    ] = None,
    rated: Annotated[
        list[str] | None,
        typer.Option(
            "--rated",
            metavar="ITEM[=RATING]",
            help="items of somebody whom the model does not know, such as 12=4.5,7: print items for them; without a "
            "rating, the greatest of the scale; may be repeated",
        ),
    ] = None,
    options: RunOptions,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Write the best items that each user has not rated, as Parquet; with --user or --rated, print them."""
    if user and rated:
        raise SettingsError("--user names a user of the data and --rated somebody new: leave out one of them")
    if count is not None and count < 1:
        raise SettingsError(f"--count {count}: ask for at least one item a user")
    words = [f"recommend.users={quoted(user)}"] if user else []
    words += [f"recommend.count={count}"] if count is not None else []
    settings, place = _chosen(options.adding(after=words), model)
    if not settings.recommend.count:
        settings, place = _chosen(options.adding(after=[*words, f"recommend.count={_DEFAULT_COUNT}"]), model)
    if user or rated:
        _print_for(settings, place, rated or [], not resume, as_json)
        return
    with watching() as watcher:
        if place:
            folder = funkflow.recommend_with(settings, place, [interrupts, watcher])
            content = {"paths": {"model": place, "recommendations": folder}}
            print_result(content, as_json, text.Text(f"recommendations in {folder}"))
            return
        result = funkflow.run(settings, until="recommend", fresh=not resume, listeners=[interrupts, watcher])
    print_result(result.to_dict(), as_json, tables.result_table(result))


def _print_for(settings: Settings, model: str, rated: list[str], fresh: bool, as_json: bool) -> None:
    """Print the best items of the users in the settings, or of somebody new; this process alone reads a model."""
    content: dict[str, Any] = {"paths": {"model": model}}
    if not model:
        with watching() as watcher:
            result = funkflow.run(settings, until="export", fresh=fresh, listeners=[interrupts, watcher])
        content, model = result.to_dict(), result.paths["model"]
    content["recommendations"] = (
        _for_somebody_new(model, rated, settings.recommend)
        if rated
        else serving.recommend_to(model, settings.recommend.users, settings.recommend.count, *settings.recommend.order)
    )
    if notice := usefulness.notice_of_goal(about.read_about(model), "ranking"):
        watching()(events.Noticed(notice))
    print_result(content, as_json, _lists_of(content["recommendations"], model))


def _for_somebody_new(folder: str, words: list[str], chosen: RecommendSettings) -> list[dict[str, Any]]:
    """Return rows as `recommend_to` does, with the user None, from the words of --rated."""
    model = funkflow.Model.load(folder, users=False)
    ratings = item_words.ratings_in(words, model)
    row = model.fold_in(ratings) if chosen.by == "mean" else model.fold_in_draws(ratings)
    items, scores = model.recommend(row, chosen.count, None, *chosen.order)
    return [
        {"user": None, "rank": rank, "item": _json_id(item), "score": float(score)}
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), start=1)
    ]


def _chosen(options: RunOptions, model: str) -> tuple[Settings, str]:
    """Return the settings, and the folder of the model; "" without --model."""
    return options.beside_model(model, "ranking") if model else (options.settings(or_model=True), "")


def _lists_of(rows: list[dict[str, Any]], model: str) -> console.Group:
    """Return a table for each user, in the order of the rows."""
    titles = film_titles.titles_of(model, about.read_about(model))
    lists: dict[Any, list[tuple[Any, float]]] = {}
    for row in rows:
        lists.setdefault(row["user"], []).append((row["item"], row["score"]))
    names = {user: "for somebody new" if user is None else f"for user {user}" for user in lists}
    return console.Group(*[_list_of(names[user], "score", found, titles) for user, found in lists.items()])


def similar(
    *,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CONF] ITEM", help="settings, unless --model is given; raw id of an item"),
    ] = None,
    of_all: Annotated[
        bool, typer.Option("--all", help="write those of every item as Parquet, in place of ITEM")
    ] = False,
    model: ModelFolder = "",
    count: Count = _DEFAULT_COUNT,
    options: Annotated[RunOptions, "conf", "ratings", "validation"],
    as_json: AsJson = False,
) -> None:
    """List the items whose factors are most similar to those of ITEM, by their cosine; with --all, of every item."""
    if count < 1:
        raise SettingsError(f"--count {count}: ask for at least one item")
    if of_all:
        _print_all_similar(words or [], model, options.adding(after=[f"recommend.similar={count}"]), as_json)
        return
    if not words:
        raise SettingsError("similar: name an item, or ask for --all")
    *conf, item = words
    loaded, titles = _model(conf, model, options)
    raw_id = item_words.raw_item(loaded, item)
    ids, cosines = loaded.similar(raw_id, count)
    found = [(each, float(cosine)) for each, cosine in zip(ids.tolist(), cosines, strict=True)]
    content = [{"item": each, "title": titles.get(each), "cosine": cosine} for each, cosine in found]
    print_result(
        {"similar": content}, as_json, _list_of(f"like {_with_title(raw_id, titles)}", "cosine", found, titles)
    )


def _print_all_similar(conf: list[str], model: str, options: RunOptions, as_json: bool) -> None:
    """Write the similar items of every item, by a run or beside a model that exists."""
    if len(conf) > bool(not model):
        instead = "beside --model it takes no settings" if model else "name one settings file or preset"
        raise SettingsError(f"{' '.join(conf)}: --all takes no item; {instead}")
    settings, place = _chosen(replace(options, conf="".join(conf)), model)
    with watching() as watcher:
        if place:
            folder = funkflow.similar_with(settings, place, [interrupts, watcher])
            print_result(
                {"paths": {"model": place, "similar": folder}}, as_json, text.Text(f"similar items in {folder}")
            )
            return
        result = funkflow.run(settings, until="recommend", listeners=[interrupts, watcher])
    print_result(result.to_dict(), as_json, tables.result_table(result))


def factors(
    *,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[CONF]", help="settings, unless --model is given")
    ] = None,
    item: Annotated[str, typer.Option("--item", help="raw id of an item: show its strongest factors alone")] = "",
    model: ModelFolder = "",
    count: Count = _DEFAULT_COUNT,
    options: Annotated[RunOptions, "conf", "ratings", "validation"],
    as_json: AsJson = False,
) -> None:
    """Show the strongest factors, each by the items at its two ends; with --item, the factors of one item."""
    if count < 1:
        raise SettingsError(f"--count {count}: ask for at least one factor")
    loaded, titles = _model(words or [], model, options)
    found = loaded.factors()
    chosen = np.arange(min(count, loaded.rank))
    title = "strongest factors"
    if item:
        raw_id = item_words.raw_item(loaded, item)
        row = int(np.flatnonzero(loaded.item_ids == raw_id)[0])
        chosen = np.argsort(-np.abs(found.loadings[row]), kind="stable")[:count]
        title = f"strongest factors of {_with_title(raw_id, titles)}"
    content, rows = [], []
    columns: list[str | table.Column] = ["factor", "singular\nvalue", *(["loading"] if item else [])]
    # A title that has no room ends in dots: three lines a factor, one an item.
    columns += [table.Column(name, ratio=1, no_wrap=True, overflow="ellipsis") for name in ("one end", "the other")]
    for number in chosen.tolist():
        order = np.argsort(-found.loadings[:, number], kind="stable")
        high, low = ([loaded.item_ids[place] for place in ends] for ends in (order[:_ENDS], order[::-1][:_ENDS]))
        strength = float(found.strengths[number])
        loading = float(found.loadings[row, number]) if item else None
        content.append(
            {
                "factor": number + 1,
                "strength": strength,
                "loading": loading,
                **{
                    end: [{"item": _json_id(each), "title": titles.get(each)} for each in ids]
                    for end, ids in (("high", high), ("low", low))
                },
            }
        )
        shown = [str(number + 1), f"{strength:.2f}", *([f"{loading:+.3f}"] if item else [])]
        rows.append([*shown, *("\n".join(_with_title(each, titles) for each in ids) for ids in (high, low))])
    shown_table = tables.text_table(columns, rows, title, right_from=0, no_wrap=True, box=box.SIMPLE_HEAD, expand=True)
    print_result({"factors": content}, as_json, shown_table)


def _model(conf: list[str], model: str, options: RunOptions) -> tuple[Model, dict[Any, str]]:
    """Return the model of a folder or of settings, trained if it does not exist yet, and its titles."""
    if model and options.words:
        raise SettingsError("--set has no effect with --model, as nothing runs; leave it out")
    if len(conf) > 1:
        raise SettingsError(f"{' '.join(conf)}: name one settings file or preset")
    _, folder, _ = model_from(replace(options, conf="".join(conf)), model, resume=True, until="export", goal="ranking")
    loaded = funkflow.Model.load(folder)
    return loaded, film_titles.titles_of(folder, loaded.about)


def _json_id(raw_id: Any) -> Any:
    return raw_id.item() if isinstance(raw_id, np.generic) else raw_id


def _with_title(raw_id: Any, titles: dict[Any, str]) -> str:
    return f"{raw_id} {titles[raw_id]}" if raw_id in titles else str(raw_id)


def _list_of(
    title: str, measure: str, found: list[tuple[Any, float]], titles: dict[Any, str]
) -> table.Table | text.Text:
    if not found:
        return text.Text(f"{title}: nothing is left")
    values = [value for _, value in found]
    rows = [
        (str(rank), str(item), *([titles.get(item, "")] if titles else []), rounded(value, *values))
        for rank, (item, value) in enumerate(found, start=1)
    ]
    return tables.text_table(("rank", "item", *(["title"] if titles else []), measure), rows, title)
