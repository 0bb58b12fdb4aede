"""Evaluations as JSON: flat as they are answered, and read back whatever version stored them."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from monitor.domain.evaluations import Bin, ClassCalibration, Curves, Evaluation, Flag, Level, Levels, RiskPoint

HEAD: dict[str, Any] = {
    "model": "m",
    "version": None,
    "segment": "country:de",
    "scores": "served",
    "start": datetime(2026, 1, 5, tzinfo=UTC),
    "end": datetime(2026, 1, 6, tzinfo=UTC),
    "verdict": "calibrated",
    "labels_needed": 0,
    "direction": "none",
    "predictions": 1000,
    "labelled": 900,
    "label_coverage": 0.9,
    "matured": True,
}
BIN = Bin(lower=0.0, upper=1.0, count=0, mean_confidence=None, observed=None, observed_low=None, observed_high=None)
CLASS = ClassCalibration(
    name="cat",
    labelled=9,
    positives=3,
    mean_probability=0.3,
    observed=1 / 3,
    ece=0.1,
    ece_lower_bound=None,
    threshold=None,
    verdict=None,
)
OF_PROBABILITIES = Evaluation(
    **HEAD,
    figures={"ece": 0.01, "cox_slope": None, "log_loss_clipped": 3},
    curves=Curves(reliability=(BIN,), risk_coverage=(RiskPoint(coverage=1.0, risk=0.1),), classes=(CLASS,)),
    flag=Flag(e_value_log=None, flagged=False),
)
OF_DISTRIBUTIONS = Evaluation(
    **HEAD,
    figures={"quantile_ece": 0.02, "quantile_ece_lower_bound": 0.0},
    levels=Levels(pit=(45,) * 20, coverage=(Level(level=0.9, observed=0.9, low=0.8, high=1.0),), quantiles=()),
)


def text(evaluation: Evaluation, **more: object) -> str:
    return msgspec.json.encode(evaluation.as_json() | more).decode()


@pytest.mark.parametrize("evaluation", [OF_PROBABILITIES, OF_DISTRIBUTIONS])
def test_an_evaluation_is_read_back_as_it_was_stored(evaluation: Evaluation) -> None:
    assert Evaluation.from_json(text(evaluation)) == evaluation


def test_counts_are_read_back_as_whole_numbers() -> None:
    assert isinstance(Evaluation.from_json(text(OF_PROBABILITIES)).figures["log_loss_clipped"], int)


def test_what_is_stored_is_flat() -> None:
    stored = msgspec.json.decode(text(OF_PROBABILITIES))
    assert (stored["start"], stored["ece"], stored["flagged"]) == ("2026-01-05T00:00:00Z", 0.01, False)
    assert stored["classes"][0]["class"] == "cat"
    assert not {"figures", "curves", "levels", "flag"} & stored.keys()


def test_what_the_history_keeps_is_read_without_what_is_drawn() -> None:
    kept = msgspec.structs.replace(OF_PROBABILITIES, curves=None)
    assert Evaluation.from_json(text(kept)) == kept


def test_an_evaluation_of_an_earlier_version_lacks_fields_and_of_a_later_one_has_more() -> None:
    earlier = {name: value for name, value in OF_DISTRIBUTIONS.as_json().items() if name != "labels_needed"}
    assert Evaluation.from_json(msgspec.json.encode(earlier).decode()) == OF_DISTRIBUTIONS
    later = Evaluation.from_json(text(OF_DISTRIBUTIONS, advice="refit", drawn=[1, 2]))
    assert later == OF_DISTRIBUTIONS


def test_a_direction_of_0_3_0_is_read_as_it_was_written_without_a_lean() -> None:
    # All models had the two words of answers then.
    stored = OF_PROBABILITIES.as_json() | {"direction": "overconfident", "mean_confidence": 0.36}
    read = Evaluation.from_json(msgspec.json.encode(stored).decode())
    assert (read.direction, read.figures["cox_slope"], "lean" in read.figures) == ("overconfident", None, False)


def test_the_verdict_is_about_the_error_of_the_task() -> None:
    assert (OF_PROBABILITIES.error, OF_DISTRIBUTIONS.error) == ("ece", "quantile_ece")
    assert OF_DISTRIBUTIONS.error_lower_bound == 0.0
