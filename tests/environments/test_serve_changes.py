"""A server while the model in use moves, breaks or is another one, and the start and end of its process.

Covers: pipeline/running/serving/follower.py, pipeline/running/serving/server.py, and the command `serve`.
Does not cover: routes (test_serve.py), many promotions under load (chaos/promotions.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from distributed import Client
from factorised import model_of
from program import CHECKOUT, funkflow
from served_runs import Runs, two_runs, wait_until_served

from chaos.served import Connection, Server
from funkflow.pipeline.root.model_in_use import promote


@pytest.fixture(scope="module")
def made(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return two_runs(client, tmp_path_factory.mktemp("made"))


def test_promotions_drop_no_request_and_each_answer_is_of_one_model(made: Runs, tmp_path: Path) -> None:
    root = shutil.copytree(made.root, tmp_path / "data")
    users = sorted(set(made.model(made.first).user_ids.tolist()) & set(made.model(made.second).user_ids.tolist()))
    paths = [f"/recommend/{user}" for user in users]

    async def all_of(server: Server) -> list[tuple[int, bytes]]:
        connection = await Connection.to(server.host, server.port)
        answers = [await connection.get(path) for path in paths]
        connection.close()
        return answers

    async def under_load(server: Server) -> list[tuple[int, int, bytes]]:
        moving = asyncio.Event()
        found: list[tuple[int, int, bytes]] = []

        async def ask() -> None:
            connection = await Connection.to(server.host, server.port)
            while not moving.is_set():
                for number, path in enumerate(paths):
                    found.append((number, *(await connection.get(path))))
            connection.close()

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for run in (made.first, made.second):
            await asyncio.to_thread(promote, str(root), run)
            await asyncio.to_thread(wait_until_served, server, run)
        moving.set()
        await asyncio.gather(*asking)
        return found

    with Server(["--root", str(root)], tmp_path / "log") as server:
        newer = asyncio.run(all_of(server))
        found = asyncio.run(under_load(server))
        promote(str(root), made.first)
        wait_until_served(server, made.first)
        older = asyncio.run(all_of(server))
        assert server.end() == 143
    assert {status for _, status, _ in found} == {200}
    allowed = [{newer[number][1], older[number][1]} for number in range(len(paths))]
    assert all(body in allowed[number] for number, _, body in found)
    assert {json.loads(body)["model"] for _, _, body in found} == {made.first, made.second}


def test_a_broken_model_leaves_the_old_one_at_work_until_it_is_whole(made: Runs, tmp_path: Path) -> None:
    root = shutil.copytree(made.root, tmp_path / "data")
    first, second = made.first, made.second
    part = next((root / "runs" / first / "model" / "user_factors.parquet").iterdir())
    whole = part.read_bytes()
    shutil.rmtree(root / "runs" / first / "model" / "mapped", ignore_errors=True)
    with Server(["--root", str(root)], tmp_path / "log") as server:
        user = json.loads((root / "current.json").read_text())
        part.write_bytes(bytes([*whole[:100], whole[100] ^ 1, *whole[101:]]))
        pointer = {**user, "run_id": first}
        for content, trouble in ((json.dumps(pointer), "do not match checksum"), ("{", "not readable JSON")):
            (root / "current.json").write_text(content)
            said = server.wait_for(f"{second} stays, as the new model cannot be served: .*{trouble}")
            assert said.count(trouble) == 1
            health = httpx.get(f"{server.url}/health").json()
            assert (health["status"], health["model"]) == ("an older model", second)
            assert trouble in health["trouble"]
            assert httpx.get(f"{server.url}/recommend/1").json()["model"] == second
        assert 'outcome="failed"} ' in httpx.get(f"{server.url}/metrics").text
        part.write_bytes(whole)
        (root / "current.json").write_text(json.dumps(pointer))
        wait_until_served(server, first)
        assert httpx.get(f"{server.url}/health").json()["trouble"] is None


def test_a_model_in_a_folder_with_text_ids_and_no_ratings_beside_it(tmp_path: Path) -> None:
    made = model_of(np.random.default_rng(0), text_ids=True)
    made.user_ids[0] = "a/b c"
    made.save(str(tmp_path / "model"))
    with Server(["--model", str(tmp_path / "model"), "--host", "0.0.0.0"], tmp_path / "log") as server:
        said = server.wait_for("put a proxy in front that authenticates")
        assert "items that users rated are recommended, too" in said
        url = f"http://127.0.0.1:{server.port}"
        answer = httpx.get(f"{url}/recommend/a%2Fb%20c?count=17").json()
        assert answer["user"] == "a/b c"
        assert sorted(each["item"] for each in answer["items"]) == sorted(made.item_ids)
        assert httpx.post(f"{url}/fold-in", json={"ratings": [{"item": "id 100"}]}).json() == {
            "detail": "fold_in: model.json lacks the L2 term (l2, deviation); export the model again"
        }
        assert httpx.get(f"{url}/health").json()["leaves_rated_out"] is False


def test_a_request_in_flight_is_answered_before_the_end(made: Runs, tmp_path: Path) -> None:
    """Half of a request has come when the server is told to end."""
    with Server(["--root", str(made.root)], tmp_path / "log", anew=True) as server:
        body = json.dumps({"pairs": [{"user": 1, "item": 1}]}).encode()
        with socket.create_connection((server.host, server.port)) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            connection.sendall(f"{head}\r\n\r\n".encode() + body[:5])
            time.sleep(0.3)
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
            connection.sendall(body[5:])
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert server.process.wait(30) == 130


def test_what_cannot_be_served_is_one_line(made: Runs, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, code, line in (
            (
                ["--root", str(made.root), "--port", port],
                2,
                f"--port {port}: cannot listen there (Address already in use)",
            ),
            (["--root", str(tmp_path / "none")], 2, "there is no such root"),
            (["--model", str(tmp_path), "--port", "0"], 2, "there is no model here"),
            (["--model", str(tmp_path), "--root", "x"], 2, "--model takes the place of --root"),
        ):
            done = funkflow("serve", *words)
            assert (done.returncode, line in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize("package", ["fastapi", "httptools", "uvloop"])
def test_a_missing_package_is_named(tmp_path: Path, package: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    code = "from funkflow.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--root", str(tmp_path)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{CHECKOUT}"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2, f"funkflow: funkflow serve needs the package {package}: pip install 'funkflow[serve]'\n"
    )  # fmt: skip
