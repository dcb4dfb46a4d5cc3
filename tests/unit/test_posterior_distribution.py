"""Draws have the distribution of the posterior: of tiny models, whose parameters are drawn from the prior first.

Covers: Geweke's joint-distribution test and simulation-based calibration of a whole sweep, with exact solves and with
conjugate gradients, and posteriors that are known by quadrature.
Does not cover: the bias of few steps on real ratings (test_posterior_steps.py).

Geweke (2004): draw parameters from their prior and ratings from these; then sweep, and draw ratings anew, by turns. All
that is drawn keeps its distribution, if and only if a sweep keeps the posterior's. Chains begin anew many times. So
their ends are independent, and are compared with draws from the prior (Kolmogorov and Smirnov), by twenty and more
functions; all of them together fail a right sampler with probability 1e-4.

With 500 chains the least p-value, times the number of functions, is 0.8. It is below 1e-9 where noise on ratings or on
the prior mean is a third too small, where tau, or the precision of rows, is drawn from wrong counts, and where the
prior mean is not shrunk; 4e-6 where the prior weighs 1 in place of 1 / tau.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from exact_draws import SmallGrid, State
from scipy import stats
from sessions import only_long

from funkflow.tasks.grid.solved_rows import rows_of
from funkflow.tasks.noise import Stream
from funkflow.tasks.training.posterior import priors
from funkflow.tasks.training.posterior.priors import RowPrior

Matrix = npt.NDArray[np.float64]
FAILS = 1e-4
"""How often a test may fail a right sampler, over seeds."""
LATER = 2
"""The first sweep does not draw the prior of rows (priors.first_prior)."""
ALIKE = 1e12
"""With so large a nu all users have the same noise."""
SWEEPS = 2
"""Of a chain of Geweke's test. The last ratings are those of before its last sweep, which a wrong draw does not fit."""


@dataclass(frozen=True)
class Tiny:
    """A joint distribution of parameters and of ratings at fixed pairs."""

    grid: SmallGrid

    def state(self, rng: np.random.Generator) -> State:
        """Draw all parameters from their prior."""
        sides = [self._side(rng, side) for side in ("user", "item")]
        precision, shape = rng.gamma(priors.SHAPE, 1 / priors.RATE), float(rng.choice(priors.NOISE_SHAPES))
        precision = min(precision, 1 / priors.LEAST_VARIANCE)
        weights = rng.gamma(shape / 2, 2 / shape, self.grid.shape[0])
        return State(sides[0][1], sides[1][1], precision, shape, weights, sides[0][0], sides[1][0])

    def _side(self, rng: np.random.Generator, side: str) -> tuple[RowPrior, Matrix]:
        grid, width = self.grid, self.grid.rank + 2 * self.grid.biases
        precision = rng.gamma(priors.SHAPE, 1 / priors.RATE, width)
        mean, slope = rng.normal(size=(2, width)) / np.sqrt(priors.MEAN_WEIGHT * precision)
        counts = np.bincount(grid.i if side == "item" else grid.u, minlength=grid.shape[side == "item"])
        logs = np.log1p(counts[counts > 0])
        prior = RowPrior(mean, precision, slope / logs.std(), float(logs.mean()), 0.0)
        rows = rng.normal(size=(len(counts), width)) / np.sqrt(precision) + _means(prior, counts)
        place = grid.rank if side == "user" else grid.rank + 1
        return prior, rows_of(rows[:, : grid.rank], rows[:, min(place, width - 1)], side, grid.biases)

    def ratings(self, rng: np.random.Generator, state: State) -> SmallGrid:
        """Draw ratings from the parameters."""
        predicted = self.grid.predicted(state)
        return self.grid.rated(predicted + rng.normal(size=len(predicted)) / np.sqrt(self._precisions(state)))

    def _precisions(self, state: State) -> Matrix:
        """Return the precision of each rating."""
        assert state.weights is not None
        return np.asarray(state.precision * state.weights[self.grid.u])

    def functions(self, state: State, ratings: SmallGrid) -> Matrix:
        """Return what is compared, (functions,)."""
        assert state.weights is not None
        rated = np.bincount(self.grid.u, minlength=len(state.users)) > 0
        found: list[float] = [np.log(state.precision), state.shape, *state.weights[rated]]
        for side, rows, prior, ids in (
            ("users", state.users, state.user_prior, self.grid.u), ("items", state.items, state.item_prior, self.grid.i)
        ):  # fmt: skip
            assert prior is not None
            counts = np.bincount(ids, minlength=len(rows))
            rated = counts > 0
            free = ratings.model.objective.free(rows.shape[1], side) > 0
            means, precision, mine = _means(prior, counts)[:, free], prior.precision[free], rows[:, free]
            found += [*np.log(precision), *prior.mean[free], *prior.slope[free], *mine[rated][0], *mine[~rated][0]]
            found += [float(np.sum(precision * (mine - means)[rated] ** 2)), float(np.sum(mine[rated] ** 2))]
        away = ratings.targets - ratings.predicted(state)
        squares = float(self._precisions(state) @ away**2), float(away @ away)
        return np.array([*found, *squares, ratings.targets[0]])


