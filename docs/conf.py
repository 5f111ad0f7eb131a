"""Sphinx's configuration of the documentation; build it with ``make docs``."""

from __future__ import annotations

from pallets_sphinx_themes import get_version

project = "flask-braintrust-evals"
copyright = "the flask-braintrust-evals maintainers"
author = "The flask-braintrust-evals maintainers"
release, version = get_version("flask-braintrust-evals", version_length=2)

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_parser",
    "pallets_sphinx_themes",
    "sphinx_click",
]
exclude_patterns = ["_build"]
nitpicky = True
# What the standard library, Flask and others document; no other site is asked while this is built.
nitpick_ignore_regex = [
    (
        "py:.*",
        r"(click|collections|contextlib|flask|opentelemetry|os|re|threading|typing|werkzeug)\..*",
    ),
    (
        "py:.*",
        r"(AbstractContextManager|Any|Callable|Iterable|Iterator|KW_ONLY|Mapping|PathLike|Sequence|glob)",
    ),
    ("py:.*", r"(Readable)?Span"),
    # Type variables, and types of the inside that show in signatures.
    ("py:.*", r"(SpanScope|.*\.[FS]|.*\.(ParameterSet|SavedParameterSet|ScoreSummaries))"),
]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]
smartquotes_action = "qe"  # no dashes: options begin with two hyphens
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_ref_domains = ["std", "py"]
myst_heading_anchors = 3

html_theme = "flask"
html_title = f"flask-braintrust-evals {version}"
html_show_sourcelink = False
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_sidebars = {
    "index": ["project.html", "localtoc.html", "searchbox.html"],
    "**": ["localtoc.html", "relations.html", "searchbox.html"],
}
