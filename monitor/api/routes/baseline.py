"""Route about the validation set: what a model showed before any live label came."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from ...domain.errors import BadInput
from ...stats.cells import BIN_COUNTS
from ...store import mappings
from ...windows import baseline
from ...windows.evaluation import DEFAULT_BINS
from ...windows.value_maps import mapping_of
from ..answers import answer, gives
from ..dependencies import Context, ModelName, model_named, usable
from ..evaluations import ReferenceEvaluation, ReferenceRegression, shown
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["figures"], route_class=StrictRoute)


class ReferenceQuery(BaseModel):
    """A query about a validation set."""

    version: str | None = Field(default=None, description="a model version; all of them if not given")
    bins: int | None = Field(default=None, description="as of `calibration`")
    scores: Literal["served", "raw"] = Field(default="served", description="as served, or as the model gave them")


@router.get("/{model}/reference", responses=gives(ReferenceEvaluation | ReferenceRegression), dependencies=[CURRENT])
def show_reference(context: Context, model: ModelName, query: Annotated[ReferenceQuery, Query()]) -> Response:
    """Evaluate the whole validation set: the predictions that were sent with `reference: true`, whatever their time."""
    if query.bins not in {None, *BIN_COUNTS}:
        raise BadInput("bins", query.bins, f"must be one of {', '.join(map(str, BIN_COUNTS))}")
    version = usable("version", query.version)
    with context.database.read() as connection:
        declared = model_named(connection, model)
        parts = baseline.of_versions(connection, declared)
        maps = mappings.of_model(connection, declared.id)
    chosen = baseline.together([part for name, part in parts.items() if version in {None, name}])
    evaluation = baseline.evaluated(
        declared, version, chosen, scores=query.scores, bins=query.bins or DEFAULT_BINS, by_value=query.bins is None
    )
    no_range = {"start": None, "end": None} if chosen is None else {}
    return answer(shown(evaluation, mapping_of(maps, version)) | no_range)
