"""What a comparison can compare: the training methods, `als` with the goal of a ranking, and the most rated items.

Covers: the names, the settings of each run, and refusals before anything runs.
Does not cover: the runs (runs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from funkflow.pipeline.settings.methods import METHODS, without_effect
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.late import late

if TYPE_CHECKING:
    from funkflow.pipeline.settings import sections
else:  # the help lists names alone
    sections = late("funkflow.pipeline.settings.sections")

ALS_RANKING = "als-ranking"
"""train.method = "als" with train.goal = "ranking"; `als` alone completes the ratings."""
MOST_RATED = "most-rated"
"""No model: the items with the most training ratings, the same for every user."""
CONTENDERS = (*METHODS, MOST_RATED, ALS_RANKING)
"""In the order of their colours, in which als-ranking is far from als."""
PURE = {"biases": False, "center": False}


def named(method: str, rank: int | None, pure: bool, varied: str = "") -> str:
    """Return a run in words; varied : its value of a setting, as in "implicit=both"."""
    parts = (method, f"rank {rank}" if rank else "", "unbiased" if pure else "", varied)
    return ", ".join(part for part in parts if part)


def variants(vary: str) -> list[str]:
    """Return a word, such as "implicit=both", for each value of a setting of [train] that varies; [""] for none.

    Raises
    ------
    SettingsError
        It is no setting of [train], method and rank apart, or has one value alone.
    """
    if not vary:
        return [""]
    key, _, values = vary.partition("=")
    section, _, name = key.strip().partition(".")
    chosen = list(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
    if section != "train" or not name or name in ("method", "rank") or len(chosen) < 2:
        raise SettingsError(
            f"--vary {vary!r}: name a setting of [train] and two or more of its values, for instance "
            "train.implicit=none,both"
        )
    return [f"{name}={value}" for value in chosen]


def trained(methods: Sequence[str]) -> list[str]:
    """Return those of the contenders that are trained."""
    return [method for method in methods if method != MOST_RATED]


def refuse_contenders(settings: sections.Settings, methods: Sequence[str], ranks: Sequence[int]) -> None:
    """Raise SettingsError for a comparison that cannot be made: of unknown methods, without ranks, without measures."""
    for method in methods:
        if method not in CONTENDERS:
            raise SettingsError(f"there is no method {method!r}; methods are {', '.join(CONTENDERS)}")
    if not trained(methods) or not ranks or min(ranks) < 1:
        raise SettingsError("nothing to compare: name at least one method to train, and ranks of 1 or more")
    if settings.split.kind == "none":
        raise SettingsError('split.kind = "none" leaves no validation ratings to compare on; choose another')
    for method in methods:
        if method in (ALS_RANKING, MOST_RATED) and not settings.ranking.count:
            raise SettingsError(f"{method} has only a ranking to compare: set ranking.count above 0")


_BY_CONTENDER = ("goal", "stop_by")
"""Settings of [train] that go with one goal."""


def settings_for(
    settings: sections.Settings, method: str, rank: int, pure: bool, varied: str = ""
) -> sections.Settings:
    """Return the settings of one run, without those that have no effect with its method, or belong to another goal.

    Raises
    ------
    SettingsError
        The setting that varies has no effect with the method, or not this value.
    """
    content, ranks = settings.model_dump(exclude_unset=True), method == ALS_RANKING
    asked = {name: value for name, value in content.get("train", {}).items() if name not in _BY_CONTENDER}
    if ranks:
        content.pop("gate", None)  # a comparison has no gate, and gate.rmse_worse_by_at_most suits no ranking
        asked = {name: value for name, value in asked.items() if name not in PURE} | {"goal": "ranking"}
    elif "als" in asked:
        asked["als"] = {name: value for name, value in asked["als"].items() if name != "alpha"}
    train = {**asked, "method": "als" if ranks else method, "rank": rank, **(PURE if pure else {})}
    idle = without_effect(train["method"], train)
    content["train"] = {name: value for name, value in train.items() if name not in idle}
    chosen = sections.Settings.build(content, [f"train.{varied}"] if varied else [], "--vary")
    if varied:
        chosen.train.refuse_idle_settings()
    return chosen
