"""`help()` of every public name: numpydoc's checks of its docstring.

Covers: the names of `funkflow.__all__`, the functions of `funkflow.plots`, and the public methods and properties of
`Model`, `RunResult` and `Settings`.
Does not cover: whether the words are true or well chosen; modules that users do not import.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from numpydoc.validate import validate

import funkflow

NOT_CHECKED = {
    "ES01": "the first line often says all",
    "EX01": "examples are in docs/, where a test runs them",
    "SA01": "neighbours are named in the text, where they matter",
    "RT01": 'the first line says "Return", with shape and dtype',
    "PR05": "a parameter stands in one line, `name : meaning`, as its type is in the signature",
    "PR07": "the same",
    "RT02": "the same of what is returned",
    "RT03": "the same",
    "PR08": "a meaning is no sentence, so it begins with a small letter",
}
"""Checks that are left out, each with its reason."""
FIELDS = {
    "funkflow.Model": "they are under Attributes",
    "funkflow.RunResult": "`run` makes it, and its text describes the fields",
    "funkflow.Settings": "each field has its own description",
}
"""Classes whose parameters (PR01) are their fields."""


def public_names() -> Iterator[str]:
    for name in funkflow.__all__:
        public = getattr(funkflow, name)
        if inspect.ismodule(public):
            functions = inspect.getmembers(public, inspect.isfunction)
            here = [each for each, value in functions if value.__module__ == public.__name__ and each[0] != "_"]
            yield from (f"{public.__name__}.{each}" for each in here)
        elif not isinstance(public, str):
            yield f"funkflow.{name}"
        if inspect.isclass(public):
            yield from (f"funkflow.{name}.{each}" for each in _own_members(public))


def _own_members(public: type) -> list[str]:
    """Return the public methods and properties that are ours, and not those of pydantic."""
    ours = [each for each in public.__mro__ if each.__module__.startswith("funkflow.")]
    kinds = (property, classmethod, staticmethod)
    found = {
        name: value
        for each in ours
        for name, value in vars(each).items()
        if inspect.isfunction(value) or isinstance(value, kinds)
    }
    return sorted(name for name in found if not name.startswith("_"))


NAMES = list(public_names())


def test_the_list_has_functions_methods_and_properties() -> None:
    assert {"funkflow.run", "funkflow.Model.recommend", "funkflow.Model.rank", "funkflow.Settings.load"} <= set(NAMES)
    assert "funkflow.pipeline.results.plots.learning_curve" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_help_reads_well(name: str) -> None:
    left_out = {*NOT_CHECKED, *(["PR01"] if name in FIELDS else [])}
    assert [error for error in validate(name)["errors"] if error[0] not in left_out] == []


def test_a_check_is_left_out_only_where_it_is_needed() -> None:
    found = {code for name in NAMES for code, _ in validate(name)["errors"]}
    assert set(NOT_CHECKED) <= found
    assert all("PR01" in {code for code, _ in validate(name)["errors"]} for name in FIELDS)
