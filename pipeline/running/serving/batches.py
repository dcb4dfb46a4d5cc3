"""Recommendations of one turn of the event loop, scored together.

Covers: collecting requests, and handing out the answers.
Does not cover: the scores (tasks/serving/mapped_model.py), requests over HTTP (app.py).

Eight users together take 0.6 of their time one by one, as the items are read from memory once. Nobody waits for others:
what has arrived when the loop comes round is a batch. The work stays in the thread of the loop: another
one would have to wait for the interpreter at the end of each batch.
"""

from __future__ import annotations

import asyncio

from funkflow.tasks.model.items import Recommended
from funkflow.tasks.serving.mapped_model import MappedModel


class Batches:
    """The requests for recommendations by one model."""

    def __init__(self, model: MappedModel) -> None:
        self._model = model
        self._most = model.batch_users()
        self._waiting: list[tuple[int, int, asyncio.Future[Recommended]]] = []

    def recommend(self, row: int, count: int) -> asyncio.Future[Recommended]:
        """Return what will be the answer of `MappedModel.recommend_rows` for one row of a user."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Recommended] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._answer)
        self._waiting.append((row, count, answer))
        return answer

    def _answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), self._most):
            rows, counts, answers = zip(*waiting[start : start + self._most], strict=True)
            try:
                found = self._model.recommend_rows(rows, counts)
            except Exception as error:
                for answer in answers:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for answer, best in zip(answers, found, strict=True):
                if not answer.done():  # whose client has gone
                    answer.set_result(best)
