"""The benchmark of draws beside myFM (bench/who_and_when/): its features, and what its table says.

Covers: values and priors' groups of the matrices, the first time at an error, cells of a program that failed.
Does not cover: running either program (tests/commands/test_bench_who_and_when.py).
"""

from __future__ import annotations

import numpy as np

from bench.who_and_when.comparison import Compared, Drawn, markdown
from bench.who_and_when.features import RATED, Features
from bench.who_and_when.parts import PARTS

TRAINING = np.array([(0, 0, 5, 0), (0, 2, 3, 1), (1, 2, 4, 1)], RATED)
VALIDATION = np.array([(1, 0, 2, 2), (2, 1, 1, 0)], RATED)
OURS = Drawn(0.81, 9.0, 12.0, [(1, 2.0, 0.9), (2, 4.0, 0.8204), (3, 6.0, 0.81)])
MYFM = Drawn(0.82, 30.0, 28.0, [(1, 10.0, 0.9), (2, 20.0, 0.8203), (3, 30.0, 0.82)])


def test_without_features_a_user_is_one_column_and_an_item_another() -> None:
    features = Features.of(TRAINING, VALIDATION, who=False, when=False)
    assert features.users.toarray().tolist() == np.eye(3).tolist()
    assert features.items.toarray().tolist() == np.eye(3).tolist()
    assert features.groups == (3, 3)
    assert features.days_of(VALIDATION).shape == (2, 0)


def test_who_rated_what_counts_training_pairs_by_one_over_the_root_of_their_number() -> None:
    features = Features.of(TRAINING, VALIDATION, who=True, when=True)
    half = 0.5**0.5
    assert np.allclose(features.users.toarray()[:, 3:], [[half, 0, half], [0, 0, 1], [0, 0, 0]])
    assert np.allclose(features.items.toarray()[:, 3:], [[1, 0, 0], [0, 0, 0], [half, half, 0]])
    assert np.allclose(features.users.toarray()[:, :3], np.eye(3))


def test_groups_are_in_the_order_of_columns_days_first() -> None:
    training = np.append(TRAINING, np.array([(0, 4, 1, 0)], RATED))
    features = Features.of(training, VALIDATION, who=True, when=True)
    assert features.groups == (3, 3, 5, 5, 3)
    assert sum(features.groups) == features.days + features.users.shape[1] + features.items.shape[1]
    assert features.days_of(VALIDATION).toarray().tolist() == [[0, 0, 1], [1, 0, 0]]


def test_first_time_at_an_error() -> None:
    assert [OURS.first_at(goal) for goal in (0.95, 0.82, 0.7)] == [2.0, 6.0, None]


def test_table_has_the_time_of_ours_to_the_error_of_myfm() -> None:
    heads, rule, *rows = markdown([Compared(PARTS[0], OURS, MYFM), Compared(PARTS[1], OURS, Drawn(failed="no"))]).split(
        "\n"
    )
    assert len({line.count("|") for line in (heads, rule, *rows)}) == 1
    assert rows[0] == "| user and item | 0.8100 | 9 | 12 | 0.8200 | 30 | 28 | 3 | 6 | 4 | 20 |"
    assert rows[1] == "| and who rated what | 0.8100 | 9 | 12 | failed: no |  |  |  |  |  |  |"
    worse = Compared(PARTS[0], Drawn(0.9, 2.0, 3.0, OURS.trace[:1]), MYFM)
    assert worse.cells()[-3:] == ["never", "never", "20"]
