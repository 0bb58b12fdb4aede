"""The route of the audit log."""

from fastapi import APIRouter
from msgspec import Struct
from starlette.responses import Response

from ...store.audit import Entry, entries_of_name
from ..answers import answer, gives
from ..dependencies import Context, ModelName, model_named
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)


class Audit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps, oldest first."""

    audit: list[Entry]


@router.get("/{model}/audit", responses=gives(Audit))
def show_audit(context: Context, model: ModelName) -> Response:
    """Return every step of the calibrators' life, oldest first; also of a model that was deleted."""
    with context.database.read() as connection:
        entries = entries_of_name(connection, model)
        if not entries:
            model_named(connection, model)  # raises NotFound for a name that no model has had
        return answer(Audit(audit=entries))
