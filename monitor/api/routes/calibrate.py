"""The route that applies a model's champion to probabilities or distributions."""

from typing import Any, Final

from fastapi import APIRouter
from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ...calibrators.compiled import compile_distribution
from ...calibrators.families import from_document
from ...domain.errors import BadInput
from ...domain.settings import Model
from ...recalibrate.job import champion_document
from ...store.calibrators import Calibrator, no_calibrator
from ..answers import answer, gives
from ..dependencies import Context, ModelName, model_named
from ..strict import StrictRoute
from .distributions import Stated, distribution, stated

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)

MOST_PROBABILITIES: Final = 100_000
MOST_DISTRIBUTIONS: Final = 10_000


class CalibrateRequest(BaseModel):
    """Raw probabilities: numbers, or for a multiclass model vectors; or of a regression raw distributions."""

    model_config = ConfigDict(extra="forbid", strict=True)

    probabilities: list[float] | list[list[float]] | None = None
    distributions: list[dict[str, Any]] | None = Field(
        default=None, description="each {mean, std} or {quantiles: {level: value}}"
    )


class Calibrated(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probabilities as they should be served, and by which version."""

    probabilities: list[float] | list[list[float]]
    calibrator_version: int | None


class CalibratedDistributions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Predictive distributions as they should be served, and by which version."""

    distributions: list[Stated]
    calibrator_version: int | None


@router.post("/{model}/calibrate", responses=gives(Calibrated | CalibratedDistributions))
def calibrate(context: Context, model: ModelName, asked: CalibrateRequest) -> Response:
    """Apply the champion; without one, probabilities or distributions come back as they are."""
    _check_count("probabilities", len(asked.probabilities or ()), MOST_PROBABILITIES)
    with context.database.read() as connection:
        declared = model_named(connection, model)
        champion = champion_document(connection, declared)
    number = None if champion is None else champion.number
    _check_input(declared, probabilities=asked.probabilities is not None, distributions=asked.distributions is not None)
    if asked.distributions is not None:
        _check_count("distributions", len(asked.distributions), MOST_DISTRIBUTIONS)
        distributions = _served_distributions(champion, asked.distributions)
        return answer(CalibratedDistributions(distributions=distributions, calibrator_version=number))
    served = _served(declared, champion, asked.probabilities or [])
    return answer(Calibrated(probabilities=served, calibrator_version=number))


def _check_count(field: str, count: int, most: int) -> None:
    if count > most:
        raise BadInput(field, count, f"must be at most {most} at once")


def _check_input(model: Model, *, probabilities: bool, distributions: bool) -> None:
    """Refuse distributions where a model gives probabilities, probabilities of a regression, both, and neither."""
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


def _served(
    model: Model, champion: Calibrator | None, probabilities: list[float] | list[list[float]]
) -> list[float] | list[list[float]]:
    if not probabilities:
        return []
    task = model.task or ("multiclass" if isinstance(probabilities[0], list) else "binary")
    calibrator = from_document((champion or no_calibrator(task)).working_part)
    try:
        served: list[float] | list[list[float]] = calibrator.predict_proba(probabilities).tolist()
    except ValueError as error:
        raise BadInput("probabilities", probabilities[:5], str(error)) from error
    return served


def _served_distributions(champion: Calibrator | None, raw: list[dict[str, Any]]) -> list[Stated]:
    apply = compile_distribution((champion or no_calibrator("regression")).working_part)
    served = []
    for place, fields in enumerate(raw):
        try:
            served.append(stated(apply(distribution(fields)), named=fields.get("quantiles")))
        except BadInput as error:
            raise BadInput(f"distributions[{place}].{error.field}", error.value, error.reason) from error
        except ValueError as error:
            raise BadInput(f"distributions[{place}]", fields, str(error)) from error
    return served
