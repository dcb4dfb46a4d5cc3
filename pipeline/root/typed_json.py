"""Manifests as dataclasses: a field for each name in JSON, read and written in one place.

Covers: entries within a manifest, files among them; reading, publishing, and what stands there besides.
Does not cover: which fields which kind has (manifests.py), when a folder counts (store.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from funkflow.pipeline.root.store import FORMAT_VERSION, manifest_of, publish, published
from funkflow.tasks.errors import DamagedFile
from funkflow.tasks.model.about import Place
from funkflow.tasks.storage import files as storage

_NOT_CONTENT = {"others", "absent", "folder"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An object in JSON, by named fields.

    `others` : what it has besides, kept as it is. `absent` : fields that it does not have, though others of its kind
    do: they are not written either.
    """

    others: Mapping[str, Any] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()

    @classmethod
    def read(cls, content: Mapping[str, Any], **more: Any) -> Self:
        """Return what JSON says; KeyError, TypeError or AttributeError if it is not of this kind."""
        kind: Any = cls
        hints, own, absent = _hints(kind), dict(more), set()
        for each in fields(cls):
            if each.name in content and each.name not in _NOT_CONTENT:
                own[each.name] = _typed(hints[each.name], content[each.name])
            elif each.name not in _NOT_CONTENT:
                absent.add(each.name)
        others = {name: value for name, value in content.items() if name not in own}
        return cls(**own, others=others, absent=frozenset(absent))

    def without(self, *names: str) -> Self:
        """Return it without these fields: they are not written."""
        return replace(self, absent=self.absent | set(names))

    def content(self) -> dict[str, Any]:
        """Return what JSON can hold: what `read` was given."""
        left_out = self.absent | _NOT_CONTENT
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in left_out}
        return {**{name: _plain(value) for name, value in own.items()}, **self.others}


@dataclass(frozen=True, kw_only=True)
class FileEntry(Entry):
    """A file, by its path from the folder that names it; `rows` : of tables."""

    path: str
    checksum: str
    rows: int = 0

    @classmethod
    def table(cls, entry: Mapping[str, Any]) -> Self:
        """Take over what a task returned of a table that it wrote, and nothing besides."""
        return cls(path=entry["path"], rows=entry["rows"], checksum=entry["checksum"])

    @classmethod
    def array(cls, path: str, checksum: str) -> Self:
        """Return the entry of a file that is no table."""
        return cls(path=path, checksum=checksum).without("rows")

    def place(self, folder: str) -> Place:
        return storage.join(folder, self.path), self.checksum


@dataclass(frozen=True, kw_only=True)
class Manifest(Entry):
    """What is written last into `folder`. `files` : bytes of all that must be there for it to count.

    Equal ones say the same, wherever they lie.
    """

    kind: ClassVar[str]

    folder: str = field(compare=False)
    files: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: str, content: Mapping[str, Any]) -> Self:
        """Return what a manifest in `folder` says.

        Raises
        ------
        DamagedFile
            It lacks what its kind has.
        """
        own = {name: value for name, value in content.items() if name not in ("kind", "format_version")}
        try:
            return cls.read(own, folder=folder)
        except (KeyError, TypeError, AttributeError) as cause:
            raise DamagedFile(
                f"{storage.join(folder, 'manifest.json')}: not a whole manifest of {cls.kind} ({cause}); "
                f"delete {folder} and run again"
            ) from cause

    @classmethod
    def published(cls, folder: str) -> Self | None:
        """Return the manifest of a folder that counts, as `store.published` does."""
        content = published(folder, cls.kind)
        return None if content is None else cls.of(folder, content)

    @classmethod
    def unchecked(cls, folder: str) -> Self | None:
        """Return the manifest of a folder without a look at its files, as `store.manifest_of` does."""
        content = manifest_of(folder, cls.kind)
        return None if content is None else cls.of(folder, content)

    def publish(self, names: Sequence[str] = ()) -> Self:
        """Write it, the last write of a stage, with the sizes of the files of these names; return it with them."""
        own = {name: value for name, value in super().content().items() if name != "files"}
        sizes = publish(self.folder, self.kind, **own, files=list(names))["files"]
        return replace(self, files=sizes, absent=self.absent - {"files"})

    def content(self) -> dict[str, Any]:
        return {**super().content(), "kind": self.kind, "format_version": FORMAT_VERSION}

    def places(self, entries: Sequence[FileEntry]) -> list[Place]:
        """Return where files of this folder lie, with their checksums."""
        return [entry.place(self.folder) for entry in entries]


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(hint: Any, value: Any) -> Any:
    """Return a value of JSON as its field has it."""
    origin, inner = get_origin(hint), get_args(hint)
    if value is None or hint is Any:
        return value
    if origin is UnionType:
        return _typed(next(each for each in inner if each is not NoneType), value)
    if origin is tuple and inner[-1] is Ellipsis:
        return tuple(_typed(inner[0], each) for each in value)
    if origin is tuple:
        return tuple(value)
    if origin is Mapping:
        return {key: _typed(inner[1], each) for key, each in value.items()}
    if is_dataclass(hint):
        return hint.read(value) if isinstance(hint, type) and issubclass(hint, Entry) else hint(**value)  # type: ignore[operator]
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Entry):
        return value.content()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value
