"""Known pairs: who met what, though the rating is not known, for the grid.

Covers: the files of ingest.known_pairs, finding their pairs in the dataset, and what the run says of them.
Does not cover: the work on one part (tasks/dataset/further_pairs.py), the blocks of these pairs
(pipeline/stages/grid.py), what training learns from them (tasks/training/implicit/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from funkflow.pipeline.cluster.context import Context, run_all
from funkflow.pipeline.datasets.input_hashes import describe_inputs, refuse_changed
from funkflow.pipeline.datasets.raw_rows import Buckets, scatter_pairs
from funkflow.pipeline.progress.events import Noticed
from funkflow.pipeline.root.manifests import Dataset, Split
from funkflow.pipeline.root.records import KnownRecord
from funkflow.pipeline.settings.ingest import VALIDATION_PAIRS, IngestSettings
from funkflow.tasks.dataset.further_pairs import FurtherPairs, KnownRule, write_further_pairs
from funkflow.tasks.dataset.id_pieces import cut_by_part
from funkflow.tasks.errors import BadInput
from funkflow.tasks.model.about import Place
from funkflow.tasks.parsing.format.formats import Wanted
from funkflow.tasks.parsing.sources.sources import Source, find_sources
from funkflow.tasks.storage import files

_STAGE = "grid"


@dataclass(frozen=True)
class KnownPairs:
    """What ingest.known_pairs names: the validation pairs or not, and files with their checksums."""

    validation: bool
    names: tuple[str, ...]
    sources: tuple[Source, ...]
    contents: tuple[dict[str, str | int], ...]
    wanted: Wanted
    chunk_bytes: int

    @classmethod
    def of(cls, context: Context, dataset: Dataset, settings: IngestSettings) -> KnownPairs | None:
        """Return what the settings name; None where they name nothing."""
        if not settings.known_pairs:
            return None
        names = settings.files_of_known_pairs
        sources = find_sources(names, setting="ingest.known_pairs") if names else []
        columns = settings.columns
        wanted = Wanted(
            columns=(columns.user, columns.item, None, None), user_type=dataset.user_id_type,
            item_type=dataset.item_id_type, ratings=False, quoting=settings.quoting,
        )  # fmt: skip
        contents = describe_inputs(context, _STAGE, "checksum-known-pairs", sources)
        validation = VALIDATION_PAIRS in settings.known_pairs
        return cls(validation, names, tuple(sources), tuple(contents), wanted, settings.chunk_bytes)

    @property
    def identity(self) -> list[Any]:
        """Return what the content of a grid depends on."""
        return [self.validation, *self.contents, *map(str, self.wanted.columns)]

    def find(self, context: Context, dataset: Dataset, split: Split, scratch: str) -> tuple[list[Place], KnownRecord]:
        """Write the further pairs of each part to a scratch folder; return their files, and what they are.

        Raises
        ------
        BadInput
            A row of a file is bad, or no pair is new.
        """
        parts, users = len(dataset.parts), files.join(scratch, "users.arrow")
        rows = Buckets(files.join(scratch, "rows"), parts)
        chunks = scatter_pairs(context, _STAGE, self.sources, self.wanted, self.chunk_bytes, into=rows)
        refuse_changed(list(self.sources), self.names)
        rule = KnownRule(self.validation, rows.folder, chunks, parts, users, dataset.id_place("item"))
        if chunks:
            run_all(context, _STAGE, "cut-users-of-pairs", cut_by_part, [(dataset.id_place("user"), parts, users)])
        held_out = [split.places(part.parts) for part in split.held_out.values()]
        validation: list[Place | None] = [*split.places(split.validation.parts), *([None] * parts)]
        jobs = [
            (place, number, [each[number] for each in held_out], validation[number], rule,
             files.join(scratch, f"further-{number:05d}.parquet"))
            for number, place in enumerate(dataset.part_places)
        ]  # fmt: skip
        found: list[FurtherPairs] = run_all(context, _STAGE, "further-pairs", write_further_pairs, jobs)
        return [each.place for each in found], self._recorded(found)

    def _recorded(self, found: Sequence[FurtherPairs]) -> KnownRecord:
        record = KnownRecord(
            pairs=sum(each.pairs for each in found), of_validation=sum(each.of_validation for each in found),
            unknown=sum(each.unknown for each in found), trained=sum(each.trained for each in found),
        )  # fmt: skip
        if not record.pairs:
            raise BadInput(
                f"ingest.known_pairs tells of no pair that has no training rating ({record.unknown:,} rows with a user "
                "or item that the data lack): check its ids, or leave it out"
            )
        return record


def tell(context: Context, record: KnownRecord, asked: int) -> None:
    """Say which pairs are known; asked : number of validation ratings.

    A warning says where validation pairs are among them: a file of all that was rated, views perhaps, has them, too.
    """
    lacking = f", {record.unknown:,} rows have a user or item that the data lack" if record.unknown else ""
    trained = f", {record.trained:,} rows have a training rating" if record.trained else ""
    message = f"known without their rating: {record.pairs:,} pairs{lacking}{trained} (ingest.known_pairs)"
    context.notify(Noticed(message))
    if record.of_validation:
        message = (
            f"training knows {record.of_validation:,} of {asked:,} validation pairs, though not their ratings: RMSE "
            "does not compare with that of runs without ingest.known_pairs"
        )
        context.notify(Noticed(message, warning=True))
