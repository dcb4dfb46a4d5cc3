"""The wheel holds what it must, and works far from the checkout; the lock files hold for every machine.

Covers: the content of the wheel, an installation of it in an environment of its own, and the text of the lock files.
Does not cover: other versions of Python and an installation from the lock (.ci/run).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from building import CHECKOUT, build_wheel
from ungated import UNGATED

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; what it requires is read from the environment of the tests."""
    place = tmp_path_factory.mktemp("far away")
    venv.create(place / "venv", with_pip=False)
    python = place / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    (site_packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    # A plain path: the .pth files that lie there, such as that of an editable funkflow, are not read.
    (site_packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return place


def run_in(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = str(place / "venv" / "bin" / command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=240
    )


@pytest.mark.parametrize("folder", ["pipeline", "tasks", "conf"])
def test_wheel_holds_every_file_of(folder: str, content: set[str]) -> None:
    files = {
        f"funkflow/{path.relative_to(CHECKOUT).as_posix()}"
        for pattern in ("*.jinja", "*.json", "*.py", "*.toml", "*.yaml", "*.service", "*.timer", "crontab", "py.typed")
        for path in (CHECKOUT / folder).rglob(pattern)
    }
    assert files
    assert files <= content


def test_wheel_holds_nothing_else(content: set[str]) -> None:
    kept = re.compile(
        r"funkflow/(\w+\.py|py\.typed|(pipeline|tasks)/.*\.(py|jinja)|conf/\w.*\.(json|py|toml|yaml)|"
        r"conf/schedules/(crontab|[\w-]+\.(service|timer)))|funkflow-.*"
    )
    assert {name for name in content if not kept.fullmatch(name)} == set()


def test_wheel_names_licence_command_and_python(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        about = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        commands = archive.read(f"{folder}/entry_points.txt").decode()
    assert (about["License-Expression"], about["Requires-Python"]) == ("MIT", ">=3.11")
    assert "funkflow = funkflow.__main__:main" in commands


def test_wheel_is_what_gets_imported(installed: Path) -> None:
    program = "from funkflow import conf, pipeline, tasks\nfor each in (conf, pipeline, tasks): print(each.__file__)"
    result = run_in(installed, "python", "-c", program)
    assert result.returncode == 0, result.stderr
    assert all(line.startswith(str(installed)) for line in result.stdout.splitlines())


def test_presets_are_found_far_from_the_checkout(installed: Path) -> None:
    program = "from funkflow.pipeline.settings.presets import CLUSTERS, presets; print(*presets(), *presets(CLUSTERS))"
    result = run_in(installed, "python", "-c", program)
    folders = (CHECKOUT / "conf", CHECKOUT / "conf" / "clusters")
    names = [name for folder in folders for name in sorted(path.stem for path in folder.glob("*.toml"))]
    assert result.stdout.split() == names, result.stderr


def test_command_says_its_version(installed: Path) -> None:
    result = run_in(installed, "funkflow", "--version")
    assert result.returncode == 0, result.stderr
    assert PROJECT["project"]["version"] in result.stdout


def test_module_is_the_same_command(installed: Path) -> None:
    result = run_in(installed, "python", "-m", "funkflow", "--version")
    assert result.stdout == run_in(installed, "funkflow", "--version").stdout, result.stderr


def test_a_settings_file_is_written_and_read_far_from_the_checkout(installed: Path) -> None:
    """As `uvx funkflow` and `pipx run funkflow` have it: the wheel in an environment of its own, and any folder."""
    rows = "".join(f"{n % 7},{n % 5},{1 + n % 5}\n" for n in range(35))
    (installed / "ratings.csv").write_text(f"user,item,rating\n{rows}", encoding="utf-8")
    begun = run_in(installed, "funkflow", "init", "ratings.csv")
    assert begun.returncode == 0, begun.stderr
    planned = run_in(installed, "funkflow", "plan", "funkflow.toml", "--json")
    assert planned.returncode == 0, planned.stderr
    assert json.loads(planned.stdout)["size"]["ratings"] == 35


@pytest.mark.long
def test_small_demo_runs_far_from_the_checkout(installed: Path) -> None:
    small = ("--set", "synth.fraction=0.05", "--set", "train.epochs=2", "--set", UNGATED)
    result = run_in(installed, "funkflow", "run", "demo", *small)
    assert result.returncode == 0, result.stdout + result.stderr
    assert list((installed / "data" / "runs").glob("*/model/model.json"))


SCRIPT = """
import conf, pipeline, tasks
from funkflow import Settings, run

if __name__ == "__main__":
    settings = Settings.build({"cluster": {"workers": 2}, "synth": {"fraction": 0.05}})
    result = run("demo", ["cluster.workers=2", "synth.fraction=0.05"], until="split")
    print(tasks.OWN, pipeline.OWN, conf.OWN, settings.cluster.workers, "split" in result.paths)
"""


def test_a_job_runs_beside_files_of_the_same_names(installed: Path, tmp_path: Path) -> None:
    """Celery and invoke want a `tasks` module, many projects have a `pipeline`, which workers would find first.

    Two stages say so: with the first task, a worker imports from both. Training would compile every kernel anew.
    """
    for name in ("tasks.py", "conf.py", "pipeline/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"OWN = {name!r}\n", encoding="utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [installed / "venv" / "bin" / "python", "script.py"],
        cwd=tmp_path, env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "tasks.py pipeline/__init__.py conf.py 2 True"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_place_to_download_from(lock: str) -> None:
    text = (CHECKOUT / lock).read_text(encoding="utf-8")
    assert re.findall(r"://|^-|^\s+--(?!hash=)|file:|@ ", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_line_with_a_hash(lock: str) -> None:
    text = (CHECKOUT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines
    assert [line for line in lines if not re.match(r"[\w.-]+==\S+ .*--hash=sha256:", line)] == []


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("requirements-dev.lock", PROJECT["dependency-groups"]["dev"]),
    ],
)
def test_lock_knows_every_requirement(lock: str, wanted: list[str]) -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (CHECKOUT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {re.split(r"[<>=!~ \[;]", line)[0] for line in wanted} <= pinned


def test_both_locks_agree() -> None:
    """On versions; for which Pythons one is needed may differ, as tools need it on more of them."""
    runtime, development = (
        set(re.findall(r"^\S+==\S+", (CHECKOUT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE))
        for lock in LOCKS
    )
    assert runtime <= development
