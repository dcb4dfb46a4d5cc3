"""The server: one process that listens until it is told to end.

Covers: its socket, the settings of uvicorn, one thread for products, and what it says at its start.
Does not cover: routes (app.py), the model (follower.py), options (pipeline/commands/predict.py).
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable

import uvicorn
import uvloop as uvloop  # uvicorn imports it by name, when it is too late for a clear error
from threadpoolctl import threadpool_limits

from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.running.serving.app import application
from funkflow.pipeline.running.serving.follower import Choice, Follower
from funkflow.pipeline.running.serving.metrics import Metrics
from funkflow.pipeline.running.serving.one_write import OneWrite
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.garbage import search_as_usual

_WAITING_CONNECTIONS = 2048
_IDLE_SECONDS = 75
"""Of a connection, before it is closed: longer than proxies keep theirs, which would send into one that is closing."""
_LAST_SECONDS = 30
"""For requests in flight, when the server is told to end."""


def serve(choose: Callable[[], Choice], host: str, port: int, place: str, notify: Listener) -> None:
    """Serve the chosen model until a signal comes; requests in flight are answered.

    Parameters
    ----------
    port : 0 for any that is free.
    place : as for `map_model`.

    Raises
    ------
    SettingsError
        The address cannot be used, or there is no model.
    DamagedFile
        The model is damaged.
    """
    with _listening(host, port) as listener:
        metrics = Metrics()
        app = application(Follower(choose, metrics, notify, place), metrics)
        search_as_usual()
        config = uvicorn.Config(
            app, loop="uvloop", http=OneWrite, ws="none", lifespan="on", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_LAST_SECONDS,
        )  # fmt: skip
        url = _url_of(host, listener.getsockname()[1])
        notify(Noticed(f"listening on {url}, described at {url}/docs"))
        if not _is_loopback(host):
            open_to_all = "whoever reaches it may ask; put a proxy in front that authenticates"
            notify(Noticed(f"--host {host}: {open_to_all}", warning=True))
        with threadpool_limits(1):  # of all libraries, which the first model has loaded
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_WAITING_CONNECTIONS)
    except (OSError, OverflowError) as cause:
        number = getattr(cause, "errno", None)
        reason = os.strerror(number) if number and number > 0 else cause
        raise SettingsError(f"--host {host} --port {port}: cannot listen there ({reason}); choose another") from cause


def _url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
