"""The files that a forge reads: the citation, the forms for issues, and the policy for security.

Covers: that they are valid, agree with pyproject.toml, and link to what is there.
Does not cover: how a forge shows them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from building import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FORMS = sorted((CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_citation_is_of_this_project() -> None:
    citation = read(CHECKOUT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"].startswith("funkflow: ")
    assert citation["type"] == "software"
    assert citation["authors"] == PROJECT["authors"]
    for key in ("version", "license", "keywords"):
        assert citation[key] == PROJECT[key]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_for_issues_is_valid(path: Path) -> None:
    form = read(path)
    assert form["name"]
    assert form["description"]
    asked = [each for each in form["body"] if each["type"] != "markdown"]
    assert {each["type"] for each in asked} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({each["id"] for each in asked}) == len(asked)
    assert all(each["attributes"]["label"] for each in asked)
    assert any(each.get("validations", {}).get("required") for each in asked)


def test_there_are_two_forms_and_no_blank_one() -> None:
    assert [path.stem for path in FORMS] == ["bug", "feature"]
    assert read(CHECKOUT / ".github" / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": False}


def test_the_policy_for_security_links_to_what_is_there() -> None:
    text = (CHECKOUT / "SECURITY.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([\w/.-]+)#([\w-]+)\)", text)
    assert links
    for path, place in links:
        headings = re.findall(r"^#+ (.+)$", (CHECKOUT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert place in [heading.lower().replace(" ", "-") for heading in headings]
    assert "private security advisory" in text
