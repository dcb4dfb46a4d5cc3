"""How long a sampler samples: chains, draws, the rank of their mean, and how many chains run at once.

Covers: the rules, by settings and the size of the data alone. Does not cover: the sweeps (methods/bayes.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from funkflow.pipeline.planning.posterior_memory import CHAIN_BYTES, TOGETHER
from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.settings.train import TrainSettings

FEW_RATINGS = 4_000_000
"""Up to so many training ratings a sweep of a chain is one task, so that threads and workers share chains, not rows of
blocks."""
FEW_FOR_CHAINS = 300_000
"""Up to so many training ratings there are more chains and fewer draws of each."""
MEAN_BYTES = 16_000_000
"""Up to so many bytes the mean has four times the rank of a draw, above only twice."""


@dataclass(frozen=True)
class SamplingSize:
    """The numbers of a sampler: `chains`, `draws` of each, `mean_rank` of the model.

    `implicit` : whose second factors make means of rows.
    """

    chains: int
    draws: int
    mean_rank: int
    implicit: str


def sampling_size(grid: Grid, _scale: tuple[float, float], settings: TrainSettings) -> SamplingSize:
    """Return the numbers of a sampler.

    Chains from several optima differ more than draws of one chain, and their mean is better than that of as many draws
    of one chain: MovieLens 1M (hash 10 %, seed 0), rank 32, 96 to 128 draws, 1, 4 and 8 chains 0.8343, 0.8326, 0.8315.
    On MovieLens 100K (u5, rank 16) 8 chains of 16 draws have 0.8985, and 32 of 8 have 0.8975.
    """
    chosen, few = settings.bayes, grid.ratings <= FEW_FOR_CHAINS
    rank = chosen.mean_rank
    if rank is None:
        rank = settings.rank * (4 if 16 * settings.rank * (grid.users + grid.items) <= MEAN_BYTES else 2)
    return SamplingSize(
        chains=chosen.chains or (32 if few else 8), draws=chosen.draws or (8 if few else 16),
        mean_rank=min(rank, grid.users, grid.items),
        implicit=settings.implicit_for(grid.ratings, grid.users + grid.items),
    )  # fmt: skip


def sweeps_of(grid: Grid, settings: TrainSettings) -> tuple[int, int]:
    """Return how many chains run together, a divisor of their number, and the sweeps of all groups of chains."""
    size, rows = sampling_size(grid, (0.0, 0.0), settings), grid.users + grid.items
    most = min(TOGETHER, max(1, CHAIN_BYTES // (4 * (settings.rank + 2) * rows)))
    together = max(each for each in range(1, most + 1) if size.chains % each == 0)
    return together, (settings.bayes.burn_in + size.draws) * size.chains // together


def are_few_ratings(ratings: int) -> bool:
    """Return whether a sweep of a chain is one task."""
    return ratings <= FEW_RATINGS
