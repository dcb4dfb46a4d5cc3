"""The same run as a flow of Prefect 3: `python prefect_flow.py` serves it.

Covers: dates, retries and their end. Does not cover: the run; funkflow has an environment of its own.
"""

import subprocess
from typing import Any
from zoneinfo import ZoneInfo

from prefect import flow, task
from prefect.runtime import flow_run
from prefect.schedules import Cron

ZONE = ZoneInfo("Europe/Paris")
RUN = ["/opt/funkflow/bin/funkflow", "run", "my.toml", "--wait", "600", "--date"]


def may_help(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether another attempt could succeed."""
    return getattr(state.result(raise_on_failure=False), "returncode", 1) not in (2, 3, 4, 5)


@task(retries=3, retry_delay_seconds=[60, 120, 240], retry_condition_fn=may_help)
def refresh(date: str) -> None:
    """Run for a logical date."""
    subprocess.run([*RUN, date], cwd="/srv/funkflow", check=True)


@flow
def funkflow() -> None:
    """Refresh the factor model on working days."""
    refresh(flow_run.scheduled_start_time.astimezone(ZONE).date().isoformat())


if __name__ == "__main__":
    funkflow.serve(schedule=Cron("0 3 * * 1-5", timezone=ZONE.key), limit=1)
