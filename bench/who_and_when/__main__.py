"""The command: `python -m bench.who_and_when RATINGS`. A table on standard output, and the same with traces as JSON.

Covers: options, and the order in which programs run. Does not cover: how each is run (contestants.py), or the table's
columns (comparison.py).

    python -m bench.who_and_when PATH/ml-1m/ratings.dat [--draws 512] [--parts plain,who,when] [--peer-python PYTHON]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.data import ROOT
from bench.machine import machine
from bench.ours import Failed
from bench.who_and_when.comparison import Compared, markdown
from bench.who_and_when.contestants import MyFM, Ours
from bench.who_and_when.parts import PARTS


def main(words: Sequence[str] | None = None) -> int:
    """Run both programs on each part, print the table and write the JSON; return the exit code."""
    chosen = _parser().parse_args(words)
    names = chosen.parts.split(",")
    if unknown := [name for name in names if name not in [part.name for part in PARTS]]:
        return _refuse(f"there is no part {unknown[0]!r}; parts are {', '.join(part.name for part in PARTS)}")
    parts = [part for part in PARTS if part.name in names]
    folder, here = chosen.folder, machine()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ours = Ours(str(chosen.ratings), folder / "root", chosen.rank, chosen.threads, chosen.words)
    myfm = MyFM(folder, chosen.peer_python, chosen.rank, chosen.draws)
    try:
        ours.write_split(folder, with_days=any(part.when for part in parts))
    except Failed as error:
        return _refuse(str(error))
    rows = []
    for part in parts:
        _tell(f"{part.name}: ours")
        drawn = ours.draw(part)
        _tell(f"{part.name}: myFM, {chosen.draws} draws")
        rows.append(Compared(part, drawn, myfm.draw(part)))
        content = {"machine": here, "rank": chosen.rank, "threads": chosen.threads, "words": chosen.words}
        out = json.dumps({**content, "rows": [asdict(row) for row in rows]}, indent=1)
        (folder / "who-and-when.json").write_text(out + "\n", encoding="utf-8")
    print(f"{here['processor']}, ours on {chosen.threads} thread(s), myFM on one; rank {chosen.rank}\n")
    print(markdown(rows))
    return 1 if any(row.ours.failed or row.myfm.failed for row in rows) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.who_and_when", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("ratings", type=Path, help="a file of ratings, with times for the part `when`")
    parser.add_argument("--parts", default=",".join(part.name for part in PARTS), help="some of them, with commas")
    parser.add_argument("--draws", type=int, default=512, help="of myFM")
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="of ours; myFM has one")
    parser.add_argument("--peer-python", default=sys.executable, help="a Python with myfm; default: this one")
    parser.add_argument("--folder", type=Path, default=ROOT / "who-and-when", help="emptied first")
    parser.add_argument("--set", action="append", default=[], dest="words", help="a further setting of ours")
    return parser


def _tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def _refuse(message: str) -> int:
    print(f"bench: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
