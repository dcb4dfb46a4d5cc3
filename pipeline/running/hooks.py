"""Hooks after an execution: a command or a web address gets its record in the ledger.

Covers: `hooks.on_success` and `hooks.on_failure`. A hook that fails, or takes too long, causes a warning.
Does not cover: the record (pipeline/root/ledger.py). A killed execution calls no hook; the next one marks it "died".
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.root.ledger import LedgerRecord
from funkflow.pipeline.settings.sections import HookSettings
from funkflow.tasks.late import late
from funkflow.tasks.redact import masked_content

if TYPE_CHECKING:
    from http import client as http
    from urllib import request as web
else:  # few runs have a hook, and few hooks a web address
    web, http = late("urllib.request"), late("http.client")

_STANDARD_ERROR = 2
"""The destination of a command's output, as standard output is for the result alone."""


def tell_hook(hooks: HookSettings, record: LedgerRecord, notify: Listener) -> None:
    """Give the record to the hook for its exit code, if there is one; warn if the hook fails."""
    name = "on_success" if record["exit_code"] == 0 else "on_failure"
    hook = getattr(hooks, name).get_secret_value()
    if not hook:
        return
    body = json.dumps(masked_content(record)).encode()
    try:
        if urlsplit(hook).scheme in ("http", "https"):
            _post(hook, body, hooks.timeout_seconds)
        else:
            _run_command(hook, body, hooks.timeout_seconds)
    except (OSError, ValueError, http.HTTPException, subprocess.SubprocessError) as cause:
        notify(
            Noticed(f"hooks.{name} failed; this affects nothing else: {_describe_failure(hook, cause)}", warning=True)
        )


def _post(url: str, body: bytes, timeout_seconds: float) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "funkflow"}
    request = web.Request(url, data=body, headers=headers, method="POST")
    with web.urlopen(request, timeout=timeout_seconds):
        pass  # the answer does not matter; urllib raises for a status of 400 or more


def _run_command(command: str, body: bytes, timeout_seconds: float) -> None:
    words = [os.path.expanduser(word) for word in shlex.split(command)]  # there is no shell to expand ~
    subprocess.run(words, input=body, stdout=_STANDARD_ERROR, timeout=timeout_seconds, check=True)


def _describe_failure(hook: str, cause: Exception) -> str:
    """Describe a failure by the host or the program's name alone, as the rest of a hook may be secret."""
    if isinstance(cause, subprocess.TimeoutExpired):
        what = f"timed out after {cause.timeout:.3g} s"
    elif isinstance(cause, subprocess.CalledProcessError):
        what = f"exit code {cause.returncode}"
    else:
        what = str(getattr(cause, "reason", "") or getattr(cause, "strerror", "") or type(cause).__name__)
    address = urlsplit(hook)
    return f"{address.hostname or hook.split()[0]}: {what}"
