"""Features of the users and items of made ratings, as files of a dataset.

Covers: a number and two words of each row. Does not cover: what is asserted (tests/cluster/test_train_bayes.py).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from scipy import sparse

from funkflow.pipeline.root.manifests import Grid
from funkflow.tasks.dataset.feature_rows import write_feature_rows
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.row_features import RowFeatures
from funkflow.tasks.storage import files


def features_of(folder: str, blocks: Grid) -> dict[str, Place]:
    """Write features of both sides; return the places of their files."""
    return {
        side: _written(files.join(folder, f"{side}.parquet"), rows)
        for side, rows in (("user", blocks.users), ("item", blocks.items))
    }


def _written(url: str, rows: int) -> Place:
    rng, ids = np.random.default_rng(rows), pa.array(np.arange(rows))
    matrix = sparse.csr_array(np.column_stack([rng.normal(size=rows), np.eye(3)[rng.integers(0, 3, rows), :2]]))
    found = RowFeatures([str(each) for each in range(rows)], matrix, ["age", "a", "b"], [])
    return url, write_feature_rows(url, found, ids, ids)
