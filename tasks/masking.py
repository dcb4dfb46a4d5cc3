"""What must not be written down: credentials in URLs, before a text goes to a screen, a log or a file.

Covers: user:password@ and what is asked for after the question mark, where presigned URLs have their signature.
Does not cover: where texts come from; credentials by themselves are never settings, they come from the environment.
"""

from __future__ import annotations

import re
from typing import Any

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)(?P<login>[^\s/@'\"<>]*@)?(?P<place>[^\s?'\"<>]*)(?P<query>\?[^\s'\"<>]*=[^\s'\"<>]*)?"
)
MASK = "***"


def masked(text: str) -> str:
    """Return a text with the login and the query of every URL in it as `***`; a `?` of a glob stays."""
    return _URL.sub(_hide, text) if "://" in text else text


def masked_content(content: Any) -> Any:
    """Return nested dicts, lists and texts, as JSON and TOML have them, with all texts masked."""
    if isinstance(content, str):
        return masked(content)
    if isinstance(content, dict):
        return {key: masked_content(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [masked_content(value) for value in content]
    return content


def _hide(url: re.Match[str]) -> str:
    login = f"{MASK}@" if url["login"] else ""
    query = f"?{MASK}" if url["query"] else ""
    return f"{url['scheme']}{login}{url['place']}{query}"
