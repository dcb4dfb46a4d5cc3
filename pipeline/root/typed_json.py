"""Manifests as dataclasses, with a field for each name in JSON.

Covers: reading, writing and publishing manifests, and their entries.
Does not cover: the fields of each kind (manifests.py, model_manifests.py), complete folders (store.py).
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
    """A JSON object as a dataclass.

    `others` : further content, unchanged. `absent` : fields that are missing in the JSON, and are not written.
    """

    others: Mapping[str, Any] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()

    @classmethod
    def read(cls, content: Mapping[str, Any], **more: Any) -> Self:
        """Return the entry of a JSON object; raise KeyError, TypeError or AttributeError if it is of another kind."""
        kind: Any = cls
        hints, own, absent = _hints(kind), dict(more), set()
        for each in fields(cls):
            if each.name in content and each.name not in _NOT_CONTENT:
                own[each.name] = _from_json(hints[each.name], content[each.name])
            elif each.name not in _NOT_CONTENT:
                absent.add(each.name)
        others = {name: value for name, value in content.items() if name not in own}
        return cls(**own, others=others, absent=frozenset(absent))

    def without(self, *names: str) -> Self:
        """Return it without these fields: they are not written."""
        return replace(self, absent=self.absent | set(names))

    def content(self) -> dict[str, object]:
        """Return the JSON object that `read` got."""
        left_out = self.absent | _NOT_CONTENT
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in left_out}
        return {**{name: _to_json(value) for name, value in own.items()}, **self.others}


@dataclass(frozen=True, kw_only=True)
class FileEntry(Entry):
    """A file, by its path from the folder of the manifest. `rows` : of a table."""

    path: str
    checksum: str
    rows: int = 0

    @classmethod
    def table(cls, entry: Mapping[str, Any]) -> Self:
        """Return the entry of a table from the record of the task that wrote it."""
        return cls(path=entry["path"], rows=entry["rows"], checksum=entry["checksum"])

    @classmethod
    def array(cls, path: str, checksum: str) -> Self:
        """Return the entry of a file that is no table."""
        return cls(path=path, checksum=checksum).without("rows")

    def place(self, folder: str) -> Place:
        return storage.join(folder, self.path), self.checksum


@dataclass(frozen=True, kw_only=True)
class Manifest(Entry):
    """The manifest of `folder`, written last. `files` : sizes of all files that a complete folder has.

    Equality ignores the folder.
    """

    kind: ClassVar[str]

    folder: str = field(compare=False)
    files: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_content(cls, folder: str, content: Mapping[str, Any]) -> Self:
        """Return the manifest of `folder` with this content.

        Raises
        ------
        DamagedFile
            The content lacks fields of its kind.
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
        """Return the manifest of a complete folder, as `store.published` does."""
        content = published(folder, cls.kind)
        return None if content is None else cls.from_content(folder, content)

    @classmethod
    def unchecked(cls, folder: str) -> Self | None:
        """Return the manifest of a folder without checking its files, as `store.manifest_of` does."""
        content = manifest_of(folder, cls.kind)
        return None if content is None else cls.from_content(folder, content)

    def publish(self, names: Sequence[str] = ()) -> Self:
        """Write the manifest, as the last write of a stage, with the sizes of these files; return it with the sizes."""
        own = {name: value for name, value in super().content().items() if name != "files"}
        sizes = publish(self.folder, self.kind, **own, files=list(names))["files"]
        return replace(self, files=sizes, absent=self.absent - {"files"})

    def content(self) -> dict[str, Any]:
        return {**super().content(), "kind": self.kind, "format_version": FORMAT_VERSION}

    def places(self, entries: Sequence[FileEntry]) -> list[Place]:
        """Return the places of files of this folder."""
        return [entry.place(self.folder) for entry in entries]


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _from_json(hint: Any, value: Any) -> Any:
    """Return a JSON value in the type of its field."""
    origin, inner = get_origin(hint), get_args(hint)
    if value is None or hint is Any:
        return value
    if origin is UnionType:
        return _from_json(next(each for each in inner if each is not NoneType), value)
    if origin is tuple and inner[-1] is Ellipsis:
        return tuple(_from_json(inner[0], each) for each in value)
    if origin is tuple:
        return tuple(value)
    if origin is Mapping:
        return {key: _from_json(inner[1], each) for key, each in value.items()}
    if is_dataclass(hint):
        return hint.read(value) if isinstance(hint, type) and issubclass(hint, Entry) else hint(**value)  # type: ignore[operator]
    return value


def _to_json(value: Any) -> Any:
    if isinstance(value, Entry):
        return value.content()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, tuple):
        return [_to_json(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _to_json(each) for key, each in value.items()}
    return value
