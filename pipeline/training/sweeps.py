"""How many chains of a sampler run at once, how many sweeps that makes, and which of them are one task.

Covers: the rules, by settings and the size of the data alone. Does not cover: the sweeps (methods/bayes.py).
"""

from __future__ import annotations

from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.settings.train import TrainSettings

TOGETHER, CHAIN_BYTES = 8, 16_000_000
"""Most chains that run at once, and the bytes of their rows, all together, up to which they do. A sweep of one small
chain leaves threads idle while it draws priors and items."""
FEW_RATINGS = 4_000_000
"""Up to so many training ratings a sweep of a chain is one task, so that threads and workers share chains, not rows of
blocks."""


def sweeps_of(grid: Grid, settings: TrainSettings) -> tuple[int, int]:
    """Return how many chains run together, a divisor of their number, and the sweeps of all groups of chains."""
    chosen, rows = settings.bayes, grid.users + grid.items
    most = min(TOGETHER, max(1, CHAIN_BYTES // (4 * (settings.rank + 2) * rows)))
    together = max(each for each in range(1, most + 1) if chosen.chains % each == 0)
    return together, (chosen.burn_in + chosen.draws) * chosen.chains // together


def are_few_ratings(ratings: int) -> bool:
    """Return whether a sweep of a chain is one task."""
    return ratings <= FEW_RATINGS
