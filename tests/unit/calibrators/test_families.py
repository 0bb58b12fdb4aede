"""Families: what the table says of each, and where it is said."""

import re
from pathlib import Path

import pytest

from monitor.api.shapes import Calibrator
from monitor.calibrators.families import FAMILIES, make
from monitor.calibrators.family import TASKS

ROOT = Path(__file__).parents[3]
DOCS = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAMED = {
    "binary": "one probability",
    "confidence": "one probability",
    "multiclass": "vectors",
    "regression": "regressions",
}


@pytest.mark.parametrize("method", [method for method in FAMILIES if method != "identity"])
def test_family_is_documented_as_the_table_has_it(method: str) -> None:
    family = FAMILIES[method].family
    rows = {name: rest for name, *rest in ROW.findall(DOCS) if name in FAMILIES}
    named = ", ".join(
        dict.fromkeys(NAMED[task] for task in ("binary", "multiclass", "regression") if task in family.tasks)
    )
    labels = "by hand" if family.tried_from is None else f"{family.tried_from:,}"
    assert [named, family.sentence, labels] == [cell.removesuffix(" labels") for cell in rows[method]]


@pytest.mark.parametrize("method", FAMILIES)
def test_family_is_described_with_its_parameters_in_the_api(method: str) -> None:
    described = Calibrator.model_fields["parameters"].description
    assert f"`{method}`: {FAMILIES[method].family.parameters}" in str(described)


@pytest.mark.parametrize("method", FAMILIES)
def test_family_makes_an_estimator_of_each_of_its_tasks(method: str) -> None:
    tasks = FAMILIES[method].family.tasks
    assert [task for task in TASKS if task in tasks] == list(tasks)
    assert [make(method, task=task).method for task in tasks] == [method] * len(tasks)
