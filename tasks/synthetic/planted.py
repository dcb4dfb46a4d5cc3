"""Sizes of a synthetic set, its planted low-rank model, and the activity of its users and films.

Covers: the plan (sizes of each shape, scaled by a fraction), the planted factors, and exact counts for every film.
Does not cover: the users of a film, noise, rounding and text (netflix_text.py), titles (titles.py).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from funkflow.tasks.errors import SettingsError
from funkflow.tasks.model.model import Model

Integers = npt.NDArray[np.int64]

RECIPE = 1
"""Increase it when a change here or in netflix_text.py changes the bytes, so that a run makes older sets again."""

MEAN = 3.62
"""Planted mean rating."""
USER_BIAS_DEVIATION = 0.38
ITEM_BIAS_DEVIATION = 0.42
FACTOR_VARIANCE = 0.36
"""Variance of U Vᵀ. With biases and noise the RMSEs are about those of the real set; see tests."""
FACTOR_DECAY = 0.65
"""Ratio of the variances of successive planted factors: real spectra fall, too, and training can learn them."""
NOISE_DEVIATION = 0.88
PLANTED_RANK = 20
TRUTH_PART_ROWS = 2**16
"""Users, or films, in a part of the saved planted model, so that a task can score it without reading all of it."""

USER_SPREAD = 1.55
"""Deviation of the logarithm of users' activity; median to mean is that of the real set (96 : 209)."""
TICKETS_PER_USER = 16
"""Mean number of tickets by which users are drawn; each has at least one, or about 1/16 of the mean activity."""
FILM_CEILING = 0.5
"""Greatest part of all users that rate one film (real: 232,944 of 480,189, 0.485)."""
FILM_HEADROOM_POWER = 0.6
"""Median to mean of the films' ratings is (mean / ceiling) to this power: 561 : 5,654 at the real density. A denser set
has less room for a tail."""
MOST_DENSITY = 0.2
"""Ratings / (users x films) above which the ceiling leaves no room for a long tail."""
LARGEST_USER_ID_PER_USER = 2_649_429 / 480_189

# Each use of a seed has its own stream of random numbers, so that none shifts another.
_MODEL, _ACTIVITY, _COUNTS = 0, 1, 2
FILM_STREAM, TITLE_STREAM = 3, 4


@dataclass(frozen=True)
class SetPlan:
    """Sizes and seed of a synthetic set, on which alone its bytes depend.

    `ratings` counts the probe, whose pairs are part of the data as in the real set; `qualifying` pairs are not.
    `selection` : how far people rate what they will like; 0: what they rate has nothing to do with their tastes.
    `moods` : deviation of how a user rates from day to day, in rating units; 0: days have nothing to do with ratings.
    """

    users: int
    items: int
    ratings: int
    probe: int
    qualifying: int
    seed: int
    selection: float = 0.0
    moods: float = 0.0

    @property
    def content(self) -> dict[str, Any]:
        """The fields of which the bytes are made."""
        newer = ("selection", "moods")
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in newer or value}

    def __post_init__(self) -> None:
        if not max(self.users, self.items) <= self.ratings <= MOST_DENSITY * self.users * self.items:
            raise SettingsError(
                f"{self.ratings:,} ratings by {self.users:,} users of {self.items:,} films are impossible: each user "
                f"and film needs one, and at most {MOST_DENSITY:.0%} of the pairs are rated; enlarge synth.fraction"
            )
        if not 0 <= self.probe <= self.ratings // 2:
            raise SettingsError(f"a probe of {self.probe:,} of {self.ratings:,} ratings is more than half of them")


_SHAPES = {
    "demo": {"users": 6_000, "items": 1_200, "ratings": 1_000_000, "probe": 50_000},
    "netflix": {"users": 480_189, "items": 17_770, "ratings": 100_480_507, "probe": 1_408_395},
}


def plan_set(
    shape: Literal["demo", "netflix"], fraction: float = 1.0, seed: int = 0, selection: float = 0.0, moods: float = 0.0
) -> SetPlan:
    """Return the sizes of a shape, scaled.

    Ratings and probe shrink by `fraction` F, users by F^0.8 and films by F^0.2. The density (ratings / (users x films))
    is then that of the whole, and users keep most of their ratings: at F = 0.05 the Netflix shape has 43,711 users
    of 115 ratings on average and 9,761 films of 515.

    Raises
    ------
    SettingsError
        The fraction is too small for one rating per film.
    """
    whole = _SHAPES[shape]
    probe = round(whole["probe"] * fraction)
    return SetPlan(
        users=max(1, round(whole["users"] * fraction**0.8)),
        items=max(1, round(whole["items"] * fraction**0.2)),
        ratings=round(whole["ratings"] * fraction),
        probe=probe,
        qualifying=probe // 10,
        seed=seed,
        selection=selection,
        moods=moods,
    )


