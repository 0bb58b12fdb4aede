"""Table of the families of calibrators, from the table that fits and serves them."""

from typing import Final

from markdown import code, table

from monitor.calibrators.families import FAMILIES
from monitor.calibrators.family import Family

CALIBRATES: Final = {
    "binary": "one probability",
    "confidence": "one probability",
    "multiclass": "vectors",
    "regression": "regressions",
}


def listed() -> str:
    """Return the table of families that can be fitted."""
    return table(
        ["method", "of", "map", "tried by `auto` from"],
        (
            [code(method), _of(estimator.family), estimator.family.sentence, _tried(estimator.family)]
            for method, estimator in FAMILIES.items()
            if estimator.learns
        ),
    )


def _of(family: Family) -> str:
    return ", ".join(dict.fromkeys(CALIBRATES[task] for task in family.tasks))


def _tried(family: Family) -> str:
    return "by hand" if family.tried_from is None else f"{family.tried_from:,} labels"