def _means(prior: RowPrior, counts: npt.NDArray[np.int64]) -> Matrix:
    return np.asarray(prior.mean + np.outer(prior.away(counts.astype(float)), prior.slope))


def tiny(rng: np.random.Generator, rank: int = 2, biases: bool = True, steps: int = 12) -> Tiny:
    """Five users and four items, of whom the last have no ratings, in two by two blocks."""
    grid = SmallGrid.random(rng, (4, 3), 9, rank, biases=biases, steps=steps)
    return Tiny(replace(grid, shape=(5, 4), shards=2))


def geweke(model: Tiny, chains: int, exact: bool = False) -> float:
    """Return the least p-value of all functions, times their number."""
    rng = np.random.default_rng(11)
    states = [model.state(rng) for _ in range(10 * chains)]
    first = np.array([model.functions(each, model.ratings(rng, each)) for each in states])
    last = []
    for chain in range(chains):
        state = model.state(rng)
        for sweep in range(SWEEPS):
            ratings = model.ratings(rng, state)
            state = ratings.sweep(state, Stream(5, chain, LATER + sweep), exact=exact)
        last.append(model.functions(state, ratings))
    of_functions = [stats.kstest(*sides).pvalue for sides in zip(np.array(last).T, first.T, strict=True)]
    return float(min(of_functions) * len(of_functions))


