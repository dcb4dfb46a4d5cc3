"""The house rules that a machine can check: each on this checkout, and each on a small bad tree that must fail it.

Covers: layers, circles, who imports numba, Dask and bench/, imports inside functions, docstrings, lengths, packages.
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
from draw_architecture import PAGE, drawn, page
from source_files import FRONT, INSTALLED, PACKAGES, sources
from work_in_tasks import WORK_ELSEWHERE, rule_work_in_tasks

CHECKOUT = Path(__file__).parents[2]
APART = ("bench", "chaos")
INSIDES = {
    **dict.fromkeys((f"bench/ours{name}.py" for name in ("", "_ranked", "_requests", "_served")), ("funkflow",)),
    "bench/planted_bound.py": ("funkflow",),
    "bench/peers/contract.py": ("funkflow.pipeline.cluster.memory_monitor",),
    "chaos/published.py": ("funkflow.tasks.storage.files",),
    "chaos/soak_watch.py": ("funkflow.tasks.model.model",),
}
"""What of bench/ and chaos/ may import what of ours: five files know our insides, three a single module each."""
FLOORS = (
    "tasks", "tasks.kernels", "tasks.kernels.blocks", "tasks.kernels.ingest", "tasks.storage",
    "tasks.parsing.sources", "tasks.parsing.format", "tasks.parsing.rows", "tasks.parsing", "tasks.model.forms",
    "tasks.model.times", "tasks.model.fold", "tasks.model.draws", "tasks.model", "tasks.dataset", "tasks.grid",
    "tasks.training.times", "tasks.training.implicit", "tasks.training", "tasks.training.new_rows",
    "tasks.training.posterior", "tasks.serving", "tasks.evaluation", "tasks.synthetic", "pipeline",
    "pipeline.settings", "pipeline.progress", "pipeline.progress.live", "pipeline.root", "pipeline.planning",
    "pipeline.cluster", "pipeline.datasets", "pipeline.models", "pipeline.training", "pipeline.training.methods",
    "pipeline.results.report", "pipeline.stages", "pipeline.results", "pipeline.running.schedule",
    "pipeline.running.serving", "pipeline.running", "pipeline.flow", "pipeline.from_python", "pipeline.fitting",
    "pipeline.estimator_input", "pipeline.estimator", "pipeline.results.comparison", "__init__", "pipeline.commands",
    "pipeline.cli", "__main__",
)  # fmt: skip
"""The packages, lowest first, and the few files that are floors by themselves. An import goes down or stays."""
MOST_FILES, MOST_FOLDERS = 18, {"pipeline": 12, "tasks": 10}
LAZY = {
    "funkflow/__init__.py", "funkflow/__main__.py", "pipeline/cli.py", "pipeline/progress/notebook.py", "tasks/late.py",
    "pipeline/running/schedule/daemon.py", "pipeline/settings/methods.py",
}  # fmt: skip
"""Files that may import inside a function: the front doors, so that loading a model imports no Dask; the registry of
methods, whose functions lie above it; modules at their first use, and extras that some have."""
FORBIDDEN_NAMES = {"common", "core", "helper", "helpers", "logging", "math", "misc", "random", "util", "utils"}
MOST_LINES = 300
FILE = re.compile(r"(?<![\w./{}*-])(?:\w+/)*[a-z_]\w*\.py\b")
"""A Python file as a docstring names it."""


def floor(module: str) -> int | None:
    """Return the floor of one of our modules; None where the list has none for it."""
    name = module.removeprefix("funkflow.")
    if module == "funkflow":
        return FLOORS.index("__init__")
    if name in FLOORS:
        return FLOORS.index(name)
    package = name.rpartition(".")[0]
    return FLOORS.index(package) if package in FLOORS and package != "pipeline" else None


def rule_floors(root: Path) -> Iterator[str]:
    for source in sources(root):
        own = floor(source.module)
        if own is None:
            yield f"{source.where}: FLOORS in test_architecture.py has no floor for this module"
            continue
        for one in source.imports:
            below = floor(one.name) if one.name.split(".")[0] == FRONT else None
            if below is not None and below > own:
                yield f"{source.where}:{one.line}: imports {one.name}, which lies above it"


def rule_one_import_name(root: Path) -> Iterator[str]:
    for source in sources(root, (*PACKAGES, *APART, "conf", "docs", "tests")):
        for one in source.imports:
            if one.name.split(".")[0] in INSTALLED:
                yield f"{source.where}:{one.line}: imports {one.name} without funkflow before it"


def rule_rooms(root: Path) -> Iterator[str]:
    """Few folders on a floor, few files in a folder, and a docstring that says who lives there."""
    for top, most in MOST_FOLDERS.items():
        folders = {source.path.parent for source in sources(root, (top,))}
        if sum(folder.parent == root / top for folder in folders) > most:
            yield f"{top}/: more than {most} folders"
        for folder in sorted(folders):
            where = folder.relative_to(root).as_posix()
            if len(list(folder.glob("*.py"))) > MOST_FILES:
                yield f"{where}: more than {MOST_FILES} files"
            opening = folder / "__init__.py"
            text = opening.read_text(encoding="utf-8") if opening.exists() else ""
            if not ("Lives here:" in text and "Does not:" in text and "May import:" in text):
                yield f"{where}: __init__.py does not say what lives here, what does not, and what it may import"


def rule_stages_apart(root: Path) -> Iterator[str]:
    for source in sources(root, ("pipeline/stages",)):
        for one in source.imports:
            if one.name.startswith("funkflow.pipeline.stages") and one.name != source.module:
                yield f"{source.where}:{one.line}: a stage imports {one.name}"


def rule_tasks_without_dask(root: Path) -> Iterator[str]:
    for source in sources(root, ("tasks",)):
        for one in source.imports:
            if one.name.split(".")[0] in ("dask", "distributed") or one.name.startswith("funkflow.pipeline"):
                yield f"{source.where}:{one.line}: a task imports {one.name}"


def rule_numba_in_kernels(root: Path) -> Iterator[str]:
    for source in sources(root):
        for one in source.imports:
            if one.name.split(".")[0] in ("numba", "llvmlite") and not source.where.startswith("tasks/kernels/"):
                yield f"{source.where}:{one.line}: imports {one.name}; compiled loops live in tasks/kernels/"


def rule_measuring_apart(root: Path) -> Iterator[str]:
    for source in sources(root):
        for one in source.imports:
            if one.name.split(".")[0] in APART:
                yield f"{source.where}:{one.line}: imports {one.name}, which is no part of the program"
    for source in sources(root, APART):
        allowed = INSIDES.get(source.where, ())
        for one in source.imports:
            if one.name.split(".")[0] == FRONT and not any(f"{one.name}.".startswith(f"{name}.") for name in allowed):
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
        holds_code = len(source.tree.body) > 1 and "lives here:" not in words
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
            yield f"{source.where}: {', '.join(wrong)} is too vague, or hides a standard module"
    for shadow in ("tests/pipeline", "tests/tasks"):
        if (root / shadow).exists():
            yield f"{shadow}: would be imported in place of the real package"


def rule_packages_listed(root: Path) -> Iterator[str]:
    listed = set(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"])
    there = {source.module for source in sources(root, (*PACKAGES, "conf")) if source.path.name == "__init__.py"}
    yield from (f"pyproject.toml: package {name} is not listed" for name in sorted(there - listed))
    yield from (f"pyproject.toml: package {name} is listed, but not there" for name in sorted(listed - there))


def rule_pointers(root: Path) -> Iterator[str]:
    """A file that a docstring names lies beside it, or where its path says."""
    with_docstring = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for source in sources(root, (*PACKAGES, *APART, "tests")):
        homes = [source.path.parent, root]
        if source.where.startswith("tests/"):
            homes += [root / "tests", *root.glob("tests/*")]
        for node in ast.walk(source.tree):
            text = (ast.get_docstring(node) or "") if isinstance(node, with_docstring) else ""
            for name in FILE.findall(text):
                if not any((home / name).exists() for home in homes):
                    yield f"{source.where}: a docstring names {name}, which is not there"


GOOD = '"""A file. Covers: this. Does not cover: that."""\n'
ROOM = '"""A folder.\n\nLives here: a.\nDoes not: b.\nMay import: c.\n"""\n'
LISTED = '[tool.setuptools]\npackages = ["funkflow.tasks"]\n'
BAD_TREES: dict[Callable[[Path], Iterator[str]], list[dict[str, str]]] = {
    rule_floors: [
        {"pipeline/root/store.py": "from funkflow.pipeline.stages import export\n", "pipeline/stages/export.py": ""},
        {"pipeline/flow.py": "import funkflow.pipeline.cli\n"},
        {"pipeline/stages/export.py": "from funkflow import run\n"},
        {"tasks/kernels/score.py": "from funkflow.tasks.storage import files\n", "tasks/storage/files.py": ""},
        {"pipeline/stages/export.py": "from ..flow import run\n"},
        {"pipeline/elsewhere.py": ""},
    ],
    rule_one_import_name: [
        {"tasks/kernels/score.py": "from tasks import files\n"},
        {"tests/test_a.py": "from pipeline import flow\n"},
        {"bench/a.py": "import conf\n"},
    ],
    rule_rooms: [
        {"tasks/a/__init__.py": GOOD},
        {"tasks/a/b.py": GOOD},
        {"tasks/a/__init__.py": ROOM, **{f"tasks/a/b{number}.py": GOOD for number in range(MOST_FILES)}},
        {f"tasks/a{number}/__init__.py": ROOM for number in range(MOST_FOLDERS["tasks"] + 1)},
    ],
    rule_stages_apart: [
        {"pipeline/stages/export.py": "from funkflow.pipeline.stages import grid\n", "pipeline/stages/grid.py": ""}
    ],
    rule_tasks_without_dask: [
        {"tasks/score.py": "import dask.array\n"},
        {"tasks/score.py": "def f():\n    from distributed import Client\n"},
        *({"tasks/score.py": f"{each}('dask')\n"} for each in ("importlib.import_module", "late")),
        {"tasks/score.py": "from funkflow.pipeline import flow\n"},
    ],
    rule_numba_in_kernels: [{"tasks/score.py": "from numba import njit\n"}, {"pipeline/flow.py": "import numba\n"}],
    rule_measuring_apart: [
        {"tasks/score.py": "from bench import data\n", "bench/data.py": GOOD},
        {"pipeline/flow.py": "import bench\n"},
        {"pipeline/flow.py": "from chaos import room\n", "chaos/room.py": GOOD},
        {"bench/data.py": "from funkflow.tasks.files import Model\n", "tasks/files.py": GOOD},
        {"bench/peers/contract.py": "from funkflow.pipeline.root import store\n", "pipeline/root/store.py": GOOD},
    ],
    rule_no_circles: [
        {"tasks/a.py": "from funkflow.tasks import b\n", "tasks/b.py": "def f():\n    import funkflow.tasks.a\n"}
    ],
    rule_imports_at_the_top: [
        {"tasks/a.py": "def f():\n    import json\n"},
        {"tasks/a.py": "f = lambda: __import__('json')\n"},
    ],
    rule_work_in_tasks: WORK_ELSEWHERE,
    rule_opening_docstring: [
        {"tasks/a.py": "x = 1\n"},
        {"tasks/a.py": '"""Covers: all."""\nx = 1\n'},
        {"tests/test_a.py": "x = 1\n"},
    ],
    rule_length: [{"tasks/a.py": "\n" * (MOST_LINES + 1)}],
    rule_names: [{"tasks/utils.py": GOOD}, {"pipeline/core/a.py": GOOD}, {"tests/tasks/test_a.py": GOOD}],
    rule_pointers: [
        {"tasks/a.py": '"""Does not cover: scores (gone.py)."""\n'},
        {"pipeline/live/a.py": '"""As pipeline/stages/gone.py has it."""\n'},
        {"pipeline/live/a.py": '"""As export.py has it."""\n', "pipeline/stages/export.py": GOOD},
        {"tests/test_a.py": 'def f():\n    """Beside test_gone.py."""\n'},
    ],
    rule_packages_listed: [
        {"pyproject.toml": LISTED, "tasks/__init__.py": "", "tasks/more/__init__.py": ""},
        {"pyproject.toml": LISTED, "conf/__init__.py": "", "tasks/__init__.py": ""},
        {"pyproject.toml": LISTED},
    ],
}


@pytest.mark.parametrize("rule", BAD_TREES, ids=lambda rule: rule.__name__.removeprefix("rule_"))
def test_house_keeps(rule: Callable[[Path], Iterator[str]]) -> None:
    assert list(rule(CHECKOUT)) == []


CASES = [
    pytest.param(rule, files, id=f"{rule.__name__.removeprefix('rule_')}-{number}")
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


def test_the_page_of_floors_is_drawn_from_this_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text, drawn(CHECKOUT)), "stale: make figures"


def test_rules_look_at_real_files() -> None:
    assert {"funkflow", "funkflow.pipeline.root.store", "funkflow.tasks.kernels.sgd"} <= {
        source.module for source in sources(CHECKOUT)
    }
