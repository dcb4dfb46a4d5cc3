"""Synthesise: a seeded set in Netflix Prize form under the root, which ingest reads like any raw data.

Covers: the folder, the films of each task, the small files, the planted truth, and publication.
Does not cover: drawing and writing the ratings (tasks/synthetic/netflix_text.py), or reading them back
(ingest.py).
"""

from __future__ import annotations

import itertools
import time

import numpy as np

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.progress.events import StageFinished, StageStarted
from funkflow.pipeline.root.manifests import Synthetic
from funkflow.pipeline.root.store import content_id, nothing_half_written
from funkflow.pipeline.settings.sections import SynthSettings
from funkflow.tasks.errors import SettingsError
from funkflow.tasks.storage import files
from funkflow.tasks.synthetic.netflix_text import FilmTotals, write_apart, write_combined
from funkflow.tasks.synthetic.planted import RECIPE, SetPlan, film_counts, plan_set, write_truth
from funkflow.tasks.synthetic.titles import titles_text

COMBINED_FILES = 4
"""The number of files of the real set."""
RATINGS_PER_TASK = 5_000_000
"""Form "files": every task makes the planted model, which so stays a small part of its work."""

_STAGE = "synth"
_UNFINISHED = "unfinished.json"


def synthesise(context: Context, settings: SynthSettings) -> Synthetic:
    """Return the synthetic set; make it if it does not exist.

    Raises
    ------
    SettingsError
        The folder holds something else, or the fraction is too small.
    """
    started = time.monotonic()
    sizes = plan_set(settings.shape, settings.fraction, settings.seed, settings.selection, settings.moods)
    folder = settings.folder_under(context.store.root)
    set_id = content_id(recipe=RECIPE, form=settings.form, **sizes.content)
    made = Synthetic.published(folder)
    reused = made is not None and made.id == set_id
    if made is None or not reused:
        context.check_fits(_STAGE)
        _prepare_folder(folder, set_id, ours=not settings.folder)
        with nothing_half_written(folder):
            made = _write_set(context, settings, sizes, folder, set_id)
    summary = f"{made.ratings:,} ratings of {sizes.users:,} users and {sizes.items:,} films in {folder}"
    context.notify(StageFinished(_STAGE, time.monotonic() - started, summary, reused))
    return made


def _prepare_folder(folder: str, set_id: str, ours: bool) -> None:
    """Empty the folder if it is ours or an unfinished set; never touch anything else."""
    if files.names(folder):
        if not ours and not files.exists(files.join(folder, _UNFINISHED)):
            raise SettingsError(
                f"synth.folder = {folder!r} holds files other than a set with these settings; name another folder"
            )
        files.remove_tree(folder)
    files.write_json(files.join(folder, _UNFINISHED), {"id": set_id})


def _write_set(context: Context, settings: SynthSettings, sizes: SetPlan, folder: str, set_id: str) -> Synthetic:
    combined = settings.form == "combined"
    parts = COMBINED_FILES if combined else max(COMBINED_FILES, -(-sizes.ratings // RATINGS_PER_TASK))
    cuts = film_ranges(sizes, parts)
    context.notify(StageStarted(_STAGE, len(cuts) + 1))
    run_all(context, _STAGE, "plant", write_truth, [(sizes, files.join(folder, "truth"))])
    if combined:
        names = [f"combined_data_{number}.txt" for number in range(1, len(cuts) + 1)]
        jobs = [(sizes, *cut, files.join(folder, name)) for cut, name in zip(cuts, names, strict=True)]
        written = run_all(context, _STAGE, "synthesise", write_combined, jobs)
    else:
        names = ["training_set"]
        jobs = [(sizes, *cut, files.join(folder, "training_set")) for cut in cuts]
        written = run_all(context, _STAGE, "synthesise", write_apart, jobs)
    companions = _write_companions(sizes, written, folder)
    files.remove_tree(files.join(folder, _UNFINISHED))
    content = {
        "id": set_id, "shape": settings.shape, "fraction": settings.fraction, "form": settings.form,
        **sizes.content, "ratings": sum(each.ratings for each in written),
        "bytes": sum(each.size_bytes for each in written),
    }  # fmt: skip
    return Synthetic.from_content(folder, content).publish([*names, *companions, "truth"])


def film_ranges(sizes: SetPlan, parts: int) -> list[tuple[int, int]]:
    """Cut the films into at most `parts` ranges [first, stop) of about equally many ratings, none of them empty."""
    reached = np.cumsum(film_counts(sizes).ratings)
    inner = np.searchsorted(reached, sizes.ratings * np.arange(1, parts) / parts) + 1
    cuts = np.unique(np.concatenate([[0], np.minimum(inner, sizes.items), [sizes.items]])).tolist()
    return list(itertools.pairwise(cuts))


def _write_companions(sizes: SetPlan, written: list[FilmTotals], folder: str) -> list[str]:
    contents = {
        "probe.txt": b"".join(each.probe for each in written),
        "qualifying.txt": b"".join(each.qualifying for each in written),
        "movie_titles.txt": titles_text(sizes),
    }
    for name, content in contents.items():
        files.write_bytes(files.join(folder, name), content)
    return list(contents)
