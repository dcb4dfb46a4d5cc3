"""Remove credentials in URLs before a text goes to a screen, a log or a file.

Covers: user:password@, and the query after the question mark, which holds the signature of presigned URLs.
Does not cover: credentials without a URL, which are never settings: they come from the environment.
"""

from __future__ import annotations

import re
from typing import Any

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*://)"
    r"(?P<login>[^\s/?#'\"<>]*@)?"
    r"(?P<place>[^\s?'\"<>]*)"
    r"(?P<query>\?[^\s'\"<>]*=[^\s'\"<>]*?(?=[.,;:)]*(?:[\s'\"<>]|$)))?"  # without the punctuation that ends a sentence
)
MASK = "***"


def masked(text: str) -> str:
    """Return a text with the login and the query of every URL in it as `***`; a `?` of a glob stays."""
    return _URL.sub(_hide, text) if "://" in text else text


def without_query(url: str) -> str:
    """Return a URL without its query; a `?` of a glob stays."""
    return _URL.sub(lambda found: found[0].removesuffix(found["query"] or ""), url) if "://" in url else url


def name_of(url: str) -> str:
    """Return the name of a file in messages: its URL without login and query."""
    return masked(without_query(url))


def masked_content(content: Any) -> Any:
    """Return nested dicts, lists and texts, as in JSON and TOML, with all texts masked."""
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
