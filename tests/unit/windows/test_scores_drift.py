"""Drift between sums: what is compared, and what is left out where it was not counted."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.domain.drift import TRAILING, ClassShare, Drift
from monitor.domain.settings import Model, ModelSettings
from monitor.stats import entries as of
from monitor.stats.summary import Summary, location_slot
from monitor.windows.drift import Reference, drift
from monitor.windows.evaluation import Question

CLASSES = ("ant", "bee")
MODEL = Model(
    id=1,
    name="m",
    task="multiclass",
    classes=CLASSES,
    settings=ModelSettings(minimum_labels=10),
    revision=1,
    created_at=0,
)
BEFORE = Reference(kind=TRAILING, start=0, end=1)


def sums(p: list[float], answers: list[int]) -> Summary:
    """Return the sums of predictions whose answers were counted, or only some of them."""
    events = list(range(len(p)))
    parts = [of.of_counts(events, "events"), of.of_arrivals(events, ["both"] * len(p), p)]
    _, slots, values = of.joined([*parts, of.of_answers(events[: len(answers)], answers)])
    return Summary.of_entries(slots, values)


def drift_of(model: Model, current: Summary, before: Summary) -> Drift:
    question = Question(model=model, version=None, segment="", start=1, end=2)
    return drift(question, current, before, BEFORE)


def test_a_mix_of_answers_that_was_not_counted_from_the_beginning_is_unknown() -> None:
    # Sums from before answers were counted have none.
    whole, part, none = (sums([0.9] * 20, answers) for answers in ([0] * 15 + [1] * 5, [0] * 5, []))
    assert drift_of(MODEL, whole, whole).class_shift.classes[1] == ClassShare(name="bee", reference=0.25, current=0.25)
    for current, before in ((whole, part), (part, whole), (whole, none), (none, none)):
        assert drift_of(MODEL, current, before).class_shift is None


def test_a_shift_needs_as_many_predictions_as_a_verdict() -> None:
    old, new = sums([0.9] * 200, [0] * 200), sums([0.9] * 200, [1] * 200)
    assert drift_of(MODEL, new, old).class_shift.shifted is True
    strict = replace(MODEL, settings=replace(MODEL.settings, minimum_labels=201))
    assert drift_of(strict, new, old).class_shift.shifted is False


@pytest.mark.parametrize("task", ["confidence", "regression", None])
def test_other_tasks_have_no_mix_of_answers(task: str | None) -> None:
    found = drift_of(replace(MODEL, task=task, classes=None), sums([0.9] * 20, []), sums([0.9] * 20, []))
    assert found.class_shift is None


def test_regressions_drift_by_where_predictions_lie() -> None:
    def located(cell: int) -> Summary:
        return Summary.of_entries(np.array([0, location_slot(cell)]), np.array([500, 500]))

    found = drift_of(replace(MODEL, task="regression", classes=None), located(5000), located(4000))
    assert (found.ks, found.drifted, found.wasserstein) == (1.0, True, None)
