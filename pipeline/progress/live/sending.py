"""A listener that sends a run's events to the scheduler, for the live page and the metrics.

Covers: registering the plugin, the order and the pace of events, and a scheduler that does not take them.
Does not cover: the plugin (plugin.py).

Trouble with the page never fails or delays a run.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from distributed import Client
from distributed.utils import format_dashboard_link

from funkflow.pipeline.progress.events import Event, Listener, Noticed, RunEnded, StageAdvanced, as_mapping
from funkflow.pipeline.progress.live.plugin import NAME, PAGE, TOPIC, LivePlugin

_ADVANCE_SECONDS = 0.5
"""Progress within a stage is sent this often; all other events are sent at once."""
_FLUSH_SECONDS = 5.0
_MOST_WAITING = 10_000
_EVERYWHERE = ("0.0.0.0", "::")


class Sender:
    """Sends events in order, from the client's own loop: {"run", "time", "event", …}.

    run : id of the ledger's record; `time` : seconds since 1970.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._client: Client | None = None
        self._waiting: deque[dict[str, Any]] = deque(maxlen=_MOST_WAITING)
        self._is_sending = False
        self._advanced = 0.0
        self._announce: Callable[[], None] | None = None

    @contextmanager
    def watched(self, client: Client, notify: Listener) -> Iterator[None]:
        """Register the plugin in the scheduler, and send events while the body runs.

        A line gives the page's address once some work is done.
        """
        try:
            client.register_plugin(LivePlugin())
            has_page = bool(client.run_on_scheduler(_has_page))
        except Exception as reason:  # a scheduler of somebody else may refuse it for any reason
            first = str(reason).splitlines()[0] if str(reason) else ""
            notify(Noticed(f"no live page: the scheduler rejected it ({type(reason).__name__}: {first})"))
            yield
            return
        self._client = client
        if has_page:
            self._announce = lambda: notify(Noticed(f"live page: {page_address(client)}"))
        try:
            yield
        finally:
            self._client = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageAdvanced) and self._announce is not None:  # some work is done
            announce, self._announce = self._announce, None
            announce()
        client = self._client
        now = time.time()
        if isinstance(event, StageAdvanced):
            if now - self._advanced < _ADVANCE_SECONDS:
                return
            self._advanced = now
        self._waiting.append({"run": self._run, "time": now, **as_mapping(event)})
        if client is None or client.status != "running":
            return
        if isinstance(event, RunEnded):
            with suppress(Exception):  # the loss of the scheduler may have ended the run
                client.sync(self._send, client, callback_timeout=_FLUSH_SECONDS)
        else:
            loop: Any = client.loop
            loop.add_callback(self._send, client)

    async def _send(self, client: Client) -> None:
        while self._is_sending:
            await asyncio.sleep(0.01)
        self._is_sending = True
        scheduler: Any = client.scheduler
        try:
            while self._waiting:
                await scheduler.log_event(topic=TOPIC, msg=self._waiting[0])
                self._waiting.popleft()
        except Exception:  # the scheduler is away; the next event sends the rest, if it comes back
            return
        finally:
            self._is_sending = False


def page_address(client: Client) -> str:
    """Return the page's address on a scheduler with a dashboard."""
    link, known = client.dashboard_link, cast(Any, client)
    if known.scheduler.address.startswith("inproc://"):  # then Dask names the host, wherever the dashboard listens
        server = known.cluster.scheduler.http_server
        if server.address not in _EVERYWHERE:
            link = format_dashboard_link(server.address, server.port)
    return f"{link.removesuffix('/status')}{PAGE}"


def _has_page(dask_scheduler: Any) -> bool:
    return bool(getattr(dask_scheduler.plugins.get(NAME), "has_page", False))
