"""Blocks of code in the manual, by page and language, and why some of them are not run here.

Covers: reading all fenced blocks of docs/ and of the files whose text a page takes.
Does not cover: running them (test_manual.py), the reference, which is made from the code (test_reference.py).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from docs.pages import DOCS, HOMES

NOT_RUN = {
    "cluster": "needs other machines, or a scheduler with a folder that all see: test_attach.py, test_ssh.py, "
    "test_slurm.py, test_gateway.py, test_image.py and test_manifests.py have each way",
    "store": "needs an account with an object store: test_object_store.py has one on loopback",
    "waits": "ends only when it is stopped, or asks what does: test_schedule.py and test_serve.py",
    "install": "makes an environment: test_packaging.py and test_first_minute.py",
    "minutes": "measures for minutes: test_scale_plan.py calibrates, and test_compare.py compares all methods",
    "checkout": "tests, measures or changes the checkout itself, for minutes or hours: .ci/run, test_bench.py",
}
"""Words after the language of a block that is only checked, and where its commands are run instead."""
ELSEWHERE = {
    "adding-a-method": "test_adding_a_method.py puts its blocks in their places",
    "export": "test_export_page.py and test_export_command.py, on a model that has its items",
    "from-python": "test_run_in_memory.py",
    "notebook": "test_notebook.py runs its blocks in a kernel",
    "start": "test_first_minute.py walks it",
}
"""Pages with tests of their own."""
SHELLS = ("bash", "console")
LANGUAGES = {*SHELLS, "json", "mermaid", "python", "text", "toml", "yaml"}
_PARSER = MarkdownIt("commonmark")


@dataclass(frozen=True)
class Block:
    """A block of code. `language`, `word` : of its first line; both empty for one that is only indented."""

    page: str
    line: int
    language: str
    word: str
    content: str

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line, without comments; in a console those after the prompt, without what they print."""
        lines = self.content.splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found = (shlex.split(line, comments=True) for line in lines)
        return [words for words in found if words and self.language in SHELLS]


def blocks() -> list[Block]:
    """Return all blocks of the manual in the order of its pages; notes in braces such as {toctree} are none."""
    places = {path.stem: path for path in sorted(DOCS.rglob("*.md"))}
    places |= {page.stem: path for path, page in HOMES.items() if page.stem not in ("index", "changes")}
    return [block for page, path in places.items() for block in _blocks_of(page, path)]


def _blocks_of(page: str, path: Path) -> list[Block]:
    found = []
    for token in _PARSER.parse(path.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and not token.info.startswith("{"):
            language, _, word = token.info.partition(" ")
            found.append(Block(page, (token.map or [0])[0] + 1, language, word, token.content))
    return found
