"""The measured constants that a prediction of time rests on, and the file they lie in.

Covers: what each constant means and its unit, the values between measured ranks, reading and writing
the file, and the reference values that ship in conf/.
Does not cover: measuring them (calibrate.py), or what is made of them (task_costs.py).
"""

from __future__ import annotations

import json
from importlib import resources

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from funkflow.tasks.errors import DamagedFile, SettingsError
from funkflow.tasks.storage import files

FORMAT_VERSION = 1
REFERENCE = "conf/constants.json"
_POSITIVE = Field(gt=0)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RankConstants(_Frozen):
    """What one thread takes at one rank, in seconds.

    `seconds_per_rating` : a step of descent where both rows are in the cache and up to date; `seconds_per_swept_row` :
    bringing up to date, and into the cache, one of the rows of a tile or of a group of users, all in turn;
    `seconds_per_single_row` : the same of one row alone, for one rating; `seconds_per_scored_rating` : predicting one
    held-out rating.
    """

    rank: int = Field(ge=1)
    seconds_per_rating: float = _POSITIVE
    seconds_per_swept_row: float = Field(ge=0)
    seconds_per_single_row: float = Field(ge=0)
    seconds_per_scored_rating: float = _POSITIVE


class Constants(_Frozen):
    """One machine's constants: rates in bytes a second, costs in seconds.

    `thread_loss`, `copy_thread_loss` : n threads of a machine do n / (1 + loss (n - 1)) times what one does.
    `copy_bytes_per_second` : one thread that copies shards, which reads and writes as many bytes.
    `dispatch_seconds` : handing one tile, or one block, to a thread; one at a time in each worker.
    `scheduler_seconds_per_task`, `client_seconds_per_task` : work of the scheduler's and the client's one thread;
    `client_seconds_per_block` : the client's for each block that a task goes through, putting them in order.
    `hop_seconds` : from the end of a task to the begin of the one that waited for it, with nothing to transfer.
    `bandwidth_bytes_per_second` : into one worker process from another, both busy with an exchange; `transfer_seconds`
    : of a transfer that has no bytes.
    `store_write_bytes_per_second`, `store_read_bytes_per_second` : checkpoints, with checksums, all workers together.
    `spread` : for each of these, (greatest - least) / median of what was measured; `about` : machine, versions, date.
    """

    ranks: tuple[RankConstants, ...] = Field(min_length=1)
    thread_loss: float = Field(ge=0)
    copy_bytes_per_second: float = _POSITIVE
    copy_thread_loss: float = Field(ge=0)
    dispatch_seconds: float = Field(ge=0)
    scheduler_seconds_per_task: float = Field(ge=0)
    client_seconds_per_task: float = Field(ge=0)
    client_seconds_per_block: float = Field(ge=0)
    hop_seconds: float = Field(ge=0)
    bandwidth_bytes_per_second: float = _POSITIVE
    transfer_seconds: float = Field(ge=0)
    store_write_bytes_per_second: float = _POSITIVE
    store_read_bytes_per_second: float = _POSITIVE
    spread: dict[str, float] = Field(default_factory=dict)
    about: dict[str, str] = Field(default_factory=dict)

    def at(self, rank: int) -> RankConstants:
        """Return the constants of a rank: between measured ranks on a line, outside in proportion to the nearest."""
        known = sorted(self.ranks, key=lambda each: each.rank)
        ranks = [each.rank for each in known]
        beyond = rank / min(max(rank, ranks[0]), ranks[-1])

        def of(name: str) -> float:
            return float(np.interp(rank, ranks, [getattr(each, name) for each in known])) * beyond

        return RankConstants(
            rank=rank,
            seconds_per_rating=of("seconds_per_rating"),
            seconds_per_swept_row=of("seconds_per_swept_row"),
            seconds_per_single_row=of("seconds_per_single_row"),
            seconds_per_scored_rating=of("seconds_per_scored_rating"),
        )

    def slowdown(self, threads: int) -> float:
        """Return how many times as long a kernel takes in each of so many threads of one machine."""
        return 1.0 + self.thread_loss * (threads - 1)

    def copy_slowdown(self, threads: int) -> float:
        """Return the same for copies."""
        return 1.0 + self.copy_thread_loss * (threads - 1)


def write_constants(url: str, constants: Constants) -> None:
    """Write the file, whole or not at all."""
    files.write_json(url, {**constants.model_dump(mode="json"), "format_version": FORMAT_VERSION})


def read_constants(url: str) -> Constants:
    """Read what `write_constants` wrote.

    Raises
    ------
    DamagedFile, SettingsError
        Missing or not JSON; of another version, or with a value that cannot be.
    """
    return _checked(files.read_json(url), url)


def reference_constants() -> Constants:
    """Return the constants of the reference machine, which ship with funkflow."""
    text = resources.files("funkflow.conf").joinpath("constants.json").read_text(encoding="utf-8")
    return _checked(json.loads(text), REFERENCE)


def constants_for(root: str, named: str = "") -> tuple[Constants, str]:
    """Return constants and where they are from: the file that is named, else this root's, else the reference."""
    if named:
        if not files.exists(named):
            raise SettingsError(
                f"{named}: there is no such file of constants (--constants); funkflow calibrate makes one"
            )
        return read_constants(named), named
    own = calibration_url(root)
    if files.exists(own):
        return read_constants(own), own
    return reference_constants(), f"{REFERENCE}: another machine; funkflow calibrate measures this one"


def calibration_url(root: str) -> str:
    """Return where `funkflow calibrate` leaves its constants under a root."""
    return files.join(root, "constants.json")


def _checked(content: object, url: str) -> Constants:
    if not isinstance(content, dict):
        raise DamagedFile(f"{url}: not a file of constants; make a new one with funkflow calibrate")
    content = dict(content)
    version = content.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise SettingsError(
            f"{url}: constants of format version {version}, this is {FORMAT_VERSION}; make new ones with funkflow "
            "calibrate"
        )
    try:
        return Constants.model_validate(content)
    except ValidationError as cause:
        first = cause.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{url}: {where}: {first['msg'].lower()} (it is {first['input']!r}); make a new one with funkflow calibrate"
        ) from cause
