"""What tests of the canonical form share: random factors of any rank and spectrum, and projectors to compare subspaces.

Covers: making and comparing. Does not cover: what is compared (test_canonical.py, test_decompositions.py).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from funkflow.tasks.model.about import About, write_about
from funkflow.tasks.model.canonical import Matrix
from funkflow.tasks.model.model import Model, write_factor_table


def _orthonormal(rng: np.random.Generator, rows: int, columns: int) -> Matrix:
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


@st.composite
def factors(draw: st.DrawFn) -> tuple[Matrix, Matrix]:
    """Factors (n, k), (m, k) of any shapes; their product may have equal and zero singular values, but not only zeros.

    The columns are mixed by a random k × k matrix and its inverse, so that neither side alone shows the spectrum.
    """
    n, m, k = draw(st.integers(1, 14)), draw(st.integers(1, 11)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    r = min(n, m, k)
    values = np.array([draw(st.sampled_from([3.0, 1.0, 1.0, 0.1, 0.0])) for _ in range(r)])
    values[draw(st.integers(0, r - 1))] = draw(st.sampled_from([1e-3, 1.0, 1e4]))
    left, right = np.zeros((n, k)), np.zeros((m, k))
    left[:, :r], right[:, :r] = _orthonormal(rng, n, r) * values, _orthonormal(rng, m, r)
    mixed = _orthonormal(rng, k, k) * rng.uniform(0.5, 2.0, k)
    return left @ mixed, right @ np.linalg.inv(mixed).T


def groups(values: Matrix, tolerance: float) -> list[slice]:
    """Cut falling values where neighbours differ by more than `tolerance`: the subspaces that can be compared.

    A group that reaches down to zero is left out: beside zeros, its columns may be any.
    """
    cuts = [0, *(np.flatnonzero(-np.diff(values) > tolerance) + 1).tolist(), len(values)]
    return [slice(start, stop) for start, stop in pairwise(cuts) if start < stop and values[stop - 1] > tolerance]


def projector(columns: npt.NDArray[np.floating]) -> Matrix:
    return np.asarray(columns @ columns.T)


def model_of(
    rng: np.random.Generator,
    users: int = 40,
    items: int = 17,
    rank: int = 6,
    biases: bool = True,
    text_ids: bool = False,
) -> Model:
    """A model with a falling spectrum and ids that are not their positions."""
    user_ids, item_ids = np.arange(users, dtype=np.int64) * 3 + 5, np.arange(items, dtype=np.int64) * 2 + 100
    if text_ids:
        user_ids, item_ids = (np.array([f"id {each}" for each in side], dtype=object) for side in (user_ids, item_ids))
    strength = np.geomspace(1.0, 0.05, rank)
    sides = [rng.normal(size=(count, rank)) * strength for count in (users, items)]
    shifts = [0.5 * rng.normal(size=count) for count in (users, items)]
    user_factors, item_factors, user_biases, item_biases = (each.astype(np.float32) for each in (*sides, *shifts))
    return Model(3.4, (1.0, 5.0), user_ids, item_ids, user_biases, item_biases, user_factors, item_factors)


def dense(model: Model) -> Matrix:
    """All unclipped predictions, by the formula."""
    product = model.user_factors.astype(np.float64) @ model.item_factors.astype(np.float64).T
    return np.asarray(product + model.mean + model.user_biases[:, np.newaxis].astype(np.float64) + model.item_biases)


def saved_in_parts(model: Model, folder: str, parts: int) -> Model:
    """Save a model as a run exports it, row d in part d mod `parts`; return it as it is then loaded, in that order."""
    written = {}
    for side in ("user", "item"):
        columns = [getattr(model, f"{side}_{name}") for name in ("ids", "biases", "factors")]
        places = [f"{folder}/{side}_factors.parquet/part.{number:05d}.parquet" for number in range(parts)]
        written[side] = [
            write_factor_table(place, *(column[number::parts] for column in columns))
            for number, place in enumerate(places)
        ]
    id_type: Literal["integer", "string"] = "string" if model.user_ids.dtype == object else "integer"
    about: About = {"id_types": {"user": id_type, "item": id_type}}
    write_about(folder, model.mean, model.scale, model.rank, written, about)
    return Model.load(folder)
