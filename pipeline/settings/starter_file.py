"""A first settings file for ratings: what was recognised in them, and the settings that most people change.

Covers: recognising the first file, and the commented TOML text. Settings that are given are in force; each other one
stands in a line such as `#rank = 64`, with the default that these settings lead to, below its description.
Does not cover: the settings and their descriptions (sections.py and beside it), writing the file
(pipeline/commands/init.py).
"""

from __future__ import annotations

import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

import tomli_w
from pydantic.fields import FieldInfo

from funkflow.pipeline.settings.effective import may_have_counts
from funkflow.pipeline.settings.ingest import IngestSettings
from funkflow.pipeline.settings.method_settings import Section
from funkflow.pipeline.settings.sections import Settings
from funkflow.pipeline.settings.wanted_form import wanted_form
from funkflow.tasks.errors import BadInput
from funkflow.tasks.parsing.erased_ids import ErasedIds
from funkflow.tasks.parsing.format.columns import ROLES
from funkflow.tasks.parsing.format.formats import Form
from funkflow.tasks.parsing.prepare import recognise, unpack_here
from funkflow.tasks.parsing.sources.sources import Source, find_companions, find_sources
from funkflow.tasks.parsing.understood import column_of, describe_parts

_WIDTH = 100
_OFFERED = {
    "ingest": ("id_type", "duplicates", "on_bad_rows", "incremental"),
    "split": ("kind", "fraction"),
    "train": ("goal", "rank", "epochs", "l2", "seed"),
    "ranking": ("count", "threshold"),
    "recommend": ("count",),
    "cluster": ("workers", "threads", "memory"),
}
"""Settings that most people change, by section."""
_NOT_FOR_LIKES = {"ingest.duplicates", "ranking.threshold"}
_FOR_EXAMPLE = {"train.l2": 0.05, "ranking.threshold": 4.0}
"""Values of settings that have none by default."""
_QUESTIONS = {
    "ingest.duplicates": "Does a later rating of the same user for the same item replace the earlier one?",
    "ingest.incremental": "Will more ratings arrive later?",
    "split.kind": "How should the model be tested? A random part of the ratings suits a first look.",
    "train.goal": "What is the model for?",
    "ranking.threshold": "From which rating on does somebody like an item?",
    "cluster.memory": "Does this machine have other work to do at the same time?",
}
"""What the ratings cannot tell, by the setting that answers it."""
_LATEST = 'Should the test be on the newest rating of each user, as in use? Then write kind = "last".'
_COUNTS = "Is this a count, such as plays or clicks, and no rating? Then write {} instead."
_PROBE = "Are the pairs of {} there to test the model? Then write {}, and leave out kind and fraction."
_HEADER = (
    "Settings of funkflow. Train a model with them: funkflow run {}",
    'A line such as "#rank = 64" shows a default. To change it, remove the # and edit the value.',
    "Paths without a leading / begin in the folder in which funkflow is started.",
)


@dataclass(frozen=True)
class Recognised:
    """The ratings as a run would read them. `parts` : the first file and its columns, a line each.

    `companions` : known files beside them, as of `find_companions`.
    """

    form: Form
    parts: list[str]
    companions: dict[str, str]


def recognise_ratings(settings: Settings, forgotten: ErasedIds) -> Recognised:
    """Recognise the ratings by the first file, as a run does; the function unpacks that file if it is packed.

    Raises
    ------
    BadInput
        There are no such files, or the first one is not read, for the reason in the message.
    """
    sources = find_sources(settings.ingest.ratings, settings.split.file)
    first = next((Source(source.name, source.files[:1]) for source in sources if source.files), None)
    if first is None:
        raise BadInput("no ratings file is left to read beside the validation file; name the ratings, too")
    companions = find_companions(sources)
    with tempfile.TemporaryDirectory() as scratch:
        file = unpack_here(first, scratch)[0]
        form = recognise(file, wanted_form(settings.ingest, may_have_counts(settings)))
        parts = describe_parts(file, form, forgotten)
    return Recognised(form, [parts[0].removeprefix(f"{file.name.rpartition('/')[0]}/"), *parts[1:]], companions)


