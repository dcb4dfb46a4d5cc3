"""A real S3 API on loopback: moto's server in a thread, every request counted, and a place to interfere with it.

Covers: the server, buckets, what was asked of it, and the environment by which a program finds it.
Does not cover: how it fails (failing_store.py), or what is done with it (room.py, tests/).
"""

from __future__ import annotations

import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from s3fs import S3FileSystem
from werkzeug.serving import make_server

_KEY = "testing"
_REGION = "us-east-1"
_NUMBERS = count()
_WRITING = ("put", "delete", "post")


@dataclass(frozen=True)
class Request:
    """One request. `key` is the object's, empty for the bucket; `body_bytes` came with it.

    `kind` : get, put, head, delete or list of an object; `post` also removes many at once.
    """

    method: str
    bucket: str
    key: str
    query: str
    body_bytes: int

    @property
    def kind(self) -> str:
        listing = self.method == "GET" and not self.key
        return "list" if listing else self.method.lower()


Interfere = Callable[[Request, dict[str, Any], Callable[..., Any]], Iterable[bytes] | None]
"""Given a request, its WSGI environment and start_response: an answer instead of the store's own, or None."""


@dataclass
class ObjectStore:
    """A running server. Who interferes puts `interfere` back to None."""

    endpoint: str
    requests: list[Request] = field(default_factory=list)
    interfere: Interfere | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to find this store, and no other."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _KEY,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def new_root(self) -> str:
        """Make a bucket and return the URL of a folder in it."""
        bucket = f"bucket-{next(_NUMBERS)}"
        self.ask("PUT", f"/{bucket}")
        return f"s3://{bucket}/root"

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request of the S3 API itself, past any library; the server does not look at signatures."""
        request = urllib.request.Request(self.endpoint + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
        return content

    def objects(self, folder: str) -> dict[str, bytes]:
        """Return the content of every object below a URL, by its path from there."""
        where = {"endpoint_url": self.endpoint, "region_name": _REGION}
        system = S3FileSystem(
            key=_KEY, secret=_KEY, client_kwargs=where, skip_instance_cache=True, use_listings_cache=False
        )
        place = folder.removeprefix("s3://")
        return {path.removeprefix(f"{place}/"): system.cat_file(path) for path in system.find(place)}

    def fetch(self, folder: str, into: Path) -> None:
        """Write every object below a URL as a file."""
        for path, content in self.objects(folder).items():
            file = into / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    @contextmanager
    def interfered_with(self, interfere: Interfere) -> Iterator[None]:
        """Have that answer first while the body runs."""
        self.interfere = interfere
        try:
            yield
        finally:
            self.interfere = None

    def counted(self) -> Counter[str]:
        """Return how many requests of each kind came since this was asked last."""
        seen, self.requests[:] = list(self.requests), []
        return Counter(request.kind for request in seen)


def _application(store: list[ObjectStore]) -> Callable[..., Iterable[bytes]]:
    answer = DomainDispatcherApplication(create_backend_app)
    in_turn = threading.Lock()
    """A store compares and writes in one step, where moto first looks and then writes."""

    def application(environment: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        bucket, _, key = environment["PATH_INFO"].lstrip("/").partition("/")
        length = int(environment.get("CONTENT_LENGTH") or 0)
        request = Request(environment["REQUEST_METHOD"], bucket, key, environment["QUERY_STRING"], length)
        store[0].requests.append(request)
        instead = store[0].interfere and store[0].interfere(request, environment, start_response)
        if instead is not None:
            return instead
        with in_turn if request.kind in _WRITING else nullcontext():
            answered: Iterable[bytes] = answer(environment, start_response)
        return answered

    return application


class _Quiet(MotoRequestHandler):
    def log(self, *_words: object) -> None:
        """Say nothing of single requests."""


@contextmanager
def serving() -> Iterator[ObjectStore]:
    """Run a server on a free port of this machine, in a thread, while the body runs."""
    stores: list[ObjectStore] = []
    server = make_server("127.0.0.1", 0, _application(stores), threaded=True, request_handler=_Quiet)
    stores.append(ObjectStore(f"http://127.0.0.1:{server.server_port}"))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield stores[0]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
