"""Who takes part: names, modules and what their answers can be used for.

Covers: the list. Does not cover: how each is run on a task (the other files here).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """One other program. `about` : what a reader of its row must know.

    `reads` : it has a reader of its own for text. `slow` : it takes minutes where others take seconds, and is measured
    once.
    """

    module: str
    iterations: int
    about: str
    reads: bool = False
    slow: bool = False


PEERS = {
    "libmf": Peer("bench.peers.libmf_native", 10, "SGD, compiled here with AVX and OpenMP", reads=True),
    "libmf-python": Peer("bench.peers.libmf_python", 10, "SGD, its Python package as installed"),
    "cmfrec": Peer("bench.peers.cmfrec_als", 10, "ALS with biases"),
    "scikit-surprise": Peer("bench.peers.surprise_svd", 20, "SGD with biases, one thread", slow=True),
    "implicit": Peer(
        "bench.peers.implicit_als", 10, "ALS for implicit feedback: another objective, only speed compares"
    ),
    "pyspark": Peer("bench.peers.spark_als", 5, "ALS in one JVM", reads=True, slow=True),
}
NOT_AT = {"full": ("scikit-surprise",)}
"""Peers that a form leaves out unless they are named: a pass takes minutes there."""
