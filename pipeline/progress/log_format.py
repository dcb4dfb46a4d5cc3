"""The format of the log: text, or JSON.

Covers: the choice, from a command line and the environment; a line of JSON. Importing it loads no display.
Does not cover: the lines of a run (lines.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

TEXT, JSON = "text", "json"
FORMAT_VARIABLE = "FUNKFLOW_LOG_FORMAT"
FORMAT_OPTION = "--log-format"


def json_line(content: Mapping[str, object]) -> str:
    """Return a line of a log, with the current time."""
    return json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **content}) + "\n"


def format_of(words: Sequence[str]) -> str:
    """Return the format of the log by the command line, or else by the environment; text unless it is JSON.

    The option itself refuses other values; this function is for messages before the options are read.
    """
    asked = os.environ.get(FORMAT_VARIABLE, TEXT)
    for number, word in enumerate(words):
        if word == FORMAT_OPTION and number + 1 < len(words):
            asked = words[number + 1]
        elif word.startswith(f"{FORMAT_OPTION}="):
            asked = word.partition("=")[2]
    return JSON if asked == JSON else TEXT
