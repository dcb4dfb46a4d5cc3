"""What all sections are given: the form, the data, who takes part, and how peers are asked.

Covers: one question to one peer, or to ours, as a measurement. Does not cover: which questions there are (sections/).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ours
from bench.data import Data
from bench.forms import Form
from bench.measure import Contestants, Measurement, Row, compare
from bench.peers.roster import PEERS
from bench.process import run_module


@dataclass(frozen=True)
class Bench:
    """One benchmark: everything a section needs. `tell` is called with a line before each measurement."""

    form: Form
    data: Data
    peers: tuple[str, ...]
    limit_seconds: float
    notify: Callable[[str], None]

    @property
    def folder(self) -> Path:
        return Path(self.data.folder)

    @property
    def rank(self) -> int:
        return self.form.ranks[0]

    def compare(self, section: str, case: str, contestants: Contestants, repeats: int = 0) -> list[Row]:
        """Return the rows of one case, each measured as often as the form says, or `repeats` times."""
        named = {name: self._announced(f"{section}, {case}: {name}", ask) for name, ask in contestants.items()}
        slow = [name for name, peer in PEERS.items() if peer.slow]
        return compare(section, case, named, repeats or self.form.repeats, self.data, once=slow)

    def _announced(self, what: str, ask: Callable[[], Measurement]) -> Callable[[], Measurement]:
        def announced() -> Measurement:
            self.notify(what)
            try:
                return ask()
            except ours.Failed as error:
                return Measurement(failed=str(error))

        return announced

    def ask(self, module: str, read: Callable[[dict[str, Any]], Measurement], *words: object) -> Measurement:
        """Ask a peer's module about this benchmark's data, and make of its answer what `read` says."""
        answer = run_module(module, self.folder, *words, limit_seconds=self.limit_seconds)
        return Measurement(failed=answer.failed) if answer.failed else read(answer.content)

    def ask_peer(self, name: str, read: Callable[[dict[str, Any]], Measurement], *words: object) -> Measurement:
        """Ask the peer of that name likewise."""
        return self.ask(PEERS[name].module, read, *words, "--l2", self.form.libmf_l2)
