"""The house rules that a machine can check: each on this checkout, and each on a small bad tree that must fail it.

Covers: layers, circles, who may import numba, Dask and bench/, imports inside functions, docstrings, lengths, names,
packages.
Does not cover: style within a file (ruff) and types (mypy); CONTRIBUTING.md gives the rules in words.
"""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from source_files import PACKAGES, sources

CHECKOUT = Path(__file__).parent.parent
APART = ("bench", "chaos")
INSIDES = {
    "bench/ours.py": ("pipeline", "tasks"),
    "bench/peers/contract.py": ("pipeline.runtime.monitor",),
    "chaos/published.py": ("tasks.files",),
    "chaos/soak_watch.py": ("tasks.model",),
}
"""What of bench/ and chaos/ may import what of ours: one file knows our insides, two a single module each."""
LAYERS = {
    "tasks": 0,
    "pipeline.presets": 1,
    "pipeline.cluster_preset": 1,
    "pipeline.cluster_settings": 1,
    "pipeline.methods": 1,
    "pipeline.overrides": 1,
    "pipeline.request": 1,
    "pipeline.training_settings": 1,
    "pipeline.ingest_settings": 1,
    "pipeline.settings": 1,
    "pipeline.effective": 2,
    "pipeline.live": 2,
    "pipeline.report": 2,
    "pipeline.runtime": 2,
    "pipeline.stages": 3,
    "pipeline.scale": 4,
    "pipeline.plan": 4,
    "pipeline.sizes": 4,
    "pipeline.receipts": 3,
    "pipeline.hooks": 3,
    "pipeline.execution": 4,
    "pipeline.prune": 4,
    "pipeline.attempt": 5,
    "pipeline.flow": 6,
    "pipeline.saved": 6,
    "pipeline.saved_reports": 6,
    "pipeline": 7,
    "pipeline.schedule": 7,
    "pipeline.tables": 7,
    "pipeline.plan_table": 7,
    "pipeline.plots": 7,
    "pipeline.comparison": 7,
    "pipeline.commands": 8,
    "pipeline.cli": 9,
    "pipeline.__main__": 10,
}
"""An import goes down or stays in its layer. A file straight under pipeline/ needs a line; one in a folder does not."""
LAZY = {
    "pipeline/__init__.py", "pipeline/__main__.py", "pipeline/cli.py", "pipeline/live/plugin.py",
    "pipeline/runtime/notebook.py", "pipeline/schedule/extra.py", "tasks/zarr_arrays.py",
}  # fmt: skip
"""Files that may import inside a function: the front doors, so that loading a model imports no Dask, a command that
finds nothing to do is quick, and a worker knows no commands; and the places where an extra that only some have is
imported, or a scheduler may lack."""
FORBIDDEN_NAMES = {"common", "core", "helper", "helpers", "logging", "math", "misc", "random", "util", "utils"}
MOST_LINES = 300
FILE = re.compile(r"(?<![\w./{}*-])(?:\w+/)*[a-z_]\w*\.py\b")
"""A Python file as a docstring names it."""


def layer(module: str) -> int | None:
    """Return the layer of one of our modules; None where the table does not place it."""
    if module.startswith("pipeline.") and ".".join(module.split(".")[:2]) not in LAYERS:
        return None
    parts = module.split(".")
    return next((LAYERS[name] for end in range(len(parts), 0, -1) if (name := ".".join(parts[:end])) in LAYERS), None)


