"""Turn a planted model into Netflix Prize text, film by film; the division of films into tasks changes nothing.

Covers: the users, ratings and days of a film, its probe and qualifying pairs, and the lines of text.
Does not cover: sizes and the planted model (planted.py), titles (titles.py), the films of a task
(pipeline/stages/synthesise.py).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from funkflow.tasks.mix import mix
from funkflow.tasks.model.model import Model
from funkflow.tasks.storage import files
from funkflow.tasks.storage.filesystems import streamed
from funkflow.tasks.synthetic.planted import (
    FILM_STREAM,
    NOISE_DEVIATION,
    FilmCounts,
    Integers,
    SetPlan,
    activity,
    film_counts,
    plant,
    planted_scores,
    planted_tastes,
    stream,
)

FIRST_DAY = datetime.date(1999, 11, 11)
LAST_DAY = datetime.date(2005, 12, 31)
DAYS = (LAST_DAY - FIRST_DAY).days + 1

_ASKED = 3
"""Users among whom those who rate a film are chosen, as a multiple of their number."""
_SCAN_PART = 0.1
"""Above this part of all users, one random key per user is cheaper than tickets, some of which repeat."""

_DAY_RATINGS = 8
"""Films that a user rates on a day, with moods."""
_LINE = np.dtype([("user", "S7"), ("rating", "S3"), ("date", "S11")])
_RATINGS = np.array([b",1,", b",2,", b",3,", b",4,", b",5,"])
_DATES = np.array([f"{FIRST_DAY + datetime.timedelta(days=day)}\n".encode() for day in range(DAYS)])


@dataclass(frozen=True)
class Film:
    """The ratings of one film. Users are row numbers of the planted model.

    users int64 (n,) distinct, in no order, as in the real files; ratings int8 (n,) 1..5; days int64 (n,)
    since FIRST_DAY; probe int64 (p,): positions within `users`; qualifying int64 (q,): users who did not rate
    the film; qualifying_days int64 (q,).
    """

    users: Integers
    ratings: npt.NDArray[np.int8]
    days: Integers
    probe: Integers
    qualifying: Integers
    qualifying_days: Integers


@dataclass(frozen=True)
class FilmText:
    """One film as text: `ratings` is a header `17:` and `lines` ratings; the other texts may be empty."""

    item: int
    lines: int
    ratings: bytes
    probe: bytes
    qualifying: bytes


@dataclass(frozen=True)
class FilmSource:
    """The source of random films of a plan; each task makes its own (about 0.2 s at the Netflix shape)."""

    plan: SetPlan
    model: Model
    counts: FilmCounts
    tickets: npt.NDArray[np.int32]
    holders: npt.NDArray[np.int32]

    @classmethod
    def of(cls, plan: SetPlan) -> FilmSource:
        tickets = activity(plan)
        holders = np.repeat(np.arange(plan.users, dtype=np.int32), tickets)
        return cls(plan, plant(plan), film_counts(plan), tickets, holders)


def film_texts(plan: SetPlan, first: int, stop: int) -> Iterator[FilmText]:
    """Yield the text of the films with row numbers first..stop-1, in order.

    Memory is that of the source (about 200 bytes per user) and of one film.
    """
    source = FilmSource.of(plan)
    names = source.model.user_ids.astype("S7")
    for item in range(first, stop):
        yield film_text(draw_film(source, item), item + 1, names)


def draw_film(source: FilmSource, item: int) -> Film:
    """Draw one film: its users by activity, their rounded noisy ratings, and days that become denser with time.

    The probe is a uniform sample of the ratings, so it has the distribution of the training ratings. (The real
    one holds some of each user's latest ratings, which gives light users more weight.)
    """
    rng = stream(source.plan, FILM_STREAM, item)
    users = choose_users(source, item, rng)
    scores = planted_scores(source.model, users, item)
    scores += np.float32(NOISE_DEVIATION) * rng.standard_normal(len(users), dtype=np.float32)
    days = draw_days(source, users, rng) if source.plan.moods else None
    if days is not None:
        scores += np.float32(source.plan.moods) * moods(source.plan, users, days)
    qualifying = _draw_others(users, source.plan.users, int(source.counts.qualifying[item]), rng)
    return Film(
        users=users,
        ratings=np.clip(np.rint(scores), 1, 5).astype(np.int8),
        days=_draw_days(len(users), rng) if days is None else days,
        probe=rng.choice(len(users), int(source.counts.probe[item]), replace=False),
        qualifying=qualifying,
        qualifying_days=_draw_days(len(qualifying), rng),
    )


def choose_users(source: FilmSource, item: int, rng: np.random.Generator) -> Integers:
    """Return the users who rate a film, distinct, int64, in random order.

    With selection s they are chosen among three times as many, by activity, with a chance in proportion to exp(s t),
    where t is how far a user's tastes meet the film: so who rated what tells about tastes, as it does in real sets.
    """
    count, selection = int(source.counts.ratings[item]), source.plan.selection
    if not selection:
        return draw_users(source, count, rng)
    asked = draw_users(source, min(_ASKED * count, source.plan.users), rng)
    keys = rng.standard_exponential(len(asked), dtype=np.float32)
    keys *= np.exp(np.float32(-selection) * planted_tastes(source.model, asked, item))
    chosen = np.argpartition(keys, count - 1)[:count] if count < len(keys) else np.arange(len(keys))
    return rng.permutation(asked[chosen])


def draw_users(source: FilmSource, count: int, rng: np.random.Generator) -> Integers:
    """Return `count` distinct users, int64, with probability by their tickets, in random order.

    For few users, draw tickets until enough users are distinct. For many, take the least exponential keys E / tickets,
    which has the same distribution.
    """
    if count > _SCAN_PART * source.plan.users:
        keys = rng.standard_exponential(source.plan.users, dtype=np.float32) / source.tickets
        distinct = np.argpartition(keys, count - 1)[:count] if count < len(keys) else np.arange(len(keys))
        return rng.permutation(distinct)
    is_drawn = np.zeros(source.plan.users, dtype=bool)
    missing = count
    while missing > 0:
        is_drawn[source.holders[rng.integers(0, len(source.holders), missing + missing // 8 + 8)]] = True
        missing = count - int(np.count_nonzero(is_drawn))
    return rng.permutation(np.flatnonzero(is_drawn))[:count]


def _draw_others(users: Integers, population: int, count: int, rng: np.random.Generator) -> Integers:
    free = np.ones(population, dtype=bool)
    free[users] = False
    chosen: list[int] = []
    while len(chosen) < count:
        user = int(rng.integers(population))
        if free[user]:
            free[user] = False
            chosen.append(user)
    return np.array(chosen, dtype=np.int64)


def draw_days(source: FilmSource, users: Integers, rng: np.random.Generator) -> Integers:
    """Return for each user one of their days, int64 (n,): as many as they rate on, _DAY_RATINGS films on each."""
    plan = source.plan
    rated = source.tickets[users] * (plan.ratings / int(source.tickets.sum()))
    which = (rng.random(len(users)) * np.maximum(1.0, np.rint(rated / _DAY_RATINGS))).astype(np.int64)
    return _days_at(_uniform(plan, users, which))


def moods(plan: SetPlan, users: Integers, days: Integers) -> npt.NDArray[np.float32]:
    """Return a standard normal number for each user on a day, float32 (n,), the same for all films (Box & Muller)."""
    radius, angle = (_uniform(plan, users, DAYS * (1 + number) + days) for number in (10_000, 20_000))
    normals = np.sqrt(-2.0 * np.log1p(-radius)) * np.cos(2.0 * np.pi * angle)
    return np.asarray(normals, np.float32)


def _uniform(plan: SetPlan, users: Integers, numbers: Integers) -> npt.NDArray[np.float64]:
    """Return a hash of each user with a number as a part of 1, float64 (n,)."""
    seeded = mix(np.array([plan.seed + 1], np.uint64)) ^ mix(users.astype(np.uint64) + np.uint64(1))
    return np.asarray((mix(seeded ^ (numbers.astype(np.uint64) << np.uint64(1))) >> np.uint64(11)) * 2.0**-53)


def _draw_days(count: int, rng: np.random.Generator) -> Integers:
    return _days_at(rng.random(count))


def _days_at(parts: npt.NDArray[np.float64]) -> Integers:
    # The fourth root puts half of the ratings after 2004, as in the real set.
    return (DAYS * np.sqrt(np.sqrt(parts))).astype(np.int64)


def film_text(film: Film, item_id: int, names: npt.NDArray[np.bytes_]) -> FilmText:
    """Return one film as Netflix text; `names` are raw user ids by row number, as bytes."""
    header = f"{item_id}:\n".encode()
    lines = np.empty(len(film.users), dtype=_LINE)
    lines["user"] = names[film.users]
    lines["rating"] = _RATINGS[film.ratings - 1]
    lines["date"] = _DATES[film.days]
    # Zero bytes pad short ids; removing them from the whole is several times faster than joining strings.
    ratings = header + lines.tobytes().translate(None, b"\0")
    probe = b"".join(name + b"\n" for name in names[film.users[film.probe]])
    qualifying = b"".join(
        name + b"," + day for name, day in zip(names[film.qualifying], _DATES[film.qualifying_days], strict=True)
    )
    return FilmText(
        item=item_id,
        lines=len(lines),
        ratings=ratings,
        probe=header + probe if probe else b"",
        qualifying=header + qualifying if qualifying else b"",
    )


@dataclass(frozen=True)
class FilmTotals:
    """Sizes of a range of films, and its parts of the probe and qualifying files."""

    ratings: int
    size_bytes: int
    probe: bytes
    qualifying: bytes


def write_combined(plan: SetPlan, first: int, stop: int, url: str) -> FilmTotals:
    """Write the films first..stop-1 one after another into one file, with the memory of `film_texts`."""
    with streamed(url) as file:
        return _gather(plan, first, stop, lambda text: file.write(text.ratings))


def write_apart(plan: SetPlan, first: int, stop: int, folder: str) -> FilmTotals:
    """Write each of the films first..stop-1 into its own file mv_0000001.txt."""
    return _gather(
        plan, first, stop, lambda text: files.write_bytes(files.join(folder, f"mv_{text.item:07d}.txt"), text.ratings)
    )


def _gather(plan: SetPlan, first: int, stop: int, write: Callable[[FilmText], object]) -> FilmTotals:
    ratings = size = 0
    probe, qualifying = [], []
    for text in film_texts(plan, first, stop):
        write(text)
        ratings += text.lines
        size += len(text.ratings)
        probe.append(text.probe)
        qualifying.append(text.qualifying)
    return FilmTotals(ratings, size, b"".join(probe), b"".join(qualifying))