def starter_text(content: dict[str, Any], recognised: Recognised, path: str) -> str:
    """Return the text of a settings file.

    Parameters
    ----------
    content : the settings in force, by section; a ranking is added for likes.
    path : of the file, for the command in its first line.

    Raises
    ------
    SettingsError
        A setting in force is wrong.
    """
    if recognised.form.counts:
        content = {**content, "train": {**content.get("train", {}), "goal": "ranking"}}
    settings = Settings.build(content)
    questions = _questions(recognised)
    lines = [*(_comment(each.format(path)) for each in _HEADER), *_lines(settings, content, "root", questions)]
    for section, names in _OFFERED.items():
        place = getattr(settings, section)
        lines += ["", _comment(_first_line(place)), f"[{section}]"]
        if section == "ingest":
            lines += _ratings_lines(settings.ingest, recognised, questions)
        elif settings.split.file and section == "split":
            names = ("file",)
        for name in names:
            if not (recognised.form.counts and f"{section}.{name}" in _NOT_FOR_LIKES):
                lines += _lines(place, content.get(section, {}), name, questions, f"{section}.")
    return "\n".join(lines) + "\n"


def _questions(recognised: Recognised) -> dict[str, list[str]]:
    """Return the questions that these ratings raise, by the setting that answers each."""
    form, questions = recognised.form, {setting: [question] for setting, question in _QUESTIONS.items()}
    if form.doubt:
        questions["ingest.columns"] = [f"{form.doubt}. Is that right?"]
    if form.timestamp >= 0:
        questions["split.kind"].append(_LATEST)
    if probe := recognised.companions.get("probe"):
        questions["split.kind"].append(_PROBE.format(probe.rpartition("/")[2], _value("file", probe)))
    if (rating := column_of("rating", form)) is not None:
        questions["ingest.columns.rating"] = [_COUNTS.format(_value("counts", rating))]
    return questions


def _ratings_lines(ingest: IngestSettings, recognised: Recognised, questions: dict[str, list[str]]) -> Iterator[str]:
    """Yield the lines of the ratings, what was recognised in them, their columns and titles."""
    fields, form = type(ingest).model_fields, recognised.form
    yield _described(fields["ratings"])
    yield _value("ratings", ingest.ratings[0] if len(ingest.ratings) == 1 else list(ingest.ratings))
    yield from ("", *(_comment(part) for part in recognised.parts))
    if form.kind != "netflix":
        yield from ("", *_question("ingest.columns", questions), _comment(_first_line(ingest.columns)))
        for role in ROLES:
            if (column := column_of(role, form)) is not None:
                yield from _question(f"ingest.columns.{role}", questions)
                yield f"#columns.{_value(role, column)}"
    if titles := recognised.companions.get("titles"):
        yield from ("", _described(fields["titles"]), f"#{_value('titles', titles)}")


def _lines(
    place: Section, given: Mapping[str, Any], name: str, questions: dict[str, list[str]], above: str = ""
) -> Iterator[str]:
    """Yield the question, the description and the line of a setting: in force where it is given."""
    full, value, field = f"{above}{name}", getattr(place, name), type(place).model_fields[name]
    yield from ("", *_question(full, questions), _described(field))
    if name in given:
        yield _value(name, value)
    elif value is None:
        yield f"#{_value(name, _FOR_EXAMPLE[full])}  # for example"
    else:
        yield f"#{_value(name, value)}"


def _question(setting: str, questions: dict[str, list[str]]) -> list[str]:
    return [_comment(f"Question: {each}") for each in questions.get(setting, [])]


def _described(field: FieldInfo) -> str:
    """Return what a setting is: the first part of its description, the part about its default, and its choices."""
    default = str(field.default) or "empty"
    first, *others = (field.description or "").split("; ")
    parts = [first, *(each for each in others if each.startswith(f"{default}:"))]
    if get_origin(field.annotation) is Literal:
        parts.append(f"one of {', '.join(get_args(field.annotation))}")
    return _comment("; ".join(parts).replace("None:", "left out:"))


def _first_line(section: Section) -> str:
    """Return the first sentence about a section."""
    sentence = (type(section).__doc__ or "").partition("\n")[0].rstrip(".")
    return sentence.replace("None:", "left out:").replace("`", "")


def _comment(text: str) -> str:
    """Return text as comment lines; characters that TOML takes in none are question marks."""
    printable = "".join(sign if sign.isprintable() else "?" for sign in text)
    return textwrap.fill(
        printable, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False
    )


def _value(name: str, value: Any) -> str:
    return tomli_w.dumps({name: value}).rstrip("\n")
