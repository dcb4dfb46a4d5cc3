"""Who is told how an execution ended, with what, and that a hook which fails is said and changes nothing.

Covers: pipeline/running/hooks.py and its place in pipeline/running/execution.py, with real commands and a real web
server, without a cluster.
Does not cover: the record itself (test_ledger.py).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from executing import RUN_ID, ask_for_work, executed, ratings_in, settings_over, work

from funkflow.pipeline.progress.events import Event, Noticed
from funkflow.pipeline.root.lock import hold_root
from funkflow.pipeline.root.result import RunResult
from funkflow.pipeline.running.execution import Execution
from funkflow.pipeline.settings.sections import Settings
from funkflow.tasks.errors import BadInput, ModelRefused, RootIsHeld

KEEP = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
HOLD = "import sys; from funkflow.pipeline.root.lock import hold_root; hold_root(sys.argv[1]).__enter__()"


def python(words: str, *arguments: object) -> str:
    """Return the command that runs some words of Python."""
    return " ".join([sys.executable, "-c", f'"{words}"', *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ratings_in(tmp_path)
    return tmp_path


def hooked(folder: Path, **hooks: Any) -> Settings:
    return settings_over(folder, str(folder / "root"), hooks=hooks)


def both(folder: Path) -> Settings:
    return hooked(folder, on_success=python(KEEP, folder / "well"), on_failure=python(KEEP, folder / "ill"))


def told(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / name).read_text())
    return found


def warnings(heard: list[Event]) -> list[str]:
    return [event.message for event in heard if isinstance(event, Noticed) and event.warning]


def refuse(_execution: Execution) -> RunResult:
    raise ModelRefused("RMSE 0.9, 0.8 before")


def spoil(_execution: Execution) -> RunResult:
    raise BadInput("ratings.csv:1: no")


def test_a_command_gets_the_record_of_what_ended_well(folder: Path) -> None:
    executed(both(folder))
    record = told(folder, "well")
    assert (record["state"], record["exit_code"], record["run_id"]) == ("done", 0, RUN_ID)
    assert record == json.loads((folder / "root" / "ledger" / f"{record['id']}.json").read_text())
    executed(both(folder), ask_for_work)
    assert told(folder, "well")["state"] == "up to date"
    assert not (folder / "ill").exists()


@pytest.mark.parametrize(("does", "code", "state"), [(refuse, 5, "refused"), (spoil, 3, "failed")])
def test_another_command_gets_what_failed(folder: Path, does: Any, code: int, state: str) -> None:
    with pytest.raises((BadInput, ModelRefused)):
        executed(both(folder), does)
    record = told(folder, "ill")
    assert (record["state"], record["exit_code"]) == (state, code)
    assert not (folder / "well").exists()


def test_a_root_that_is_held_is_a_failure_to_tell(folder: Path) -> None:
    with hold_root(str(folder / "root")), pytest.raises(RootIsHeld):
        executed(both(folder))
    assert told(folder, "ill")["exit_code"] == 75


def test_the_root_is_free_when_a_hook_runs(folder: Path) -> None:
    heard: list[Event] = []
    executed(hooked(folder, on_success=python(HOLD, folder / "root")), work, heard.append)
    assert not warnings(heard)


def test_hooks_are_no_reason_to_do_anything_anew(folder: Path) -> None:
    executed(hooked(folder))
    executed(both(folder), ask_for_work)
    assert told(folder, "well")["state"] == "up to date"


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A web server that keeps what is posted to it, and answers 500 below /broken."""
    posted: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, self.headers["Content-Type"], body))
            self.send_response(500 if self.path.startswith("/broken") else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.posted = posted  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_address_is_posted_the_record_and_its_secret_stands_nowhere(
    folder: Path, server: ThreadingHTTPServer
) -> None:
    executed(hooked(folder, on_success=f"http://127.0.0.1:{server.server_port}/services/T0/s3cr3t"))
    ((path, kind, body),) = server.posted  # type: ignore[attr-defined]
    assert (path, kind) == ("/services/T0/s3cr3t", "application/json")
    assert json.loads(body)["run_id"] == RUN_ID
    written = [each for each in (folder / "root").rglob("*") if each.is_file()]
    assert written
    assert not [each for each in written if b"s3cr3t" in each.read_bytes()]


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (python("raise SystemExit(3)"), "exit code 3"),
        (python("import time; time.sleep(60)"), "timed out after 2 s"),
        ("no-such-program --token s3cr3t", "no-such-program: No such file or directory"),
        ("broken ' quotes", "broken: ValueError"),
        ("http://127.0.0.1:9/s3cr3t", "127.0.0.1: "),
        ("http://127.0.0.1:{port}/broken/s3cr3t", "127.0.0.1: Internal Server Error"),
    ],
)
def test_a_hook_that_fails_is_said_and_fails_nothing(
    folder: Path, server: ThreadingHTTPServer, hook: str, said: str
) -> None:
    heard: list[Event] = []
    settings = hooked(folder, on_success=hook.replace("{port}", str(server.server_port)), timeout_seconds=2)
    assert executed(settings, work, heard.append).run_id == RUN_ID
    (warning,) = warnings(heard)
    assert warning.startswith("hooks.on_success failed; this affects nothing else: ")
    assert said in warning
    assert "s3cr3t" not in warning
