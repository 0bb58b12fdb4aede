"""How Sphinx builds these pages: MyST for the text, Furo for the looks, generated reference pages from the code beside them."""

import logging
import sys
from importlib.metadata import version as installed
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS / "_ext")]

logging.getLogger("alembic").setLevel(logging.WARNING)  # databases for generated pages are migrated

project = author = "calwatch"
release = version = installed("calwatch")
smartquotes = False  # code and JSON stand in running text

html_title = "calwatch"
html_theme = "furo"
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "reference",
]
exclude_patterns = ["_build", "_ext"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4

default_role = "code"  # a name between single backquotes in a docstring
nitpicky = True
# Types in signatures are named as Python names them; pages exist for public classes only.
nitpick_ignore_regex = [("py:.*", ".*")]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "separated"

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