@pytest.mark.parametrize(
    ("chains", "exact", "biases", "strict"),
    [
        (500, False, True, True),
        only_long(4_000, False, True, True),
        only_long(4_000, True, True, True),
        only_long(4_000, False, True, False),
        only_long(4_000, False, False, True),
    ],
)
def test_a_sweep_keeps_the_joint_distribution(
    chains: int, exact: bool, biases: bool, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`strict` : with narrower priors than those of trainings, which tell more of a wrong sampler."""
    if strict:
        monkeypatch.setattr(priors, "SHAPE", 3.0)
        monkeypatch.setattr(priors, "RATE", 2.0)
        monkeypatch.setattr(priors, "MEAN_WEIGHT", 2.0)
    assert geweke(tiny(np.random.default_rng(3), biases=biases), chains, exact) > FAILS


@pytest.mark.long
@pytest.mark.parametrize("exact", [False, True])
def test_ranks_of_the_truth_among_draws_are_uniform(exact: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulation-based calibration (Talts et al. 2018), from chains that begin at rows of 1."""
    monkeypatch.setattr(priors, "SHAPE", 3.0)
    monkeypatch.setattr(priors, "RATE", 2.0)
    rng, bins, thinned, trials = np.random.default_rng(12), 8, 6, 400
    model = tiny(np.random.default_rng(3))
    ranks = []
    for trial in range(trials):
        truth = model.state(rng)
        ratings = model.ratings(rng, truth)
        width = truth.users.shape[1]
        state, draws = State(np.ones((5, width)), np.ones((4, width)), 1.0), []
        for sweep in range(thinned * (bins + 2)):
            state = ratings.sweep(state, Stream(6, trial, LATER + sweep), exact=exact)
            if sweep % thinned == thinned - 1 and sweep > 3 * thinned:
                draws.append(_invariant(state, model.grid))
        assert len(draws) == bins - 1
        ranks.append(np.sum(_invariant(truth, model.grid) > np.array(draws), axis=0))
    p_values = [stats.chisquare(np.bincount(of_function, minlength=bins)).pvalue for of_function in np.array(ranks).T]
    assert min(p_values) * len(p_values) > FAILS, p_values


def _invariant(state: State, grid: SmallGrid) -> Matrix:
    """Functions that do not change with the signs and the order of factors, between which chains seldom move."""
    assert state.user_prior is not None
    assert state.weights is not None
    predicted = state.users @ state.items.T
    lengths = np.sum(state.users[:, : grid.rank] ** 2), np.sum(state.items[:, : grid.rank] ** 2)
    return np.array(
        [state.precision, state.weights[0], predicted[0, 0], predicted[1, 2], predicted[4, 1], predicted[2, 3],
         *lengths, np.sum(state.user_prior.precision[: grid.rank]), state.user_prior.precision[grid.rank]]
    )  # fmt: skip


@pytest.mark.parametrize("biases", [False, True])
def test_users_with_the_same_ratings_have_the_mean_and_covariance_of_their_posterior(biases: bool) -> None:
    """6,000 users with the same targets are so many draws of one normal distribution, which is known."""
    rng, users = np.random.default_rng(13), 6_000
    u, i = np.repeat(np.arange(users), 3), np.tile(np.arange(3), users)
    targets = np.tile(np.array([0.4, -1.2, 0.9], np.float32), users)
    grid = SmallGrid((users, 4), u, i, targets, 2, biases=biases)
    problem, drawn = grid.drawn_users(
        State(grid.rows(rng, "user"), grid.rows(rng, "item"), 2.5, ALIKE), Stream(4, 0, LATER)
    )
    free = grid.model.objective.free(2 + 2 * biases, "users") > 0
    y, prior = problem.items[0][:3], problem.prior
    inverse = np.linalg.inv(2.5 * y[:, free].T @ y[:, free] + np.diag(prior.precision[free]))
    fixed = y[:, ~free].sum(axis=1)
    mean = inverse @ (2.5 * y[:, free].T @ (targets[:3] - fixed) + (prior.precision * prior.mean)[free])
    white = (drawn[0].rows[:, free] - mean) @ np.linalg.cholesky(np.linalg.inv(inverse))
    assert stats.chi2.sf(users * np.sum(white.mean(axis=0) ** 2), free.sum()) > FAILS
    for f, column in enumerate(white.T):
        assert stats.kstest(column, "norm").pvalue > FAILS, f
    for pair in zip(*np.triu_indices(free.sum(), 1), strict=True):
        assert abs(np.mean(np.prod(white[:, list(pair)], axis=1))) * np.sqrt(users) < stats.norm.isf(FAILS / 2)


@pytest.mark.long
def test_one_rating_has_the_posterior_of_quadrature(monkeypatch: pytest.MonkeyPatch) -> None:
    """One user, one item, rank 1: priors and tau are integrated out by hand, and two numbers are left.

    With them out, a row is Student's t, and a rating has the weight (rate + (t - u v)^2 / 2)^-(shape + 1/2).
    """
    shape, rate, target = 3.0, 2.0, 1.5
    monkeypatch.setattr(priors, "SHAPE", shape)
    monkeypatch.setattr(priors, "RATE", rate)
    monkeypatch.setattr(priors, "NOISE_SHAPES", np.array([ALIKE]))
    line = np.linspace(-40, 40, 4_001)
    scale = np.sqrt(rate / shape * (1 + 1 / priors.MEAN_WEIGHT))
    of_row = stats.t.pdf(line / scale, 2 * shape)
    product = line[:, None] * line
    weight = of_row[:, None] * of_row * (rate + (target - product) ** 2 / 2) ** -(shape + 0.5)
    weight /= weight.sum()
    grid = SmallGrid(
        (1, 1), np.zeros(1, int), np.zeros(1, int), np.array([target], np.float32), 1, biases=False, steps=3
    )
    state, found = State(np.ones((1, 1)), np.ones((1, 1)), 1.0, ALIKE), []
    for sweep in range(20_000):
        state = grid.sweep(state, Stream(7, 0, LATER + sweep))
        found.append((float(state.users[0, 0]), float(state.items[0, 0])))
    users, items = np.array(found).T
    for at in (0.0, 0.7, 1.5):
        _near(users * items < at, float(weight[product < at].sum()))
        _near(np.abs(users) < at + 0.5, float(weight[np.abs(line) < at + 0.5].sum()))


@pytest.mark.long
def test_biases_alone_have_the_posterior_of_quadrature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given tau and the priors of both biases all is normal: sums over a grid of these three, the rest by hand."""
    monkeypatch.setattr(priors, "SHAPE", 3.0)
    monkeypatch.setattr(priors, "RATE", 2.0)
    monkeypatch.setattr(priors, "NOISE_SHAPES", np.array([ALIKE]))
    u, i = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    targets = np.array([1.0, 0.2, -0.4, -1.1, 0.8], np.float32)
    of_users, of_items = np.eye(3)[u], np.eye(2)[i]
    mean_of_users, mean_of_items = _mean_covariance(u), _mean_covariance(i)
    steps = np.exp(np.linspace(np.log(0.02), np.log(12.0), 60))
    log_weights, means = [], []
    for tau in steps:
        for of_user in steps:
            for of_item in steps:
                spread = of_users @ of_users.T / of_user + of_items @ of_items.T / of_item
                spread += mean_of_users / of_user + mean_of_items / of_item
                whole = spread + np.eye(5) / tau
                solved = np.linalg.solve(whole, targets)
                log = -0.5 * (targets @ solved + np.linalg.slogdet(whole)[1])
                log += sum(3.0 * np.log(each) - 2.0 * each for each in (tau, of_user, of_item))  # d log each
                log_weights.append(log)
                means.append([tau, *(spread @ solved)])
    weights = np.exp(np.array(log_weights) - np.max(log_weights))
    known = weights @ np.array(means) / weights.sum()
    grid = SmallGrid((3, 2), u, i, targets, 0, steps=2)
    state, found = State(np.ones((3, 2)), np.ones((2, 2)), 1.0, ALIKE), []
    for sweep in range(20_000):
        state = grid.sweep(state, Stream(8, 0, LATER + sweep))
        biases = state.users[u, 0] + state.items[i, 1]
        found.append([state.precision, *biases])
    for values, wanted in zip(np.array(found).T, known, strict=True):
        _near(values, float(wanted))


def _mean_covariance(ids: npt.NDArray[np.int64]) -> Matrix:
    """Return the covariance of the prior means of the biases of some ratings' rows, times their precision."""
    logs = np.log1p(np.bincount(ids))
    x = ((logs - logs.mean()) / logs.std())[ids]
    return np.asarray((1 + np.outer(x, x)) / priors.MEAN_WEIGHT)


def _near(values: npt.NDArray[np.generic], wanted: float) -> None:
    """Compare the mean of a chain with what is known, by means of 40 batches."""
    batches = np.array(values, float)[len(values) // 50 :]
    means = batches[: len(batches) // 40 * 40].reshape(40, -1).mean(axis=1)
    z = (means.mean() - wanted) / (means.std(ddof=1) / np.sqrt(40))
    assert abs(z) < stats.t.isf(FAILS / 12, 39), (means.mean(), wanted, z)
