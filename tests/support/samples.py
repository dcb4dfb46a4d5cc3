"""Write `data/samples`: 200 made-up ratings in every form that ingest reads.

Its command: `PYTHONPATH=. python tests/support/samples.py`.

Covers: the sample files, byte for byte, from a small plan of the synthetic set. No real rating is in them.
Does not cover: reading them back (test_samples.py), or Parquet bytes, which differ between versions of pyarrow.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from funkflow.tasks.synthetic.netflix_text import FIRST_DAY, FilmSource, draw_film, film_texts
from funkflow.tasks.synthetic.planted import SetPlan
from funkflow.tasks.synthetic.titles import titles_text

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
PLAN = SetPlan(users=60, items=20, ratings=200, probe=20, qualifying=10, seed=1)


def sample_rows() -> pd.DataFrame:
    """Return the 200 ratings, film by film: user, item, rating int64, timestamp int64 in seconds."""
    source = FilmSource.of(PLAN)
    start = np.datetime64(FIRST_DAY, "s").astype(int)
    films = [(item, draw_film(source, item)) for item in range(PLAN.items)]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "user": source.model.user_ids[film.users],
                    "item": item + 1,
                    "rating": film.ratings.astype(int),
                    "timestamp": start + 86_400 * film.days,
                }
            )
            for item, film in films
        ],
        ignore_index=True,
    )


def sample_titles() -> list[tuple[str, str]]:
    """Return (item id, title as MovieLens writes it: with the year, where it is known, in brackets)."""
    rows = [line.split(",", 2) for line in titles_text(PLAN).decode("latin-1").splitlines()]
    return [(item, title if year == "NULL" else f"{title} ({year})") for item, year, title in rows]


def sample_files() -> dict[str, bytes]:
    """Return every sample but the Parquet one: path under data/samples, and content."""
    rows, titles = sample_rows(), sample_titles()
    films = list(film_texts(PLAN, 0, PLAN.items))
    lines = list(rows.itertuples(index=False, name=None))
    tsv = "user\titem\trating\ttimestamp\n" + _lines(lines, "\t")
    return {
        **{f"netflix/training_set/mv_{film.item:07d}.txt": film.ratings for film in films},
        "netflix/probe.txt": b"".join(film.probe for film in films),
        "netflix/qualifying.txt": b"".join(film.qualifying for film in films),
        "netflix/movie_titles.txt": titles_text(PLAN),
        "combined_data_1.txt": b"".join(film.ratings for film in films),
        "ratings.dat": _lines(lines, "::").encode(),
        "movies.dat": _lines([(item, title, "Drama") for item, title in titles], "::").encode("latin-1"),
        "u.data": _lines(lines, "\t").encode(),
        "u.item": _lines([(item, title, "", "", "", *"0" * 19) for item, title in titles], "|").encode("latin-1"),
        "ratings.csv": _quoted(
            [("userId", "movieId", "rating", "timestamp"), *((u, i, float(r), t) for u, i, r, t in lines)]
        ),
        "movies.csv": _quoted([("movieId", "title", "genres"), *((item, title, "Drama") for item, title in titles)]),
        "ratings.tsv": tsv.encode(),
        "ratings.tsv.gz": gzip.compress(tsv.encode(), mtime=0),
        "ratings.tsv.bz2": bz2.compress(tsv.encode()),
        "ratings.tsv.xz": lzma.compress(tsv.encode()),
        "ratings.tsv.zst": bytes(pa.compress(tsv.encode(), "zstd", asbytes=True)),
        "ratings.zip": _zipped("ratings/ratings.tsv", tsv.encode()),
        "ratings.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows.to_dict("records")).encode(),
    }


def write_samples(folder: Path) -> None:
    """Write all samples under `folder`."""
    for name, content in sample_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    rows = sample_rows()
    rows.astype({"rating": "float32"}).to_parquet(folder / "ratings.parquet", index=False)
    for rating, those in rows.groupby("rating"):
        (folder / "hive" / f"rating={rating}").mkdir(parents=True, exist_ok=True)
        table = pa.table({name: those[name].to_numpy() for name in ("user", "item", "timestamp")})
        path = folder / "hive" / f"rating={rating}" / "part-0.parquet"
        pq.write_table(table, path, write_statistics=False, use_dictionary=False)


def _lines(rows: list[tuple[object, ...]], separator: str) -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


def _zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _quoted(rows: list[tuple[object, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


if __name__ == "__main__":
    write_samples(SAMPLES)
