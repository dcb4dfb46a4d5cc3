"""The data that everybody is measured on: one synthetic set, as raw text, as arrays, and as LIBMF's text.

Covers: where they lie, making them once, and the two RMSEs between which any sane method lands.
Does not cover: how the set is drawn (`funkflow synth`), what ours makes of it (ours.py), or what peers do (peers/).

`training.bin` and `probe.bin` are int32 user, int32 item, float32 rating, repeated: the numbers that users and items
have in funkflow's own dataset. Every peer reads these, so all train and are judged on the same ratings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from bench import ours
from bench.forms import FORMS, Form

ROOT = Path("data/bench")
RATING = np.dtype([("user", "<i4"), ("item", "<i4"), ("rating", "<f4")])
ITEM_DAMPING, USER_DAMPING = 25.0, 10.0


@dataclass(frozen=True)
class Data:
    """One set. `folder` holds training.bin, probe.bin and training.txt.

    `raw` is the text that ours starts from, `made` the folders of what it makes of it; when these come to be others,
    because our formats changed, the arrays are made anew, too.

    `biases_rmse` and `truth_rmse` are on the probe: what the mean with damped biases comes to, and the planted model.
    """

    folder: str
    raw: str
    made: dict[str, str]
    ratings: int
    probe: int
    users: int
    items: int
    biases_rmse: float
    truth_rmse: float


def prepare(form: Form, root: Path = ROOT, raw: str = "") -> Data:
    """Return the set of that form, made now or found under `root`.

    Parameters
    ----------
    raw : folder of a set in Netflix form that is there already, with probe.txt and truth/; empty: one is made.
    """
    folder = root / form.name
    folder.mkdir(parents=True, exist_ok=True)
    raw = raw or ours.synthesise(form.shape, form.fraction, root)
    made = ours.make_blocks(raw, folder / "funkflow")
    about = folder / "data.json"
    if about.exists():
        known = json.loads(about.read_text(encoding="utf-8"))
        if known.get("made") == made.to_dict():
            return Data(**known)
        about.unlink()
    dense = ours.dense_ratings(raw, made)
    training, probe = (packed(*columns) for columns in (dense.training, dense.probe))
    training.tofile(folder / "training.bin")
    probe.tofile(folder / "probe.bin")
    write_text(folder / "training.txt", training)
    data = Data(
        str(folder), raw, made.to_dict(), len(training), len(probe), dense.users, dense.items,
        biases_rmse(training, probe), dense.truth_rmse,
    )  # fmt: skip
    about.write_text(json.dumps(asdict(data), indent=1) + "\n", encoding="utf-8")
    return data


def no_data(form: Form, root: Path = ROOT) -> Data:
    """Return a set without ratings, for sections that have sets of their own; its folder is there."""
    folder = root / form.name
    folder.mkdir(parents=True, exist_ok=True)
    return Data(str(folder), "", {}, 0, 0, 0, 0, biases_rmse=0.0, truth_rmse=0.0)


def packed(
    users: npt.NDArray[np.int32], items: npt.NDArray[np.int32], ratings: npt.NDArray[np.float32]
) -> npt.NDArray[np.void]:
    """Return three columns as one array of records."""
    records = np.empty(len(users), dtype=RATING)
    records["user"], records["item"], records["rating"] = users, items, ratings
    return records


def write_text(path: Path, records: npt.NDArray[np.void]) -> None:
    """Write `user item rating` lines, which LIBMF reads."""
    names = RATING.names or ()
    options = pa.csv.WriteOptions(include_header=False, delimiter=" ")
    step = 5_000_000
    with pa.csv.CSVWriter(path, pa.schema([("user", pa.int32()), ("item", pa.int32()), ("rating", pa.float32())]),
                          write_options=options) as writer:  # fmt: skip
        for start in range(0, len(records), step):
            part = records[start : start + step]
            writer.write_table(pa.table({name: np.ascontiguousarray(part[name]) for name in names}))


def biases_rmse(training: npt.NDArray[np.void], probe: npt.NDArray[np.void]) -> float:
    """Return the RMSE on the probe of the mean with damped item and user biases (Koren 2010, section 2.1).

    b_i = sum(r - µ) / (25 + n_i), then b_u = sum(r - µ - b_i) / (10 + n_u); predictions are clipped to the ratings'
    range.
    """
    users, items = training["user"], training["item"]
    mean = float(training["rating"].mean(dtype=np.float64))
    rest = training["rating"] - mean
    count = 1 + int(max(items.max(), probe["item"].max()))
    item_biases = np.bincount(items, rest, count) / (ITEM_DAMPING + np.bincount(items, minlength=count))
    rest -= item_biases[items]
    count = 1 + int(max(users.max(), probe["user"].max()))
    user_biases = np.bincount(users, rest, count) / (USER_DAMPING + np.bincount(users, minlength=count))
    predicted = mean + item_biases[probe["item"]] + user_biases[probe["user"]]
    predicted = np.clip(predicted, training["rating"].min(), training["rating"].max())
    return float(np.sqrt(np.mean((probe["rating"] - predicted) ** 2)))


if __name__ == "__main__":
    prepare(FORMS[sys.argv[1]], raw=sys.argv[2] if len(sys.argv) > 2 else "")
