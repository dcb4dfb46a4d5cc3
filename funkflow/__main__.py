"""The start of `funkflow` and `python -m funkflow`.

Covers: importing the rest at the call alone, as Python's multiprocessing imports this module in each worker process.
Does not cover: the commands (pipeline/cli.py).
"""

from __future__ import annotations

from importlib import import_module


def main() -> None:
    """Run the command and exit with its code."""
    import_module("funkflow.tasks.garbage").search_rarely()
    import_module("funkflow.pipeline.cli").run_program()


if __name__ == "__main__":
    main()
