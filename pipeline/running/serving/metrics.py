"""Metrics of a server for Prometheus.

Covers: requests by route and status, their seconds, the model at work and loads of models.
Does not cover: metrics of runs (pipeline/progress/live/metrics.py).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """The series of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "funkflow_serve_requests", "Requests by route and status", ["route", "status"], registry=own
        )
        self.seconds = Histogram(
            "funkflow_serve_request_seconds", "Seconds from a request to the end of its answer", ["route"],
            registry=own, buckets=_BUCKETS,
        )  # fmt: skip
        self.model = Gauge("funkflow_serve_model", "1 for the run of the model at work", ["run"], registry=own)
        self.loads = Counter("funkflow_serve_model_loads", "Models loaded, and failures", ["outcome"], registry=own)
        self._series: dict[tuple[str, int], tuple[Any, Any]] = {}

    def text(self) -> bytes:
        """Return all series in the format of Prometheus."""
        return generate_latest(self.registry)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        series = self._series.get((route, status))
        if series is None:
            series = self._series[route, status] = (
                self.requests.labels(route, str(status)), self.seconds.labels(route)
            )  # fmt: skip
        series[0].inc()
        series[1].observe(seconds)


def measured(app: Application, metrics: Metrics) -> Application:
    """Return an ASGI application that counts the requests to another one."""

    async def counting(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path_format", "other")
            metrics.observe(route, status, time.perf_counter() - began)

    return counting
