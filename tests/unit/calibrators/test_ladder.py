"""Ladder: which families are tried with how many labels, and when none is."""

import pytest

from monitor.calibrators.families import make
from monitor.calibrators.ladder import ladder


@pytest.mark.parametrize(
    ("task", "classes", "labels", "methods"),
    [
        ("binary", 2, 199, ()),
        ("binary", 2, 200, ("temperature", "platt")),
        ("binary", None, 999, ("temperature", "platt")),
        ("binary", None, 1_000, ("temperature", "platt", "beta", "quadratic_logit")),
        ("binary", None, 9_999, ("temperature", "platt", "beta", "quadratic_logit")),
        ("binary", None, 10_000, ("temperature", "platt", "beta", "quadratic_logit", "isotonic")),
        ("confidence", None, 999, ("platt",)),
        ("confidence", 10, 1_000, ("platt", "beta", "quadratic_logit")),
        ("confidence", 2, 999, ("temperature", "platt")),
        ("confidence", None, 10_000, ("platt", "beta", "quadratic_logit", "isotonic")),
        ("multiclass", 10, 999, ("temperature",)),
        ("multiclass", 10, 1_000, ("temperature", "structured_vector")),
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


@pytest.mark.parametrize(
    ("cat", "dog", "why"),
    [
        (1_991, 9, "the class dog has 9 of 2000 labels; at least 10 of each class are needed"),
        (0, 2_000, "none of 2000 labels names the class cat; at least 10 of each class are needed"),
        (1_990, 10, None),
    ],
)
def test_ladder_names_the_class_with_too_few_labels_for_parameters_of_its_own(
    cat: int, dog: int, why: str | None
) -> None:
    found = ladder("multiclass", right=1_500, wrong=500, classes=2, of_class={"cat": cat, "dog": dog})
    assert found.methods == ("temperature", "structured_vector") if why is None else ("temperature",)
    assert dict(found.skipped) == ({} if why is None else {"structured_vector": why})
