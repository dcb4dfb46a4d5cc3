"""The form of the ratings from [ingest], as the parsers take it.

Covers: plain values out of the settings. Does not cover: the rest of the form, which the files give
(tasks/parsing/format/formats.py). It is a file of its own so that a command that reads no ratings loads no parser.
"""

from __future__ import annotations

from funkflow.pipeline.settings.ingest import IngestSettings
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.transform import COUNTS


def wanted_form(settings: IngestSettings, events: bool = True) -> Wanted:
    """Return what the settings say of the form of the ratings.

    `events` : rows without ratings may be likes or clicks, where no column could hold ratings.
    """
    columns = settings.columns
    rating = columns.rating if settings.counts is None else settings.counts
    return Wanted(
        format=settings.format,
        columns=(columns.user, columns.item, rating, columns.timestamp),
        user_type=settings.id_type,
        item_type=settings.id_type,
        scale=settings.scale if settings.counts is None else COUNTS,
        delimiter=settings.delimiter,
        quoting=settings.quoting,
        events=events,
        counts=settings.has_counts,
    )
