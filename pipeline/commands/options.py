"""Options that many commands take, the settings they lead to, and printing a result.

Covers: common options, progress, and running stages up to a given one.
Does not cover: adding options to commands (shared_options.py), exit codes (pipeline/cli.py), the form of tables
(pipeline/results/tables.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

import funkflow
from funkflow.pipeline.commands.interrupts import interrupts as interrupts
from funkflow.pipeline.progress.log_format import format_of
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked_content

if TYPE_CHECKING:
    from rich import console

    from funkflow.pipeline.progress import terminal
    from funkflow.pipeline.progress.lines import Lines
    from funkflow.pipeline.root import model_in_use
    from funkflow.pipeline.settings import presets, sections
    from funkflow.pipeline.settings.sections import Settings
else:  # the help of a command needs none of them
    console, terminal = late("rich.console"), late("funkflow.pipeline.progress.terminal")
    model_in_use = late("funkflow.pipeline.root.model_in_use")
    presets, sections = late("funkflow.pipeline.settings.presets"), late("funkflow.pipeline.settings.sections")

Conf = Annotated[
    str,
    typer.Argument(
        metavar="[CONF]",
        help="a preset (demo, movielens-1m, movielens-100k, netflix) or the path of a .toml file",
        show_default=False,
    ),
]
Ratings = Annotated[
    list[str] | None,
    typer.Option(
        "--ratings",
        help="ratings to read, instead of those of CONF: file, folder, archive, glob or URL; may be repeated",
    ),
]
Validation = Annotated[
    str,
    typer.Option("--validation", help="file of pairs or ratings to validate on, such as probe.txt", show_default=False),
]
ItemFeatures = Annotated[
    str,
    typer.Option(
        "--item-features",
        help="file with what is known of items besides ratings, such as movies.csv with genres",
        show_default=False,
    ),
]
UserFeatures = Annotated[
    str,
    typer.Option("--user-features", help="file with the same of users, such as age and occupation", show_default=False),
]
Root = Annotated[str, typer.Option("--root", help="folder or URL for everything that runs write", show_default=False)]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="override one setting, such as train.rank=128; may be repeated")
]
Resume = Annotated[
    bool, typer.Option("--resume/--fresh", help="continue from the last good checkpoint, or train from scratch")
]
ModelFolder = Annotated[
    str,
    typer.Option(
        "--model",
        help="folder of a saved model, instead of CONF; current: the model in use under --root",
        show_default=False,
    ),
]
Date = Annotated[
    str,
    typer.Option(
        "--date",
        metavar="YYYY-MM-DD",
        help="logical date, which replaces {date} in paths; empty: today in UTC",
        show_default=False,
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="longest wait for another run under this root to end")
]
IfNew = Annotated[
    bool,
    typer.Option(
        "--if-new",
        help="exit at once with code 0 if no input is new or changed since the last success of these settings",
    ),
]
Goal = Annotated[
    Literal["ratings", "ranking", "both"] | None,
    typer.Option(
        "--goal",
        help="what the model is for: to predict ratings, or to rank what to recommend; both: two models on one grid",
        show_default=False,
    ),
]
GOALS = ("ratings", "ranking")
Force = Annotated[bool, typer.Option("--force", help="repeat every stage; synthetic raw data stay")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as one JSON object, the last line of stdout")]
Scheduler = Annotated[
    str,
    typer.Option(
        "--scheduler", help="address of a running Dask scheduler, which funkflow does not stop", show_default=False
    ),
]
SchedulerFile = Annotated[
    str,
    typer.Option("--scheduler-file", help="file with the address of a running Dask scheduler", show_default=False),
]
Cluster = Annotated[
    str,
    typer.Option(
        "--cluster",
        help="a cluster (local, ssh, slurm, kubernetes, gateway) or the path of a .toml file",
        show_default=False,
    ),
]

_IN_USE = "current"


@dataclass(frozen=True)
class RunOptions:
    """Options that lead to settings.

    A command with the parameter `options: RunOptions` takes them all; with `Annotated[RunOptions, "conf"]`, all but
    the named ones.
    """

    conf: Conf = ""
    ratings: Ratings = None
    validation: Validation = ""
    item_features: ItemFeatures = ""
    user_features: UserFeatures = ""
    root: Root = ""
    sets: Sets = None
    scheduler: Scheduler = ""
    scheduler_file: SchedulerFile = ""
    cluster: Cluster = ""

    @property
    def words(self) -> list[str]:
        """The `key=value` words of --set, and those that choose the cluster."""
        return [*words_for(self.scheduler, self.scheduler_file, self.cluster), *(self.sets or [])]

    def adding(self, before: Iterable[str] = (), after: Iterable[str] = ()) -> RunOptions:
        """Return these options with further words; of two words for one setting, the later counts."""
        return replace(self, sets=[*before, *(self.sets or []), *after])

    def settings(self, or_model: bool = False) -> Settings:
        """Return the settings that the options lead to; `or_model` : whether the command takes --model, too.

        Raises
        ------
        SettingsError
            Neither CONF nor --ratings is given, or a setting is wrong.
        """
        if not self.conf and not self.ratings:
            run = "nothing to run: name a settings file or preset"
            if or_model:
                raise SettingsError(f"{run} (such as demo), --ratings PATH, or a model with --model")
            raise SettingsError(f"{run} (funkflow run demo), or --ratings PATH")
        words = [
            *([f"root={quoted(self.root)}"] if self.root else []),
            *([f"ingest.ratings={quoted(self.ratings)}"] if self.ratings else []),
            *([f"ingest.item_features={quoted(self.item_features)}"] if self.item_features else []),
            *([f"ingest.user_features={quoted(self.user_features)}"] if self.user_features else []),
        ]
        if self.validation:
            words += ["split.kind=file", f"split.file={quoted(self.validation)}"]
        words += self.words
        if self.conf and self.ratings:
            return sections.Settings.load_with_ratings(self.conf, words, validation=bool(self.validation))
        of = sections.Settings
        settings = of.load(self.conf, words) if self.conf else of.build({}, words, "command line")
        presets.refuse_missing_data(self.conf, settings.ingest.ratings)
        return settings

    def settings_for(self, goal: str | None) -> list[Settings]:
        """Return the settings for a goal, or for each goal if it is "both"; None: that of the settings."""
        goals = GOALS if goal == "both" else (goal,)
        return [self.adding(after=[f"train.goal={each}"] if each else []).settings() for each in goals]

    def beside_model(self, model: str, goal: str = "ratings") -> tuple[Settings, str]:
        """Return the settings of a command with --model, and the model's folder.

        `current` is the model in use for a goal, or if there is none, the one that was promoted last.

        Raises
        ------
        SettingsError
            Another option leads to another model.
        """
        features = self.item_features or self.user_features
        if self.conf or self.ratings or self.validation or features or (self.root and model != _IN_USE):
            raise SettingsError(
                "--model takes the place of CONF, --ratings, --validation and features: leave them out; --root goes "
                f"only with --model {_IN_USE}"
            )
        if model == _IN_USE:
            place = self.root or default_root()
            model = model_in_use.model_of(place, model_in_use.in_use(place).best_for(goal).run_id)
        return sections.Settings.build({}, self.words, "command line"), model


def words_for(scheduler: str = "", scheduler_file: str = "", cluster: str = "") -> list[str]:
    """Return the `cluster.key=value` words of these options; a scheduler takes precedence over a cluster file.

    Raises
    ------
    SettingsError
        Two schedulers are named.
    """
    if scheduler and scheduler_file:
        raise SettingsError("--scheduler and --scheduler-file each name a scheduler: keep one of them")
    if not (scheduler or scheduler_file or cluster):
        return []
    values = {
        "scheduler": scheduler,
        "scheduler_file": scheduler_file,
        "preset": "" if scheduler or scheduler_file else cluster,
    }
    return ["cluster.environment=false", *(f"cluster.{setting}={quoted(value)}" for setting, value in values.items())]


def default_root() -> str:
    """Return the default of the setting `root`."""
    return str(sections.Settings.model_fields["root"].default)


def model_from(
    options: RunOptions, model: str, resume: bool, until: str = "spectrum", goal: str = "ratings"
) -> tuple[Settings, str, str | None]:
    """Return settings, the folder of the model, and the folder of its grid if the options lead to a run.

    until : the last stage of that run; goal : of the model in use that is wanted.

    Raises
    ------
    SettingsError
        Both a model and settings are named, or neither.
    """
    if model:
        return *options.beside_model(model, goal), None
    settings = options.settings(or_model=True)
    with watching() as shown:
        paths = funkflow.run(settings, until=until, fresh=not resume, listeners=[interrupts, shown]).paths
    return settings, paths["model"], paths["grid"]


def quoted(value: str | list[str]) -> str:
    """Write a value as TOML, which refuses the surrogate pairs of plain JSON."""
    return json.dumps(value, ensure_ascii=False)


def missing(option: str) -> str:
    """Raise SettingsError for a command without the option for its file of pairs."""
    raise SettingsError(f"{option} is missing: name a file of (user, item) pairs")


def watching() -> Lines:
    """Return the listener that shows progress on standard error."""
    return terminal.watcher(console.Console(stderr=True), format_of(sys.argv[1:]))


def print_result(content: Mapping[str, object], as_json: bool, table: Any) -> None:
    """Print a result as one line of JSON, or as a table."""
    if as_json:
        print(json.dumps(masked_content(dict(content))))
    else:
        console.Console().print(table, soft_wrap=True, highlight=False)
