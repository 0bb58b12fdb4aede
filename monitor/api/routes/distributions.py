"""Distributions over HTTP: what a regression's champion makes of some."""

from typing import Any, Final

from ...calibrators.compiled import compile_distribution
from ...domain.errors import BadInput
from ...domain.settings import Model
from ...store.rows import distribution, fields_of
from ..dependencies import JsonObject

MOST: Final = 10_000
NO_CALIBRATOR: Final = {"method": "identity", "task": "regression", "parameters": {}}


def check_kind(model: Model, *, probabilities: bool, distributions: bool) -> None:
    """Refuse what a model does not take: distributions where it gives probabilities, probabilities of a regression, both, or neither.

    Raises
    ------
    BadInput
        saying what the model takes.

    """
    if probabilities and distributions:
        raise BadInput("distributions", "…", "must be left out beside probabilities")
    if distributions and model.task not in {None, "regression"}:
        raise BadInput("distributions", "…", f"must be left out: this {model.task} model takes probabilities")
    if not distributions and model.task == "regression":
        raise BadInput(
            "probabilities", "…", "must be left out: this regression takes distributions, as {mean, std} or {quantiles}"
        )
    if not distributions and not probabilities:
        raise BadInput("probabilities", None, "must be given, or distributions of a regression")


def calibrated(document: JsonObject | None, given: list[dict[str, Any]]) -> list[JsonObject]:
    """Return distributions as a calibrator serves them; None serves them as they are.

    Raises
    ------
    BadInput
        naming the first that is none.

    """
    if len(given) > MOST:
        raise BadInput("distributions", len(given), f"must be at most {MOST} at once")
    apply = compile_distribution(document or NO_CALIBRATOR)
    found = []
    for place, each in enumerate(given):
        try:
            found.append(fields_of(apply(distribution(each)), named=each.get("quantiles")))
        except BadInput as error:
            raise BadInput(f"distributions[{place}].{error.field}", error.value, error.reason) from error
        except ValueError as error:
            raise BadInput(f"distributions[{place}]", each, str(error)) from error
    return found
