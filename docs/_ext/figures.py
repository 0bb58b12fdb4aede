"""Figures of an evaluation: what each says, when to worry and what to do, from the tables that compute them."""

from typing import Any

from markdown import code

from monitor.windows import regression, scores
from monitor.windows.figures import Figure


def of_probabilities() -> str:
    """Return a section for each figure of classifiers and answers with a confidence."""
    return "\n\n".join(map(_section, scores.FIGURES))


def of_distributions() -> str:
    """Return a section for each figure of regressions."""
    return "\n\n".join(map(_section, regression.FIGURES))


def _section(figure: Figure[Any]) -> str:
    exported = f", exported as {code('calibration_' + figure.exported)}" if figure.exported else ""
    return "\n\n".join(
        [
            f"### {figure.title}",
            f"{code(figure.name)}, unit: {figure.unit}{exported}",
            figure.sentence,
            f"**When to worry.** {figure.worry}",
            f"**What to do.** {figure.action}",
        ]
    )
