"""Credentials in URLs are used and never written down: not on the screen, not in a log, a record, a model or an error.

Covers: a run from presigned URLs with logins, all it writes and prints, its failures, and the masking itself.
Does not cover: credentials in the environment, which are no settings.
"""

from __future__ import annotations

import http.server
import json
import pickle
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from program import funkflow

from funkflow.tasks.errors import BadInput
from funkflow.tasks.redact import masked, masked_content, name_of, without_query

CANARY, LOGIN = "canaryC0FFEE", "canaryL0GIN"
ROWS = [f"{user},{item},{1 + (user * item) % 5}" for user in range(1, 31) for item in range(1, 13)]
FILES = {
    "/ratings.csv": "\n".join(["user,item,rating", *ROWS, "1,2,none"]),
    "/validation.csv": "\n".join(["user,item,rating", *ROWS[::7]]),
    "/pairs.csv": "user,item\n1,1\n2,3\n",
    "/empty.csv": "",
    "/bad.csv": "user,item,rating\n1,2,three\n",
}


class _Presigned(http.server.BaseHTTPRequestHandler):
    """Gives files to who has the signature, in ranges, as an object store does for presigned URLs."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if f"X-Signature={CANARY}" not in query or path not in FILES:
            self._answer(403, b"")
            return
        content = FILES[path].encode()
        asked = self.headers.get("Range", "")
        if not asked:
            self._answer(200, content)
            return
        first, last = asked.removeprefix("bytes=").split("-")
        stop = min(int(last) + 1 if last else len(content), len(content))
        self._answer(206, content[int(first) : stop], f"bytes {first}-{stop - 1}/{len(content)}")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, content: bytes, span: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Where the files are, with a login that every URL then carries."""
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Presigned)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://reader:{LOGIN}@127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


def presigned(server: str, name: str) -> str:
    return f"{server}/{name}.csv?X-Expires=60&X-Signature={CANARY}"


def command(root: Path, server: str, ratings: str, *words: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "ingest.on_bad_rows": "quarantine", "train.rank": "2", "train.epochs": "2", "ranking.count": "0",
        "cluster.threads": "2", "gate.beats_biases": "false",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    named = ["--ratings", presigned(server, ratings), "--validation", presigned(server, "validation")]
    return funkflow("run", *named, "--root", str(root), *options, *words, COLUMNS="500")


def everything_written(root: Path) -> Iterator[tuple[str, str]]:
    """Yield every file below a root, its name and what is in it; of Parquet, which is compressed, its rows."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            content = path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                file = pq.ParquetFile(path)
                content += f"{file.read().to_pylist()} {file.schema_arrow.metadata}"
            yield path.relative_to(root).as_posix(), content


def leaks(said: dict[str, str]) -> list[str]:
    return [name for name, content in said.items() if CANARY in content or LOGIN in content or CANARY in name]


def test_a_run_from_presigned_urls_writes_no_credential_down(server: str, tmp_path: Path) -> None:
    pairs = presigned(server, "pairs")
    done = command(tmp_path / "root", server, "ratings", "--set", f"predict.pairs={json.dumps(pairs)}", "--json")
    assert done.returncode == 0, done.stderr
    written = dict(everything_written(tmp_path / "root"))
    assert leaks({"stdout": done.stdout, "stderr": done.stderr, **written}) == []
    names = {name.split("/")[-1] for name in written}
    assert {
        "record.json",
        "settings.toml",
        "metrics.jsonl",
        "model.json",
        "quarantine.parquet",
        "manifest.json",
    } <= names
    quarantined = next(content for name, content in written.items() if name.endswith("quarantine.parquet"))
    assert "http://***@127.0.0.1" in quarantined
    assert "ratings.csv" in quarantined
    settings = next(content for name, content in written.items() if name.endswith("settings.toml"))
    assert settings.count("ratings.csv?***") == 1


@pytest.mark.parametrize(("ratings", "code"), [("empty", 3), ("nowhere", 3), ("bad", 3)])
def test_an_error_names_the_url_without_its_credentials(server: str, tmp_path: Path, ratings: str, code: int) -> None:
    done = command(tmp_path / "root", server, ratings, "--set", "ingest.on_bad_rows=raise", "--debug")
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("funkflow: http://***@127.0.0.1:")
    assert f"/{ratings}.csv" in last
    assert "Traceback" in done.stderr
    written = dict(everything_written(tmp_path / "root"))
    assert leaks({"stdout": done.stdout, "stderr": done.stderr, **written}) == []


def test_an_error_is_masked_wherever_it_is_shown() -> None:
    error = BadInput(f"ftp://me:{LOGIN}@host/a.csv?key={CANARY}: no")
    back = pickle.loads(pickle.dumps(error))
    assert [str(error), error.message, str(back), back.message] == ["ftp://***@host/a.csv?***: no"] * 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/part-?.csv", "s3://bucket/part-?.csv"),
        ("s3://bucket/[ab]*.csv is there", "s3://bucket/[ab]*.csv is there"),
        ("http://h/a?b=c&d=e, and https://u:p@h/x", "http://***"[:7] + "h/a?***, and https://***@h/x"),
        ("'http://h/a?b=c'", "'http://h/a?***'"),
        ("me@host: not a URL", "me@host: not a URL"),
        ("/data/a?b=c", "/data/a?b=c"),
    ],
)
def test_only_logins_and_queries_of_urls_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


def test_a_url_keeps_its_login_where_it_is_opened_and_loses_it_where_it_is_named() -> None:
    url = f"http://me:{LOGIN}@host/ratings.csv.gz?sig={CANARY}"
    assert without_query(url) == f"http://me:{LOGIN}@host/ratings.csv.gz"
    assert name_of(url) == "http://***@host/ratings.csv.gz"
    assert name_of("s3://bucket/part-?.csv") == "s3://bucket/part-?.csv"


_WORDS = st.text(st.characters(whitelist_categories=["L", "N"], whitelist_characters="-_.~%+"), min_size=1)


@given(
    user=_WORDS,
    host=_WORDS,
    path=_WORDS,
    key=_WORDS,
    around=st.sampled_from(["{}", "'{}'", "at {}: no", "({})", "a\n{}\nb"]),
)
def test_no_url_keeps_its_secrets(user: str, host: str, path: str, key: str, around: str) -> None:
    url = f"https://{user}:{CANARY}@{host}/{path}?{key}={CANARY}&x={CANARY}"
    shown = masked_content({"a": [around.format(url), 1, None], "b": (url,)})
    assert CANARY not in json.dumps(shown)
    assert path in shown["b"][0]
