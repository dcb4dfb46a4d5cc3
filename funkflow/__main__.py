"""Where `funkflow`, and `python -m funkflow`, begin.

Covers: leaving all else to be imported when it is called: each worker process of ours imports this module, too, as
Python's multiprocessing has it, and need not know the commands.
Does not cover: the commands (pipeline/cli.py).
"""

from __future__ import annotations

from importlib import import_module


def main() -> None:
    """Run the command and exit with its code."""
    import_module("funkflow.pipeline.cli").main()


if __name__ == "__main__":
    main()
