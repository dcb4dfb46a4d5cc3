"""An object store for tests: one server for the session, clean for each test that asks for it.

Covers: the fixtures. Does not cover: the server itself (chaos/object_store.py).
"""

from __future__ import annotations

from collections.abc import Iterator

import dask
import pytest
from s3fs import S3FileSystem

from chaos.object_store import ObjectStore, serving


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[ObjectStore]:
    with serving() as store:
        yield store


@pytest.fixture
def object_store(object_store_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """The server, named in this process's environment and in that of the clusters a test starts."""
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()
    object_store_server.requests.clear()
    with dask.config.set({"distributed.nanny.environ": object_store_server.environment}):  # forks do not inherit ours
        yield object_store_server
    object_store_server.interfere = None
    S3FileSystem.clear_instance_cache()
