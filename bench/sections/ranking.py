"""Ranking: how well the best items match held-out ones, ours beside rivals, by one evaluator.

Covers: ours with `train.goal = ranking` and nothing tuned, the most rated items, EASE, and models for implicit feedback
of implicit, Spark and cmfrec at their defaults; what ours measured of its own ranking must be what the evaluator finds.
Does not cover: measures (bench/ranking/measures.py), sets and splits (bench/ranking/sets.py).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from bench.context import Bench
from bench.data import packed, write_text
from bench.measure import Row
from bench.ours import Failed
from bench.ours_ranked import Runs, Trained, runs
from bench.peers.roster import PEERS
from bench.process import run_module
from bench.ranking import rivals
from bench.ranking.cases import Case, Ours, cases_of
from bench.ranking.held_out import HeldOut
from bench.ranking.measures import Scores, measured
from bench.ranking.sets import read_rows

SECTION = "ranking: the best items, without those of training"
_PACKAGES = {
    "implicit": "bench.peers.implicit_ranking",
    "pyspark": "bench.peers.spark_ranking",
    "cmfrec": "bench.peers.cmfrec_ranking",
}
"""Modules of the peers that rank, by the peers' names."""
_SAME = 5e-4
"""Of equal scores another item may come first."""


@dataclass
class _Found:
    """What was measured of one contestant, by seed; `variants` of it by their names, of which the best counts."""

    variants: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failed: str = ""


def rows(bench: Bench) -> list[Row]:
    """Return a row for each set and contestant."""
    with runs() as ours:
        return [row for case in cases_of(bench.form.name, bench.folder) for row in _Race(bench, case, ours).rows()]


