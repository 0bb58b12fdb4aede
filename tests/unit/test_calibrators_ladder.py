"""Ladder: which families are tried with how many labels, and when none is."""

import pytest

from monitor.calibrators.families import make
from monitor.calibrators.ladder import ladder


@pytest.mark.parametrize(
    ("task", "classes", "labels", "methods"),
    [
        ("binary", 2, 199, ()),
        ("binary", 2, 200, ("temperature", "platt")),
        ("binary", None, 9_999, ("temperature", "platt")),
        ("binary", None, 10_000, ("temperature", "platt", "isotonic")),
        ("confidence", None, 1_000, ("platt",)),
        ("confidence", 10, 1_000, ("platt",)),
        ("confidence", 2, 1_000, ("temperature", "platt")),
        ("confidence", None, 10_000, ("platt", "isotonic")),
        ("multiclass", 10, 1_000, ("temperature",)),
        ("multiclass", 10, 100_000, ("temperature",)),
    ],
)
def test_ladder_tries_more_families_with_more_labels(
    task: str, classes: int | None, labels: int, methods: tuple[str, ...]
) -> None:
    found = ladder(task, right=labels // 2, wrong=labels - labels // 2, classes=classes)
    assert found.methods == methods
    assert (found.refusal is None) == bool(methods)


@pytest.mark.parametrize(
    ("right", "wrong", "refusal"),
    [
        (0, 0, "there are no labels; at least 200 are needed"),
        (500, 0, "all 500 labels say the same; both outcomes are needed"),
        (0, 500, "all 500 labels say the same; both outcomes are needed"),
        (100, 99, "there are 199 labels; at least 200 are needed"),
        (991, 9, "the rarer outcome has 9 of 1000 labels; at least 10 are needed"),
    ],
)
def test_ladder_says_why_there_is_nothing_to_try(right: int, wrong: int, refusal: str) -> None:
    found = ladder("binary", right=right, wrong=wrong)
    assert found.methods == ()
    assert found.refusal == refusal


@pytest.mark.parametrize("task", ["binary", "confidence", "multiclass"])
def test_ladder_names_families_that_can_be_made_for_the_task(task: str) -> None:
    for classes in (2, 10):
        methods = ladder(task, right=10_000, wrong=10_000, classes=classes).methods
        assert [make(method, task=task, classes=classes).method for method in methods] == list(methods)
