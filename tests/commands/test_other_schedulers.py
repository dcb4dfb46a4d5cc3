"""What other schedulers are given: each file drives the same command, with words that it knows, and is well-formed.

Covers: conf/schedules/ and docs/schedule.md. Kubernetes' own types come with its client; systemd reads its units
itself where it is installed.
Does not cover: a cluster, an Airflow and a Prefect (the page says so); the built-in scheduler (test_schedule.py).
"""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml
from pydantic import ValidationError

from funkflow.pipeline.running.schedule.cron import Cron
from funkflow.pipeline.running.schedule.daemon import MEANINGS, Retry

CHECKOUT = Path(__file__).parents[2]
SCHEDULES = CHECKOUT / "conf" / "schedules"
PAGE = (CHECKOUT / "docs" / "schedule.md").read_text(encoding="utf-8")
CRONJOB = yaml.safe_load((SCHEDULES / "cronjob.yaml").read_text(encoding="utf-8"))
NO_RETRY = [code for code in MEANINGS if 0 < code < 75 and Retry().pause_seconds(code, 1) is None]


def read(name: str) -> str:
    return (SCHEDULES / name).read_text(encoding="utf-8")


def faults(manifest: Any) -> list[str]:
    """Hold a manifest to the type of the Kubernetes client, which knows every key and which of them must be there."""
    try:
        kubernetes.client.V1CronJob.model_validate(manifest)
    except ValidationError as wrong:
        return [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in wrong.errors()]
    return []


def test_the_cronjob_is_what_kubernetes_takes() -> None:
    assert CRONJOB["apiVersion"] == "batch/v1"
    assert faults(CRONJOB) == []


@pytest.mark.parametrize(
    ("text", "instead", "fault"),
    [
        ("concurrencyPolicy", "concurrency", "spec.concurrency: Extra inputs are not permitted"),
        (
            "backoffLimit: 3",
            "backoffLimit: three",
            "spec.backoffLimit: Input should be a valid integer",
        ),
        ("- name: run\n", "- nam: run\n", "containers.0.name: Field required"),
    ],
)
def test_a_slip_in_the_cronjob_is_found(text: str, instead: str, fault: str) -> None:
    assert text in read("cronjob.yaml")
    slipped = yaml.safe_load(read("cronjob.yaml").replace(text, instead))
    assert any(fault in each for each in faults(slipped))


def test_the_cronjob_lets_no_two_run_and_retries_what_may_help() -> None:
    spec = CRONJOB["spec"]
    job = spec["jobTemplate"]["spec"]
    rules = {rule["action"]: rule for rule in job["podFailurePolicy"]["rules"]}
    assert spec["concurrencyPolicy"] == "Forbid"
    assert rules["FailJob"]["onExitCodes"]["values"] == NO_RETRY == [2, 3, 4, 5]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # else no such rule counts


def command_lines() -> dict[str, str]:
    """Return the command line in each file, as a shell is given it."""
    (cron_line,) = [line for line in read("crontab").splitlines() if not line.startswith("#")]
    (unit,) = re.findall(r"^ExecStart=(.+)$", read("funkflow.service"), re.MULTILINE)
    (timed,) = re.findall(r"^ExecStart=(.+)$", read("funkflow-schedule.service"), re.MULTILINE)
    (container,) = CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return {
        "crontab": cron_line.split(maxsplit=5)[5].replace("\\%", "%"),
        "funkflow.service": shlex.split(unit)[2].replace("%%", "%"),
        "funkflow-schedule.service": timed,
        "cronjob.yaml": container["args"][0],
    }


def words_of(name: str, folder: Path) -> list[str]:
    """Let a shell run the line of a file with a funkflow that prints the words it is given."""
    stand_in = folder / "funkflow"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    stand_in.chmod(0o755)
    line = command_lines()[name].replace("/opt/funkflow/bin/funkflow", "funkflow").replace("cd /srv/funkflow &&", "")
    line = line.split(" >> ")[0]
    path = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, env=path).stdout.splitlines()


@pytest.mark.parametrize("name", ["crontab", "funkflow.service", "cronjob.yaml"])
def test_a_shell_makes_the_words_of_a_run_with_its_date(name: str, tmp_path: Path) -> None:
    words = words_of(name, tmp_path)
    assert words[0] == "run"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", words[words.index("--date") + 1])
    assert words[words.index("--wait") + 1] == "600"


def test_all_fire_at_the_same_moments() -> None:
    (cron_line,) = [line for line in read("crontab").splitlines() if not line.startswith("#")]
    expressions = {" ".join(cron_line.split()[:5]), CRONJOB["spec"]["schedule"]}
    expressions |= set(re.findall(r'"(0 3 [^"]+)"', "".join(path.read_text() for path in SCHEDULES.iterdir())))
    assert expressions == {"0 3 * * 1-5"}
    assert Cron(expressions.pop(), CRONJOB["spec"]["timeZone"]).upcoming(datetime.now(UTC), 1)
    assert "OnCalendar=Mon..Fri 03:00 Europe/Paris" in read("funkflow.timer")


@pytest.mark.parametrize("name", sorted(path.name for path in SCHEDULES.glob("*.[st]*e[cr]*")))
def test_units_are_read_without_a_word(name: str, tmp_path: Path) -> None:
    for path in (*SCHEDULES.glob("*.service"), *SCHEDULES.glob("*.timer")):
        text = path.read_text(encoding="utf-8").replace("/opt/funkflow/bin/funkflow", sys.executable)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    unit = configparser.RawConfigParser(strict=True)
    unit.read(tmp_path / name, encoding="utf-8")
    assert {"Unit"} < set(unit.sections())
    if systemd := shutil.which("systemd-analyze"):
        read_by = subprocess.run(
            [systemd, "verify", str(tmp_path / name)], capture_output=True, text=True, check=False, timeout=60
        )
        assert (read_by.returncode, read_by.stderr) == (0, "")


def test_units_retry_what_may_help() -> None:
    assert f"RestartPreventExitStatus={' '.join(map(str, NO_RETRY))}\n" in read("funkflow.service")


@pytest.mark.parametrize("path", sorted(SCHEDULES.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_flows_are_python_and_retry_what_may_help(path: Path) -> None:
    """Their packages are not installed: syntax, the words of the run, and the codes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = [ast.literal_eval(node) for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple)
                and all(isinstance(each, ast.Constant) for each in node.elts)]  # fmt: skip
    assert ["/opt/funkflow/bin/funkflow", "run", "my.toml", "--wait", "600", "--date"] in literals
    assert tuple(NO_RETRY) in literals


def test_the_page_has_every_code_and_every_file() -> None:
    codes = re.findall(r"\d+", " ".join(re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE)))
    assert {*map(int, codes), 129} == {*MEANINGS}
    files = [path.name for path in SCHEDULES.iterdir() if not path.name.startswith("__")]
    assert files
    assert [name for name in files if name not in PAGE] == []
