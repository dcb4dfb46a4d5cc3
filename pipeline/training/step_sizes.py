"""Scaling and step sizes of a training, from the grid's sums and [train].

Covers: the numbers of every gradient method; the default rule where a setting is missing.
Does not cover: the rule (tasks/grid/default_rule.py).
"""

from __future__ import annotations

from funkflow.pipeline.root.manifests import Grid
from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.tasks.grid.default_rule import STEP, l2_for, step_for
from funkflow.tasks.grid.scaling import Scaling, StepSizes


def scaling_of(grid: Grid, center: bool) -> Scaling:
    """Return the scaling of the training ratings of a grid."""
    return Scaling.of(grid.mean, grid.mean_square, center, grid.variance)


def steps_of_method(
    grid: Grid, settings: TrainSettings, step: float, bias_step: float, l2_share: float = 1.0
) -> StepSizes:
    """Return the numbers of a method's step.

    Parameters
    ----------
    step, bias_step : of factors, and of biases if the model has them.
    l2_share : the method's multiple of the rule's L2 term.
    """
    scaling = scaling_of(grid, settings.center)
    l2 = settings.l2
    if l2 is None:
        l2 = l2_share * l2_for(grid.ratings, grid.users, grid.items)
    return StepSizes(scaling.mean, scaling.deviation, l2, step, bias_step if settings.biases else 0.0)


def step_sizes(grid: Grid, settings: TrainSettings) -> StepSizes:
    """Return the numbers of stochastic descent; they are part of a run's id, whatever its method."""
    # With few ratings biases get no longer steps: they would learn more noise.
    return steps_of_method(grid, settings, settings.step or step_for(grid.ratings), settings.step or STEP)