def plant(plan: SetPlan) -> Model:
    """Draw the planted model of a plan: normal biases, and 20 normal factors of falling variance.

    Raw user ids ascend with gaps, film ids are 1..n. What it predicts, clipped to the scale, is the truth before noise
    and rounding: nothing fitted to the ratings can be expected to come below its RMSE by more than the clipping allows.
    """
    rng = stream(plan, _MODEL)
    largest = max(plan.users, round(plan.users * LARGEST_USER_ID_PER_USER))
    variances = FACTOR_DECAY ** np.arange(PLANTED_RANK)
    variances *= FACTOR_VARIANCE / variances.sum()
    deviations = np.sqrt(np.sqrt(variances)).astype(np.float32)  # of either side: the product has their squares
    return Model(
        mean=MEAN,
        scale=(1.0, 5.0),
        user_ids=np.sort(rng.choice(largest, plan.users, replace=False)).astype(np.int64) + 1,
        item_ids=np.arange(1, plan.items + 1, dtype=np.int64),
        user_biases=rng.standard_normal(plan.users, dtype=np.float32) * np.float32(USER_BIAS_DEVIATION),
        item_biases=rng.standard_normal(plan.items, dtype=np.float32) * np.float32(ITEM_BIAS_DEVIATION),
        user_factors=rng.standard_normal((plan.users, PLANTED_RANK), dtype=np.float32) * deviations,
        item_factors=rng.standard_normal((plan.items, PLANTED_RANK), dtype=np.float32) * deviations,
        about={"planted": plan.content, "noise_deviation": NOISE_DEVIATION},
    )


def write_truth(plan: SetPlan, folder: str) -> None:
    """Save the planted model in the open form, so that tasks score it like any other."""
    plant(plan).save(folder, TRUTH_PART_ROWS)


def planted_scores(model: Model, users: Integers, item: int) -> npt.NDArray[np.float32]:
    """Return the unclipped planted scores, float32 (n,), of `users` (n,) for one item, all row numbers.

    Products and sums go element by element, without BLAS: any number of threads gives the same bits.
    """
    products = model.user_factors[users]
    products *= model.item_factors[item]
    scores: npt.NDArray[np.float32] = products.sum(axis=1)
    scores += model.user_biases[users]
    scores += np.float32(model.mean + model.item_biases[item])
    return scores


def planted_tastes(model: Model, users: Integers, item: int) -> npt.NDArray[np.float32]:
    """Return the product of the planted factors of `users` (n,) and one item, float32 (n,), of deviation 1 overall."""
    products = model.user_factors[users] * model.item_factors[item]
    tastes: npt.NDArray[np.float32] = products.sum(axis=1) / np.float32(math.sqrt(FACTOR_VARIANCE))
    return tastes


def activity(plan: SetPlan) -> npt.NDArray[np.int32]:
    """Return the number of tickets of each user, int32 (users,) >= 1: log-normal with mean 16."""
    relative = np.exp(USER_SPREAD * stream(plan, _ACTIVITY).standard_normal(plan.users))
    tickets = np.rint(relative * (TICKETS_PER_USER / relative.mean()))
    least_one: npt.NDArray[np.int32] = np.maximum(tickets, 1).astype(np.int32)
    return least_one


@dataclass(frozen=True)
class FilmCounts:
    """For each film, int64 (items,): its ratings, those of them in the probe, and its qualifying pairs."""

    ratings: Integers
    probe: Integers
    qualifying: Integers


def film_counts(plan: SetPlan) -> FilmCounts:
    """Return the exact counts of every film; they sum to those of the plan.

    Ratings follow a log-normal law that bends below a ceiling, with the spread that gives the plan's mean.
    Probe and qualifying pairs are proportional to the ratings.
    """
    deviates = stream(plan, _COUNTS).standard_normal(plan.items)
    ratings = apportion(_film_law(deviates, plan), plan.ratings, 1, np.full(plan.items, plan.users))
    return FilmCounts(
        ratings=ratings,
        probe=apportion(ratings, plan.probe, 0, ratings - 1),
        qualifying=apportion(ratings, plan.qualifying, 0, plan.users - ratings),
    )


def _film_law(deviates: npt.NDArray[np.float64], plan: SetPlan) -> npt.NDArray[np.float64]:
    ceiling = FILM_CEILING * plan.users
    mean = plan.ratings / plan.items
    median = mean * (mean / ceiling) ** FILM_HEADROOM_POWER
    least, greatest = 0.0, 12.0
    for _ in range(60):
        spread = (least + greatest) / 2
        grown = np.exp(spread * deviates) * (median * ceiling / (ceiling - median))
        expected: npt.NDArray[np.float64] = grown * ceiling / (grown + ceiling)
        least, greatest = (spread, greatest) if expected.mean() < mean else (least, spread)
    return expected


def apportion(shares: npt.NDArray[Any], total: int, least: int, most: Integers) -> Integers:
    """Cut `total` into whole numbers in proportion to `shares` by largest remainder, each within [least, most].

    Raises
    ------
    ValueError
        `total` lies outside what the bounds allow.
    """
    if not least * len(shares) <= total <= int(most.sum()):
        raise ValueError(f"{total} cannot be cut into {len(shares)} parts between {least} and {int(most.sum())} in all")
    exact = np.clip(np.asarray(shares, dtype=np.float64) * (total / float(np.sum(shares))), least, most)
    counts = np.floor(exact).astype(np.int64)
    missing = total - int(counts.sum())
    order = np.argsort(counts - exact, kind="stable")
    while missing:
        free = order[counts[order] < most[order]] if missing > 0 else order[::-1][counts[order[::-1]] > least]
        moved = free[: abs(missing)]
        counts[moved] += int(math.copysign(1, missing))
        missing -= int(math.copysign(len(moved), missing))
    return counts


def stream(plan: SetPlan, *which: int) -> np.random.Generator:
    """Return the generator of one use of the plan's seed; equal arguments give equal numbers in any process."""
    return np.random.default_rng(np.random.SeedSequence([plan.seed, *which]))
