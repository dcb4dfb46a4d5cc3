"""Settings of Sphinx for the manual: `make docs`.

Covers: the theme, how pages are read, and which references may stay open, as nothing is fetched.
Does not cover: the text that pages take from elsewhere (pages.py), the reference (reference.py).
"""

from __future__ import annotations

from importlib.metadata import version as version_of

from sphinx.application import Sphinx

from docs.pages import assembled

project = "funkflow"
author = "funkflow contributors"
release = version = version_of("funkflow")

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["**/.*", "__pycache__"]
smartquotes = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "force"  # a notebook may fail by a change of the code alone
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
nitpick_ignore_regex = [("py:.*", r"(?!funkflow\b).*")]  # types of other projects: their manuals are not fetched

html_theme = "pydata_sphinx_theme"
html_title = f"funkflow {release}"
html_copy_source = False
html_static_path: list[str] = []
html_sidebars: dict[str, list[str]] = {"index": []}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "funkflow"},
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copyright = "funkflow contributors, MIT licence"


def _assemble(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = assembled(content[0], app.srcdir / f"{name}.md")


def setup(app: Sphinx) -> None:
    """Let Sphinx read each page as pages.py puts it together."""
    app.connect("source-read", _assemble)
