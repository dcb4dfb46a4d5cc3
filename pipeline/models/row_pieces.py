"""The memory for writing the whole matrix of a saved model in pieces of rows.

Covers: the prediction. Does not cover: the pieces (tasks/model/pieces.py), the stage (pipeline/stages/reconstruct.py).
"""

from __future__ import annotations

from funkflow.pipeline.planning.budget import BEFORE_KERNELS_BYTES, CLIENT_BYTES, SHARED_BYTES, WORKER_BYTES

PIECE_VERSIONS = 2.4
"""Versions of a piece of a reconstruction that a thread has at once: the numbers, the table made of them, the file's
bytes. Fitted to Parquet of a fifth of Netflix's films, pieces of 16 to 128 MiB, one and two threads, as is the next."""
PIECES_KEPT_BYTES = 75 * 2**20
"""What a worker that makes pieces keeps besides: factors, and what its allocator keeps."""


def predict_reconstruct_bytes(piece_bytes: int, workers: int, threads: int) -> tuple[int, int]:
    """Return the predicted peaks, of all processes and of one worker, while the whole matrix is written in pieces.

    Pieces are products of NumPy: no process loads a kernel.
    """
    worker = WORKER_BYTES - BEFORE_KERNELS_BYTES + PIECES_KEPT_BYTES + threads * piece_bytes * PIECE_VERSIONS
    return int(CLIENT_BYTES - BEFORE_KERNELS_BYTES + workers * worker), int(worker + SHARED_BYTES)
