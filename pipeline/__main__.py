"""`python -m pipeline` is `funkflow`.

Covers: nothing else. Does not cover: the commands (cli.py).
"""

from __future__ import annotations

from pipeline.cli import main

if __name__ == "__main__":
    main()
