"""The order of items for a user by draws of a posterior: by a quantile of the expected rating, or by chance.

Covers: the scores of some users and items, and the draw that a user gets by chance.
Does not cover: reading draws (drawn_rows.py), the choice of the best (tasks/serving/top_items.py, tasks/model/best.py).

Over draws the expected rating of a pair has a mean m and a deviation s. "lower" and "upper" order by m + z s, the
quantile of a normal distribution; the noise of ratings is left out, since it does not change what is expected. Lower
quantiles prefer what is surely good, upper ones what may be. Thompson sampling orders by one draw: an item comes first
as often as it is best, so far as is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from funkflow.tasks.errors import BadInput
from funkflow.tasks.late import late
from funkflow.tasks.mix import mix
from funkflow.tasks.model.draws.drawn_rows import DrawnRows
from funkflow.tasks.parsing.ids import hash_ids

if TYPE_CHECKING:
    from scipy import special
else:
    special = late("scipy.special")

By = Literal["mean", "lower", "upper", "thompson"]
_QUANTILES = {"lower": 0.1, "upper": 0.9}


@dataclass(frozen=True)
class ItemOrder:
    """What items are ordered by. `quantile` : of "lower" and "upper"; None: 0.1 and 0.9. `seed` : of "thompson"."""

    by: By = "mean"
    quantile: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in ("mean", "thompson", *_QUANTILES):
            raise BadInput(f'recommend.by is "mean", "lower", "upper" or "thompson", not {self.by!r}')
        if self.quantile is not None and self.by not in _QUANTILES:
            raise BadInput(f'recommend.quantile goes with recommend.by = "lower" or "upper", not {self.by!r}')
        if self.quantile is not None and not 0.0 < self.quantile < 1.0:
            raise BadInput(f"recommend.quantile = {self.quantile:g} is not between 0 and 1")

    @property
    def needs_draws(self) -> bool:
        """Whether the mean of all draws, which is the model, does not do."""
        return self.by != "mean"

    def draws_of(self, ids: pa.Array, draws: int) -> npt.NDArray[np.intp]:
        """Return the draw that each user gets by chance, from the seed and the raw id alone, int (n,)."""
        seeded = hash_ids(ids) ^ mix(np.array([self.seed], np.int64).view(np.uint64))
        return (mix(seeded) % np.uint64(draws)).astype(np.intp)

    def scores(
        self, users: DrawnRows, items: DrawnRows, chosen: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:  # fmt: skip
        """Return the scores of some users and items without the mean rating, float32 (n, m).

        users (n, D, k + 1); items (m, D, k + 1); chosen : the draw of each user, for "thompson".
        """
        if self.by == "thompson":
            found = np.empty((len(users), len(items)), np.float32)
            for draw in np.unique(chosen).tolist():
                own = chosen == draw
                found[own] = _products(users[own, draw], items[:, draw])
            return found
        draws = users.shape[1]
        first = _products(users[:, 0], items[:, 0])
        sums, squares = np.zeros_like(first), np.zeros_like(first)
        for draw in range(1, draws):
            away = _products(users[:, draw], items[:, draw])
            away -= first  # of about the size of the deviation, so that squares keep their digits
            sums += away
            squares += away * away
        sums /= draws
        if self.by != "mean":
            quantile = _QUANTILES[self.by] if self.quantile is None else self.quantile
            deviations = np.sqrt(np.maximum(squares / draws - sums**2, 0.0))
            sums += np.float32(special.ndtri(quantile)) * deviations
        return np.asarray(first + sums, np.float32)


def _products(users: npt.NDArray[np.float32], items: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return u·v + b_u + b_i of rows (n, k + 1) and (m, k + 1) with the biases last, float32 (n, m)."""
    found = users[:, :-1] @ items[:, :-1].T
    found += users[:, -1:]
    found += items[:, -1]
    return found
