"""Settings of a model: each follows from its declaration."""

from dataclasses import fields, replace
from typing import Any

import msgspec
import pytest

from monitor.domain.errors import BadInput
from monitor.domain.setting_types import (
    GUARANTEE,
    Decision,
    Interval,
    PerLabels,
    choice,
    names,
    nullable,
    number,
    whole,
)
from monitor.domain.settings import SETTINGS, TASKS, ModelSettings, check_task_of, settings_from, task_from
from monitor.domain.times import DAY, HOUR


def test_every_field_is_declared_and_task_and_classes_beside_them() -> None:
    assert set(SETTINGS) == {"task", "classes", *(field.name for field in fields(ModelSettings))}
    for name, setting in SETTINGS.items():
        assert setting.name == name
        assert setting.type.accepts


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_is_what_its_json_form_reads_back_as(name: str) -> None:
    setting = SETTINGS[name]
    assert setting.type.parse(name, msgspec.json.decode(msgspec.json.encode(setting.shown_default))) == setting.default


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_satisfies_its_schema(name: str) -> None:
    setting = SETTINGS[name]
    msgspec.json.decode(msgspec.json.encode(setting.shown_default), type=setting.type.schema)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_can_not_be_a_value_is_refused_by_name_with_what_would_be_right(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        SETTINGS[name].type.parse(name, 10**12)
    assert (refused.value.field, refused.value.value) == (name, 10**12)
    assert refused.value.reason.startswith("must be ")


def test_given_settings_replace_and_others_stay() -> None:
    given: dict[str, Any] = {
        "label_delay": "1d",
        "thresholds": {"ece": 0.1},
        "class_thresholds": {"fraud": 0.02},
        "reference": "champion",
        "decisions": {"approve": {"threshold": 0.9}},
        "trusted_sources": ["audit"],
    }
    changed = settings_from(ModelSettings(class_thresholds={"spam": 0.1}), given)
    assert changed == ModelSettings(
        label_delay=DAY,
        thresholds={"ece": 0.1, "psi": 0.2},
        class_thresholds={"fraud": 0.02},
        reference="champion",
        decisions={"approve": Decision(threshold=0.9, selects="above", precision=None)},
        trusted_sources=("audit",),
    )
    assert settings_from(changed, {}) == changed
    assert settings_from(changed, {"label_delay": None, "trusted_sources": None}) == replace(
        changed, label_delay=None, trusted_sources=None
    )


def test_settings_shown_can_be_declared_again() -> None:
    declared = ModelSettings(
        reference=(0, HOUR),
        decisions={"a": Decision(threshold=0.5, selects="below", precision=0.9)},
        canary=0.1,
        guarantee=PerLabels(per_labels=(0.01, 10**6)),
        alert_on="pointwise",
    )
    shown = {field.name: SETTINGS[field.name].type.shown(getattr(declared, field.name)) for field in fields(declared)}
    assert settings_from(ModelSettings(), msgspec.json.decode(msgspec.json.encode(shown))) == declared


def test_settings_are_stored_as_they_were_before_decisions_were_structs() -> None:
    stored = b'{"decisions":{"a":{"threshold":0.9,"selects":"above","precision":null}}}'
    read = msgspec.json.decode(stored, type=ModelSettings)
    assert read.decisions == {"a": Decision(threshold=0.9)}
    assert stored[1:-1] in msgspec.json.encode(read)


def test_an_unknown_setting_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(
        BadInput, match="there is no such setting; the settings are alert_on, alert_policy, canary, class_thresholds"
    ):
        settings_from(ModelSettings(), {"windws": ["1h"]})


def test_task_and_classes_are_checked_together() -> None:
    assert task_from(None, {"task": "binary", "classes": ["no", "yes"]}) == ("binary", ("no", "yes"))
    assert task_from(None, {}) == (None, None)
    with pytest.raises(BadInput, match="exactly two"):
        task_from(None, {"task": "binary", "classes": ["a", "b", "c"]})


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ("always", "guarantee", 'must be "ever", or'),
        ({"per_labels": [0.01]}, "guarantee", 'must be "ever", or'),
        ({"per_labels": [0.01, 10**6], "ever": True}, "guarantee", 'must be "ever", or'),
        ({"per_labels": [0.6, 10**6]}, "guarantee.per_labels[0]", "must be a ratio from 0.000001 to 0.5"),
        ({"per_labels": [0.01, 249]}, "guarantee.per_labels[1]", "must be a whole number from 250 to 1000000000000"),
    ],
)
def test_a_guarantee_is_for_ever_or_per_labels(value: object, field: str, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        GUARANTEE.parse("guarantee", value)
    assert refused.value.field == field
    assert refused.value.reason.startswith(reason)


def test_a_regression_has_no_pointwise_alert() -> None:
    pointwise = ModelSettings(alert_on="pointwise")
    for chosen in ({"alert_on": "pointwise"}, {"task": "regression"}):
        with pytest.raises(BadInput, match="must be ece for a regression"):
            check_task_of(chosen, "regression", pointwise)
    check_task_of({"cooldown": "2h"}, "regression", pointwise)
    check_task_of({"alert_on": "pointwise"}, "binary", pointwise)


@pytest.mark.parametrize(
    ("setting", "value", "reason"),
    [
        (whole(1, 10), 11, "must be a whole number from 1 to 10"),
        (whole(1, 10), True, "must be a whole number from 1 to 10"),
        (number(Interval(0, 0.5)), 0.6, "must be a number from 0 to 0.5"),
        (number(Interval(1e-6, 0.5)), 0, "must be a number from 0.000001 to 0.5"),
        (number(Interval(0, 1, open_below=True)), 0, "must be a number above 0 and up to 1"),
        (number(Interval(0, 1, open_below=True, open_above=True)), 1, "must be a number above 0 and below 1"),
        (choice(*TASKS), "ranking", "must be one of binary, multiclass, confidence, regression"),
        (names(3), ["a", "a"], "must not name anything twice"),
        (names(3, least=2), ["a"], "must be a list of 2 to 3 names"),
        (nullable(whole(1, 2)), 3, "must be a whole number from 1 to 2"),
    ],
)
def test_a_refusal_says_what_would_be_right(setting: Any, value: object, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        setting.parse("field", value)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (["a:b"], "must not have a colon"),
        (["class=a"], "must not begin with class="),
        (["a,b,c"], "must be one segment, or a pair"),
        (["a,a"], "must be a pair of two different segments"),
        (["a,b", "b,a"], "must not name a pair twice"),
        ([f"a,{'b' * 60}"], "must have at most 50 characters, as a pair"),
    ],
)
def test_segments_and_pairs_are_named_unmistakably(keys: list[str], reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        settings_from(ModelSettings(), {"segments": keys})
    assert refused.value.reason.startswith(reason)


@pytest.mark.parametrize(
    ("decision", "field", "reason"),
    [
        ({}, "decisions.a", "must be an object of threshold"),
        ({"threshold": 0.5, "other": 1}, "decisions.a", "must be an object of threshold"),
        ({"threshold": 1}, "decisions.a.threshold", "must be a ratio above 0 and below 1"),
        ({"threshold": 0.5, "selects": "over"}, "decisions.a.selects", "must be one of above, below"),
        ({"threshold": 0.5, "precision": 0}, "decisions.a.precision", "must be a ratio above 0 and below 1"),
    ],
)
def test_a_decision_is_refused_by_its_field(decision: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        settings_from(ModelSettings(), {"decisions": {"a": decision}})
    assert (refused.value.field, refused.value.reason[: len(reason)]) == (field, reason)
