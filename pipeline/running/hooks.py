"""Telling somebody how an execution ended: a command, or an address on the web, is given its record.

Covers: `hooks.on_success` and `hooks.on_failure`. One that fails, or takes too long, is said and changes nothing.
Does not cover: the record (pipeline/root/ledger.py). Who is killed without a word tells nobody; the next execution
marks it "died".
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

from funkflow.pipeline.progress.events import Listener, Noticed
from funkflow.pipeline.root.ledger import LedgerRecord
from funkflow.pipeline.settings.sections import HookSettings
from funkflow.tasks.redact import masked_content

_STANDARD_ERROR = 2
"""Where a command's output goes: standard output is for the result alone."""


def tell_hook(hooks: HookSettings, record: LedgerRecord, told: Listener) -> None:
    """Give the record to the hook for its exit code, if there is one; a warning says if that failed."""
    name = "on_success" if record["exit_code"] == 0 else "on_failure"
    hook = getattr(hooks, name).get_secret_value()
    if not hook:
        return
    body = json.dumps(masked_content(record)).encode()
    try:
        if urlsplit(hook).scheme in ("http", "https"):
            _post(hook, body, hooks.timeout_seconds)
        else:
            _run(hook, body, hooks.timeout_seconds)
    except (OSError, ValueError, HTTPException, subprocess.SubprocessError) as cause:
        told(Noticed(f"hooks.{name} failed, which changes nothing else: {_said(hook, cause)}", warning=True))


def _post(url: str, body: bytes, timeout_seconds: float) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "funkflow"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request, timeout=timeout_seconds):
        pass  # what it answers is nothing to us; an answer of 400 or more is an error of urllib's


def _run(command: str, body: bytes, timeout_seconds: float) -> None:
    words = [os.path.expanduser(word) for word in shlex.split(command)]  # no shell does it
    subprocess.run(words, input=body, stdout=_STANDARD_ERROR, timeout=timeout_seconds, check=True)


def _said(hook: str, cause: Exception) -> str:
    """Say what went wrong, and with what, without what may be secret in it: all but a host, or a program's name."""
    if isinstance(cause, subprocess.TimeoutExpired):
        what = f"not done after {cause.timeout:.3g} s"
    elif isinstance(cause, subprocess.CalledProcessError):
        what = f"exit code {cause.returncode}"
    else:
        what = str(getattr(cause, "reason", "") or getattr(cause, "strerror", "") or type(cause).__name__)
    address = urlsplit(hook)
    return f"{address.hostname or hook.split()[0]}: {what}"
