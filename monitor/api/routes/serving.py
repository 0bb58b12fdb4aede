"""The route that clients follow: what a model is to be served with now."""

from hashlib import sha256

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from ...calibrators.hashing import canonical
from ...domain.settings import Model
from ...store import versions
from .. import shapes
from ..dependencies import Context, JsonObject, ModelName, model_named
from ..etags import answer_unless_known
from ..shapes import gives
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)


@router.get(
    "/{model}/serving",
    responses=gives(shapes.Serving) | {304: {"description": "it is what `If-None-Match` names"}},
)
def show_serving(context: Context, model: ModelName, request: Request) -> Response:
    """Return the calibrator in service, and the one that serves a share of traffic beside it; `If-None-Match` saves the body."""
    with context.database.read() as connection:
        found = serving(connection, model_named(connection, model))
    return answer_unless_known(request, sha256(canonical(found)).hexdigest(), found)


def serving(connection: Connection, model: Model) -> JsonObject:
    """Return what a model is to be served with; null stands for no calibrator."""
    aliases = versions.aliases(connection, model.id)
    champion, challenger = aliases.get(versions.CHAMPION), aliases.get(versions.CHALLENGER)
    served = _document(connection, model, champion)
    tried = None if challenger is None or challenger.share is None else _document(connection, model, challenger)
    canary = None if challenger is None or tried is None else {"share": challenger.share, "document": tried}
    return {"champion": served, "canary": canary}


def _document(connection: Connection, model: Model, alias: versions.Alias | None) -> JsonObject | None:
    number = None if alias is None else alias.number
    return None if number is None else versions.document(connection, model.id, number)