def ours(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def rule_layers(root: Path) -> Iterator[str]:
    for source in sources(root):
        own = layer(source.module)
        if own is None:
            yield f"{source.where}: LAYERS in test_architecture.py does not place this module"
            continue
        for one in source.imports:
            below = layer(one.name) if ours(one.name) else None
            if below is not None and below > own:
                yield f"{source.where}:{one.line}: imports {one.name}, which lies above it"


def rule_stages_apart(root: Path) -> Iterator[str]:
    for source in sources(root, ("pipeline/stages",)):
        for one in source.imports:
            if one.name.startswith("pipeline.stages") and one.name != source.module:
                yield f"{source.where}:{one.line}: a stage imports {one.name}"


def rule_tasks_without_dask(root: Path) -> Iterator[str]:
    for source in sources(root, ("tasks",)):
        for one in source.imports:
            if one.name.split(".")[0] in ("pipeline", "dask", "distributed"):
                yield f"{source.where}:{one.line}: a task imports {one.name}"


def rule_numba_in_kernels(root: Path) -> Iterator[str]:
    for source in sources(root):
        for one in source.imports:
            if one.name.split(".")[0] in ("numba", "llvmlite") and not source.where.startswith("tasks/kernels"):
                yield f"{source.where}:{one.line}: imports {one.name}; compiled loops live in tasks/kernels*.py"


def rule_measuring_apart(root: Path) -> Iterator[str]:
    for source in sources(root):
        for one in source.imports:
            if one.name.split(".")[0] in APART:
                yield f"{source.where}:{one.line}: imports {one.name}, which is no part of the program"
    for source in sources(root, APART):
        allowed = INSIDES.get(source.where, ())
        for one in source.imports:
            if ours(one.name) and not any(f"{one.name}.".startswith(f"{name}.") for name in allowed):
                yield f"{source.where}:{one.line}: imports {one.name}; INSIDES says which files know our insides"


def rule_no_circles(root: Path) -> Iterator[str]:
    found = [source for source in sources(root, (*PACKAGES, *APART)) if source.where not in LAZY]
    known = {source.module for source in found}
    graph = {source.module: {one.name for one in source.imports} & known - {source.module} for source in found}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as cause:
        yield f"imports go round: {' <- '.join(cause.args[1])}"


def rule_imports_at_the_top(root: Path) -> Iterator[str]:
    for source in sources(root, (*PACKAGES, *APART)):
        if source.where not in LAZY:
            yield from (
                f"{source.where}:{one.line}: {one.name} is imported inside a function"
                for one in source.imports
                if one.in_function
            )


def rule_opening_docstring(root: Path) -> Iterator[str]:
    for source in sources(root, (*PACKAGES, *APART, "tests")):
        words = " ".join((ast.get_docstring(source.tree) or "").split()).lower()
        holds_code = len(source.tree.body) > 1
        if not words or (holds_code and not ("covers:" in words and "not cover" in words)):
            yield f"{source.where}:1: opens without a docstring that says what it covers and what it does not"


def rule_length(root: Path) -> Iterator[str]:
    for source in sources(root, (*PACKAGES, *APART, "tests")):
        lines = len(source.path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            yield f"{source.where}: {lines} lines, at most {MOST_LINES}; split it by meaning"


def rule_names(root: Path) -> Iterator[str]:
    for source in sources(root, (*PACKAGES, *APART, "tests")):
        if wrong := FORBIDDEN_NAMES & set(source.module.split(".")):
            yield f"{source.where}: {', '.join(wrong)} says nothing of what is inside, or hides a standard module"
    for shadow in ("tests/pipeline", "tests/tasks"):
        if (root / shadow).exists():
            yield f"{shadow}: would be imported in place of the real package"


def rule_packages_listed(root: Path) -> Iterator[str]:
    listed = set(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    there = {
        source.path.parent.relative_to(root).as_posix().replace("/", ".")
        for source in sources(root, (*PACKAGES, "conf"))
    }
    yield from (f"pyproject.toml: package {name} is not listed" for name in sorted(there - listed))
    yield from (f"pyproject.toml: package {name} is listed, but not there" for name in sorted(listed - there))


def rule_pointers(root: Path) -> Iterator[str]:
    """A file that a docstring names lies beside it, straight under pipeline/, or where its path says."""
    with_docstring = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for source in sources(root, (*PACKAGES, *APART, "tests")):
        homes = [source.path.parent, root / "pipeline", root]
        if source.where.startswith("tests/"):
            homes += [root / "tasks", *root.glob("pipeline/*")]
        for node in ast.walk(source.tree):
            text = (ast.get_docstring(node) or "") if isinstance(node, with_docstring) else ""
            for name in FILE.findall(text):
                if not any((home / name).exists() for home in homes):
                    yield f"{source.where}: a docstring names {name}, which is not there"


GOOD = '"""A file. Covers: this. Does not cover: that."""\n'
LISTED = '[tool.setuptools]\npackages = ["tasks"]\n'
BAD_TREES: dict[Callable[[Path], Iterator[str]], list[dict[str, str]]] = {
    rule_layers: [
        {"pipeline/runtime/store.py": "from pipeline.stages import train\n", "pipeline/stages/train.py": ""},
        {"pipeline/flow.py": "import pipeline.cli\n"},
        {"pipeline/stages/train.py": "from pipeline import run\n"},
        {"tasks/score.py": "from pipeline.settings import Settings\n"},
        {"pipeline/stages/train.py": "from ..flow import run\n"},
        {"pipeline/elsewhere.py": ""},
    ],
    rule_stages_apart: [
        {"pipeline/stages/train.py": "from pipeline.stages import grid\n", "pipeline/stages/grid.py": ""}
    ],
    rule_tasks_without_dask: [
        {"tasks/score.py": "import dask.array\n"},
        {"tasks/score.py": "def f():\n    from distributed import Client\n"},
        {"tasks/score.py": "import importlib\nimportlib.import_module('dask')\n"},
    ],
    rule_numba_in_kernels: [{"tasks/score.py": "from numba import njit\n"}, {"pipeline/flow.py": "import numba\n"}],
    rule_measuring_apart: [
        {"tasks/score.py": "from bench import data\n", "bench/data.py": GOOD},
        {"pipeline/flow.py": "import bench\n"},
        {"pipeline/flow.py": "from chaos import room\n", "chaos/room.py": GOOD},
        {"bench/data.py": "from tasks.model import Model\n", "tasks/model.py": GOOD},
        {"bench/peers/contract.py": "from pipeline.runtime import store\n", "pipeline/runtime/store.py": GOOD},
    ],
    rule_no_circles: [{"tasks/a.py": "from tasks import b\n", "tasks/b.py": "def f():\n    import tasks.a\n"}],
    rule_imports_at_the_top: [
        {"tasks/a.py": "def f():\n    import json\n"},
        {"tasks/a.py": "f = lambda: __import__('json')\n"},
    ],
    rule_opening_docstring: [
        {"tasks/a.py": "x = 1\n"},
        {"tasks/a.py": '"""Covers: all."""\nx = 1\n'},
        {"tests/test_a.py": "x = 1\n"},
    ],
    rule_length: [{"tasks/a.py": "\n" * (MOST_LINES + 1)}],
    rule_names: [{"tasks/utils.py": GOOD}, {"pipeline/core/a.py": GOOD}, {"tests/tasks/test_a.py": GOOD}],
    rule_pointers: [
        {"tasks/a.py": '"""Does not cover: scores (gone.py)."""\n'},
        {"pipeline/live/a.py": '"""As stages/gone.py has it."""\n'},
        {"pipeline/live/a.py": '"""As train.py has it."""\n', "pipeline/stages/train.py": GOOD},
        {"tests/test_a.py": 'def f():\n    """Beside test_gone.py."""\n'},
    ],
    rule_packages_listed: [
        {"pyproject.toml": LISTED, "tasks/a.py": "", "tasks/more/b.py": ""},
        {"pyproject.toml": LISTED, "conf/__init__.py": "", "tasks/a.py": ""},
        {"pyproject.toml": LISTED},
    ],
}


def named(rule: Callable[[Path], Iterator[str]]) -> str:
    return rule.__name__.removeprefix("rule_")


@pytest.mark.parametrize("rule", BAD_TREES, ids=named)
def test_house_keeps(rule: Callable[[Path], Iterator[str]]) -> None:
    assert list(rule(CHECKOUT)) == []


CASES = [
    pytest.param(rule, files, id=f"{named(rule)}-{number}")
    for rule, trees in BAD_TREES.items()
    for number, files in enumerate(trees)
]


@pytest.mark.parametrize(("rule", "files"), CASES)
def test_rule_refuses_bad_tree(rule: Callable[[Path], Iterator[str]], files: dict[str, str], tmp_path: Path) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert len(list(rule(tmp_path))) == 1


def test_rules_look_at_real_files() -> None:
    assert {"pipeline.settings", "pipeline.runtime.store", "tasks.kernels"} <= {
        source.module for source in sources(CHECKOUT)
    }