class _Race:
    """One set, and all its contestants."""

    def __init__(self, bench: Bench, case: Case, ours: Runs) -> None:
        self.bench, self.case, self.ours = bench, case, ours
        self.root, self.found = bench.folder / "ranking", dict[str, _Found]()

    def rows(self) -> list[Row]:
        data = self.case.data
        name = f"{data.name}, {data.split}"
        if not data.is_there:
            return [Row(SECTION, name, "all", failed=f"{data.folder.name} is absent (data/README.md)")]
        for seed in self.case.split_seeds:
            held_out = data.held_out(self.ours, self.root, seed)
            starts = self.case.seeds if data.test else (seed,)
            for contestant, start, ask in self._contestants(held_out, starts):
                self.bench.notify(f"ranking, {name}: {contestant}, seed {start}")
                try:
                    ask()
                except Failed as error:
                    self.found.setdefault(contestant, _Found()).failed = str(error)
        return [self._row(name, contestant, found) for contestant, found in self.found.items()]

    def _contestants(self, held_out: HeldOut, starts: tuple[int, ...]) -> Iterator[Any]:
        for model in self.case.models:
            for start in starts:
                yield model.name, start, lambda model=model, start=start: self._ours(held_out, model, start)
        yield "most rated", starts[0], lambda: self._judge("most rated", held_out, rivals.most_rated(held_out))
        if held_out.shape[1] <= rivals.EASE_ITEMS:
            yield _ease_name(), starts[0], lambda: self._ease(held_out)
        for peer in _PACKAGES:
            if peer in self.bench.peers:
                yield peer, starts[0], lambda peer=peer: self._package(held_out, peer)

    def _judge(self, contestant: str, held_out: HeldOut, scores: Scores, variant: str = "") -> dict[str, float]:
        reached = measured(held_out, scores, self.case.data.measures)
        self.found.setdefault(contestant, _Found()).variants.setdefault(variant, []).append(reached)
        return reached

    def _ours(self, held_out: HeldOut, model: Ours, start: int) -> None:
        sections = self.case.data.sections(start)
        if model.likes:
            sections = {**sections, **self._likes()}
        # The others do not see the test's ratings in training, so ours does not choose its epoch by them.
        chosen = {"goal": "ranking", "stop_on": "nothing", "rank": model.rank, "seed": start, **model.train}
        trained = self.ours.train(self.root, {**sections, "train": chosen})
        scores = rivals.of_factors(
            _aligned(*trained.users, held_out.user_ids), _aligned(*trained.items, held_out.item_ids)
        )
        reached = self._judge(model.name, held_out, scores)
        if held_out.negatives is None:
            _refuse_another_ranking(trained, reached)
        self.found[model.name].seconds.append(trained.seconds)

    def _likes(self) -> dict[str, dict[str, Any]]:
        """Write the set's files without their ratings; return the settings that name them."""
        data, paths = self.case.data, []
        self.root.mkdir(parents=True, exist_ok=True)
        for name in (data.ratings, data.test):
            paths.append(self.root / f"{data.folder.name}-{name.partition('.')[0]}-likes.csv")
            users, items, _ = read_rows(data.folder / name)
            pyarrow.csv.write_csv(pa.table({"user": users, "item": items}), paths[-1])
        return {"ingest": {"ratings": [str(paths[0])]}, "split": {"file": str(paths[1])}}

    def _ease(self, held_out: HeldOut) -> None:
        began = time.monotonic()
        for l2 in rivals.EASE_L2:
            self._judge(_ease_name(), held_out, rivals.ease(held_out, l2), f"L2 {l2:g}")
        self.found[_ease_name()].seconds.append((time.monotonic() - began) / len(rivals.EASE_L2))

    def _package(self, held_out: HeldOut, peer: str) -> None:
        folder = self.root / peer
        folder.mkdir(parents=True, exist_ok=True)
        training = packed(*held_out.training)
        training.tofile(folder / "training.bin")
        if PEERS[peer].reads:
            write_text(folder / "training.txt", training)
        answer = run_module(_PACKAGES[peer], folder, limit_seconds=self.bench.limit_seconds)
        if answer.failed:
            raise Failed(answer.failed)
        for name, seconds in answer.content["seconds_by_model"].items():
            users, items = (
                _padded(np.lib.format.open_memmap(folder / f"{name}-{side}.npy", mode="r"), rows)
                for side, rows in zip(("users", "items"), held_out.shape, strict=True)
            )
            contestant = f"{peer} {name.upper()}, k = {answer.content['factors']}"
            self._judge(contestant, held_out, rivals.of_factors(users, items))
            self.found[contestant].seconds.append(seconds)

    def _row(self, name: str, contestant: str, found: _Found) -> Row:
        if found.failed:
            return Row(SECTION, name, contestant, failed=found.failed)
        means = {
            variant: {key: statistics.fmean(each[key] for each in reached) for key in reached[0]}
            for variant, reached in found.variants.items()
        }
        best = max(means, key=lambda variant: next(iter(means[variant].values())))
        said = ", ".join(f"{key} {value:.4f}" for key, value in means[best].items())
        return Row(
            SECTION, name, contestant,
            seconds=statistics.median(found.seconds) or None if found.seconds else None,
            note=f"{said}{f'; {best}' if best else ''}",
            measured=found.seconds,
            more={**means[best], "variants": means, "by_seed": found.variants[best]},
        )  # fmt: skip


def _ease_name() -> str:
    return f"EASE, best of {len(rivals.EASE_L2)}"


def _aligned(
    ids: npt.NDArray[Any], factors: npt.NDArray[np.float32], wanted: npt.NDArray[Any]
) -> npt.NDArray[np.float32]:
    """Return the factors of the wanted raw ids; 0 where the model has none."""
    places = pd.Index(ids).get_indexer(pd.Index(wanted))
    return np.where(places[:, None] >= 0, factors[places], np.float32(0))


def _padded(factors: npt.NDArray[np.float32], rows: int) -> npt.NDArray[np.float32]:
    """Return the factors with rows of 0 for ids after the last that has ratings."""
    return np.pad(factors, ((0, rows - len(factors)), (0, 0)))


def _refuse_another_ranking(trained: Trained, reached: dict[str, float]) -> None:
    """Raise Failed if the run measured another NDCG of the same model than the evaluator."""
    count = trained.ranking["count"]
    own = reached[f"NDCG@{count}"]
    if abs(own - trained.ranking["ndcg"]) > _SAME:
        raise Failed(f"the run measured an NDCG@{count} of {trained.ranking['ndcg']:.4f}, the evaluator {own:.4f}")
