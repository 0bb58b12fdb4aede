"""Directives that write reference pages from the code at build time, so that no page can lag behind it."""

from collections.abc import Callable
from typing import Any, Final

import commands
import families
import figures
import http_api
import metrics
import settings
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PAGES: Final[dict[str, Callable[[], str]]] = {
    "process-settings": settings.of_process,
    "model-settings": settings.of_models,
    "event-fields": http_api.event_fields,
    "http-calls": http_api.calls,
    "http-shapes": http_api.shapes,
    "probability-figures": figures.of_probabilities,
    "distribution-figures": figures.of_distributions,
    "metrics": metrics.exported,
    "commands": commands.listed,
    "calibrator-families": families.listed,
}
"""What each directive puts in its place, as Markdown."""


class FromCode(SphinxDirective):
    """A part of a page that is generated from the code."""

    def run(self) -> list[nodes.Node]:
        """Return the parsed Markdown; the page is written anew at each build."""
        self.env.note_reread()
        return self.parse_text_to_nodes(PAGES[self.name](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register one directive per generated part."""
    for name in PAGES:
        app.add_directive(name, FromCode)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
