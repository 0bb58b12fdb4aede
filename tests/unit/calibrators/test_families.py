"""Families: what the table says of each, to the API, to a refit and to the reference."""

import msgspec
import pytest

from monitor.calibrators.families import FAMILIES, make
from monitor.calibrators.family import TASKS
from monitor.store.calibrators import Calibrator


@pytest.mark.parametrize("method", FAMILIES)
def test_family_is_described_with_its_parameters_in_the_api(method: str) -> None:
    _, schemas = msgspec.json.schema_components([Calibrator])
    described = schemas["Calibrator"]["properties"]["parameters"]["description"]
    assert f"`{method}`: {FAMILIES[method].family.parameters}" in described


@pytest.mark.parametrize("method", FAMILIES)
def test_family_makes_an_estimator_of_each_of_its_tasks(method: str) -> None:
    tasks = FAMILIES[method].family.tasks
    assert [task for task in TASKS if task in tasks] == list(tasks)
    assert [make(method, task=task).method for task in tasks] == [method] * len(tasks)


def test_richer_families_need_more_labels_than_simpler_ones_of_their_tasks() -> None:
    for task in TASKS:
        tried_from = [each.family.tried_from for each in FAMILIES.values() if task in each.family.tasks]
        needed = [labels for labels in tried_from if labels is not None]
        assert sorted(needed) == needed


def test_families_are_told_apart_by_their_sentences() -> None:
    assert len({estimator.family.sentence for estimator in FAMILIES.values()}) == len(FAMILIES)
