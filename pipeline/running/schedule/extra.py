"""The extra `schedule`: what only some have installed is imported when it is first asked for.

Covers: the built-in scheduler's two classes, or the line that says what to install.
Does not cover: what they do (daemon.py, cron.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from funkflow.tasks.errors import SettingsError

if TYPE_CHECKING:
    from funkflow.pipeline.running.schedule.cron import Cron
    from funkflow.pipeline.running.schedule.daemon import Daemon

_PACKAGES = ("apscheduler", "cronsim", "tzlocal")


def built_in_scheduler() -> tuple[type[Cron], type[Daemon]]:
    """Return the classes.

    Raises
    ------
    SettingsError
        A package of the extra is not installed.
    """
    try:
        from funkflow.pipeline.running.schedule.cron import Cron
        from funkflow.pipeline.running.schedule.daemon import Daemon
    except ModuleNotFoundError as cause:
        missing = (cause.name or "").split(".")[0]
        if missing not in _PACKAGES:
            raise
        raise SettingsError(
            f"funkflow schedule needs the package {missing}: pip install 'funkflow[schedule]'"
        ) from cause
    return Cron, Daemon
