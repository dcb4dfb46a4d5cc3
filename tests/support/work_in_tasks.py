"""The rule that what a worker runs lives in tasks/.

Covers: calls that hand a function to a worker, and where that function is defined.
Does not cover: the other rules of the house (test_architecture.py).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from source_files import FRONT, sources

HANDED_AT = {"delayed": 0, "submit": 0, "map": 0, "_submit": 0, "run_all": 3, "submit_shared": 2}
"""At which place these calls take the function that a worker runs."""
SHELLS = {
    "pipeline/planning/calibrate.py": {"_nothing", "_array"},
    "pipeline/root/model_in_use.py": {"_use_of"},
    "pipeline/training/on_worker.py": {"on_threads", "on_timed_threads"},
    "pipeline/stages/baseline.py": {"score_mean"},
    "pipeline/stages/evaluate.py": {"read_shards", "score_saved"},
    "pipeline/stages/export.py": {"export_shard"},
    "pipeline/stages/grid.py": {"write_held_out"},
    "pipeline/stages/predict.py": {"predict_batch"},
    "pipeline/stages/reconstruct.py": {"write_piece"},
    "pipeline/stages/spectrum.py": {"turned_items", "score_part"},
    "pipeline/stages/vectors.py": {"write_vectors"},
}
"""Functions of pipeline/ that are handed out all the same: calibration's empty tasks, threads of this process, shells
around functions of tasks/ that ask their worker for something; and those of the stages, which are to move."""
WORK_ELSEWHERE = [
    {"pipeline/a.py": "def f(): ...\nclient.submit(f, 1)\n"},
    {"pipeline/a.py": "from funkflow.pipeline.b import f\ndelayed(f, pure=False)(1)\n", "pipeline/b.py": ""},
]
"""Bad trees."""


def rule_work_in_tasks(root: Path) -> Iterator[str]:
    """What a worker runs is imported from tasks/, but for the shells."""
    for source in sources(root, ("pipeline",)):
        homes = {
            alias.asname or alias.name: node.module or ""
            for node in ast.walk(source.tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        homes |= {node.name: source.module for node in source.tree.body if isinstance(node, ast.FunctionDef)}
        for call in (node for node in ast.walk(source.tree) if isinstance(node, ast.Call)):
            called = getattr(call.func, "attr", getattr(call.func, "id", ""))
            builtin = called == "map" and isinstance(call.func, ast.Name)
            place = len(call.args) if builtin else HANDED_AT.get(called, len(call.args))
            handed = call.args[place] if place < len(call.args) else None
            name = handed.id if isinstance(handed, ast.Name) else ""
            home = homes.get(name, "")
            where = f"{home.removeprefix(f'{FRONT}.').replace('.', '/')}.py"
            if home.startswith(f"{FRONT}.pipeline") and name not in SHELLS.get(where, ()):
                yield f"{source.where}:{call.lineno}: hands {name} to a worker; such functions live in tasks/"
