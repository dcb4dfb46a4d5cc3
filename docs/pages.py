"""Pages of the manual as Sphinx reads them; `python -m docs.pages` lists their links to the web.

Covers: text that a page takes from a file elsewhere or from the code, links out of docs/, and Mermaid pictures.
Does not cover: what the code says of itself (reference.py), Sphinx (conf.py).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from docs.reference import PARTS

DOCS = Path(__file__).parent
CHECKOUT = DOCS.parent
HOMES = {
    CHECKOUT / "README.md": DOCS / "index.md",
    CHECKOUT / "CHANGELOG.md": DOCS / "changes.md",
    CHECKOUT / "CONTRIBUTING.md": DOCS / "contributing.md",
    CHECKOUT / "data" / "README.md": DOCS / "raw-ratings.md",
}
"""Files elsewhere, and the page that has their text."""
_MARK = re.compile(r"^<!-- (file|code): (\S+) -->$", re.MULTILINE)
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
_FOLDED = r"<details><summary>The picture as text, for Mermaid</summary>\n\n```text\n\1```\n\n</details>"


def assembled(text: str, page: Path) -> str:
    """Return the text of `page`: marks filled in, links that lead out of docs/ changed.

    A mark `<!-- file: PATH -->` stands for a file of the checkout without its title, `<!-- code: NAME -->` for a part
    of the reference.
    """

    def filled(mark: re.Match[str]) -> str:
        kind, name = mark.groups()
        if kind == "code":
            return PARTS[name]()
        path = CHECKOUT / name
        return local(path.read_text(encoding="utf-8").partition("\n")[2], path, page)

    return _MERMAID.sub(_FOLDED, _MARK.sub(filled, local(text, page, page)))


def links(text: str) -> list[str]:
    """Return where the links and pictures of a text lead."""
    return [target for _, target in _LINK.findall(text)] + re.findall(r"<(https?://[^>]+)>", text)


def is_external(target: str) -> bool:
    """Return whether a link leads to the web."""
    return "://" in target


def local(text: str, source: Path, page: Path) -> str:
    """Return text of the file `source` with links as they must be in `page`.

    A link to a file that has a page leads to the page. A link to other files of the checkout becomes plain text, as a
    reader of the manual need not have them. A link that leads nowhere stays, for Sphinx to find.
    """

    def changed(link: re.Match[str]) -> str:
        words, target = link.groups()
        path, hash_, place = target.partition("#")
        if not path or is_external(path):
            return link.group()
        there = Path(os.path.normpath(source.parent / path))
        there = HOMES.get(there, there)
        if not there.exists():
            return link.group()
        if not there.is_relative_to(DOCS) or there.is_dir() or there.suffix == ".py":
            return words
        return f"[{words}]({os.path.relpath(there, page.parent)}{hash_}{place})"

    return _LINK.sub(changed, text)


if __name__ == "__main__":  # external links, which no build and no test fetches
    for _page in sorted(DOCS.rglob("*.md")):
        for _target in filter(is_external, links(assembled(_page.read_text(encoding="utf-8"), _page))):
            sys.stdout.write(f"{_page.relative_to(CHECKOUT)}: {_target}\n")
