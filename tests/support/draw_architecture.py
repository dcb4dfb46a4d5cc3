"""Draw the layers of docs/architecture.md from the code: `make figures`.

Covers: the first line of each folder, what it imports, and a picture of the folders of pipeline/ and tasks/.
Does not cover: the rest of that page, which people write; the rules (test_architecture.py).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

from source_files import sources

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawn from the code: make figures -->\n", "<!-- end of what is drawn -->\n"
FLOWS = {
    "pipeline.flow": "A whole run: the order of its stages",
    "pipeline.from_python": "A run from Python: settings, ratings in memory, the client",
    "pipeline.fitting": "A run that leaves a model in memory, and no files",
    "pipeline.estimator_input": "Tables and matrices as ratings",
    "pipeline.estimator": "The estimator, with scikit-learn's methods",
    "pipeline.cli": "The command line: arguments in, exit codes out",
}
"""Files straight under pipeline/ that are layers by themselves."""


def package_of(module: str) -> str:
    """Return the folder of a module, or the module itself where it is a layer."""
    name = module.removeprefix("funkflow.")
    return name if name in (*FLOWS, "tasks", "pipeline") else name.rpartition(".")[0]


def floors(root: Path) -> dict[str, set[str]]:
    """Return for each folder those it imports from, lowest first."""
    graph: dict[str, set[str]] = defaultdict(set)
    for source in sources(root, ("pipeline", "tasks")):
        own = "tasks" if source.module == "funkflow.tasks" else package_of(source.module)
        if source.path.name == "__init__.py":
            own = source.module.removeprefix("funkflow.")
        graph[own] |= {
            package_of(one.name)
            for one in source.imports
            if one.name.startswith(("funkflow.pipeline.", "funkflow.tasks.")) and not one.in_function
        } - {own}
    order = TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).static_order()
    return {name: graph[name] for name in order if name}


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return a graph without the edges that follow from others."""

    def below(name: str) -> set[str]:
        return {each for nearer in graph.get(name, ()) for each in (nearer, *below(nearer))}

    return {
        name: {each for each in nearer if not any(each in below(other) for other in nearer - {each})}
        for name, nearer in graph.items()
    }


def opening(root: Path, package: str) -> str:
    """Return the first line of a folder's docstring."""
    if package in FLOWS:
        return FLOWS[package]
    text = (root / package.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0].rstrip(".")


def where(package: str) -> str:
    path = package.replace(".", "/")
    return f"{path}.py" if package in FLOWS else f"{path}/"


def drawn(root: Path) -> str:
    """Return the picture and the table, highest layer first."""
    graph = floors(root)
    shown = [name for name in reversed(graph) if name != "pipeline"]
    edges = [
        f"  {name.replace('.', '_')} --> {below.replace('.', '_')}"
        for name, nearer in reduced(graph).items()
        for below in sorted(nearer)
        if name in shown and below in shown
    ]
    nodes = [f'  {name.replace(".", "_")}["{where(name)}"]' for name in shown]
    rows = [
        f"| [`{where(name)}`](../{where(name)}) | {opening(root, name)} | {len(_files(root, name))} |" for name in shown
    ]
    return "\n".join(
        [
            "```mermaid",
            "flowchart TD",
            *nodes,
            *sorted(edges),
            "```",
            "",
            "| layer | content | files |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _files(root: Path, package: str) -> list[Path]:
    path = root / package.replace(".", "/")
    return [path.with_suffix(".py")] if package in FLOWS else list(path.glob("*.py"))


def page(text: str, picture: str) -> str:
    """Return a page with the picture between its two marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + picture + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), drawn(CHECKOUT)), encoding="utf-8")
