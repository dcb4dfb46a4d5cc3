"""The same run as a DAG of Airflow 3: copy it to the folder of DAGs.

Covers: dates, retries and their end. Does not cover: the run; funkflow has an environment of its own.
"""

import subprocess
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow.exceptions import AirflowFailException
from airflow.sdk import dag, task

RUN = ["/opt/funkflow/bin/funkflow", "run", "my.toml", "--wait", "600", "--date"]
FIRST = datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Paris"))


@task(retries=3, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True)
def refresh(ds: str = "") -> None:
    """Run for the logical date that Airflow gives."""
    code = subprocess.run([*RUN, ds], cwd="/srv/funkflow", check=False).returncode
    if code in (2, 3, 4, 5):
        raise AirflowFailException(f"ended with {code}: no retry would help")
    if code:
        raise RuntimeError(f"ended with {code}")


@dag(schedule="0 3 * * 1-5", start_date=FIRST, catchup=False, max_active_runs=1)
def funkflow() -> None:
    """Refresh the factor model on working days."""
    refresh()


funkflow()
