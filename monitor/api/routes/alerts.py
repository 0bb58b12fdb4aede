"""Route about alerts: their transitions."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from ...store import alerts
from ..alerts import Alerts, answered
from ..answers import answer, gives
from ..dependencies import Context, ModelName, model_named
from ..freshness import CURRENT
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


@router.get("/{model}/alerts", responses=gives(Alerts), dependencies=[CURRENT])
def list_alerts(context: Context, model: ModelName, limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> Response:
    """List transitions, newest first."""
    with context.database.read() as connection:
        transitions = alerts.transitions(connection, model_named(connection, model).id, limit)
    return answer(Alerts(alerts=[answered(alert) for alert in transitions]))
