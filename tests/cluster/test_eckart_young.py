"""On a matrix without gaps, following the gradient ends at the truncated SVD (Eckart and Young 1936).

Covers: batch and stochastic descent in the pure form, against numpy.linalg.svd, on random, nearly low-rank and
ill-conditioned matrices: on the one block by itself, whose thousands of steps take no cluster, and once each through
the whole stage, which gives the same bits.
Does not cover: matrices with gaps, where there is no such yardstick (test_quality.py).
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import Heard
from fully_observed import PURE, RANK, descended, distance, factorised, followed, matrix_of

from funkflow.pipeline.settings.sections import TrainSettings
from funkflow.pipeline.training.methods.batch import train_batch
from funkflow.pipeline.training.methods.sgd import train
from funkflow.tasks.training.gradient_descent import Reason

STEP = 0.2


@pytest.mark.parametrize("kind", ["random", "ratings", "low rank", "ill-conditioned", "hilbert"])
def test_batch_reaches_the_truncated_svd(kind: str) -> None:
    """With default settings: the line search needs no step size.

    Hilbert's fifth singular value is 4e-5 of the first: the way there is long and flat, and it is near enough before
    the gradient has vanished to the tolerance.
    """
    found, last = followed(matrix_of(kind))
    off = distance(matrix_of(kind), found)
    assert last.reason is Reason.CONVERGED or kind == "hilbert"
    assert abs(off.excess) <= 1e-6
    assert off.sigma <= 1e-3


@pytest.mark.parametrize(
    ("kind", "epochs"),
    [("random", 6000), ("ratings", 1000), ("low rank", 300), ("ill-conditioned", 300), ("hilbert", 2500)],
)
def test_stochastic_descent_comes_close(kind: str, epochs: int) -> None:
    """With more and longer steps than its defaults, which are for millions of ratings and early stopping.

    The rate of a row is step / sqrt(sum of its squared gradients). What no matrix of that rank can explain stays in
    every gradient, so the sum grows with the epochs, the rates fall as their root, and the way gone in T epochs is
    about step sqrt(T): 100 epochs from 0.05 go a thirteenth of the way that 1,000 from 0.2 go. Where sigma_5 and
    sigma_6 are close together (random) or sigma_5 is small (Hilbert) the way is longest. It is not noise that keeps it:
    if the steps besides fall by themselves to a tenth over the epochs, "ratings" and Hilbert's matrix come later and
    the random one hardly sooner. Steps from 0.4 on diverge in the first epochs, on all but "ratings".
    """
    off = distance(matrix_of(kind), descended(matrix_of(kind), epochs, STEP))
    assert off.excess <= 1e-3
    assert off.sigma <= 1e-3


def test_a_whole_run_of_stochastic_descent_is_that_of_the_block(heard: Heard) -> None:
    matrix, epochs = matrix_of("low rank"), 300
    settings = TrainSettings(rank=RANK, epochs=epochs, step=STEP, checkpoint_epochs=epochs // 2, **PURE)
    found, manifest = factorised(heard.context, matrix, settings, train)
    assert distance(matrix, found).excess <= 1e-3
    # Of the epochs the one with the least training error is kept, which is not always the last.
    alone = descended(matrix, manifest.best_epoch, STEP, manifest.steps.deviation)
    np.testing.assert_array_equal(found, alone)


def test_a_whole_run_of_batch_descent_is_that_of_the_block(heard: Heard) -> None:
    matrix = matrix_of("low rank")
    found, manifest = factorised(heard.context, matrix, TrainSettings(method="batch", rank=RANK, **PURE), train_batch)
    assert abs(distance(matrix, found).excess) <= 1e-6
    alone, last = followed(matrix, manifest.steps.deviation)
    assert manifest.reason == Reason.CONVERGED.value
    assert last.reason is Reason.CONVERGED
    np.testing.assert_array_equal(found, alone)
