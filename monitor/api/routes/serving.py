"""The route that clients poll: the calibrators to serve a model with now."""

from hashlib import sha256
from typing import Annotated

from fastapi import APIRouter, Request
from msgspec import Meta, Struct, to_builtins
from sqlalchemy import Connection
from starlette.responses import Response

from ...calibrators.hashing import canonical
from ...domain.names import CHALLENGER, CHAMPION
from ...domain.quantities import Ratio
from ...domain.settings import Model
from ...store import versions
from ...store.calibrators import Calibrator
from ..answers import gives
from ..dependencies import Context, ModelName, model_named
from ..etags import answer_unless_known
from ..strict import StrictRoute

router = APIRouter(prefix="/v1/models", tags=["calibrators"], route_class=StrictRoute)


class Canary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calibrator that serves a share of traffic, on trial."""

    share: Annotated[
        Ratio,
        Meta(
            description="it serves an event where the first 53 bits of the BLAKE2b hash (of 8 bytes) of model, number and event id, each "
            "but the last followed by a line feed, over 2^53, are under this"
        ),
    ]
    document: Calibrator


class Serving(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The calibrators to serve a model with now."""

    champion: Annotated[Calibrator | None, Meta(description="null for no calibrator")]
    canary: Canary | None


@router.get(
    "/{model}/serving",
    responses=gives(Serving) | {304: {"description": "it is what `If-None-Match` names"}},
)
def show_serving(context: Context, model: ModelName, request: Request) -> Response:
    """Return the calibrator in service, and the one that serves a share of traffic beside it; `If-None-Match` saves the body."""
    with context.database.read() as connection:
        in_service = serving(connection, model_named(connection, model))
    return answer_unless_known(request, sha256(canonical(to_builtins(in_service))).hexdigest(), in_service)


def serving(connection: Connection, model: Model) -> Serving:
    """Return the calibrators to serve a model with."""
    aliases = versions.aliases(connection, model.id)
    champion, challenger = aliases.get(CHAMPION), aliases.get(CHALLENGER)
    served = _document(connection, model, champion)
    tried = None if challenger is None or challenger.share is None else _document(connection, model, challenger)
    canary = None
    if challenger is not None and challenger.share is not None and tried is not None:
        canary = Canary(share=challenger.share, document=tried)
    return Serving(champion=served, canary=canary)


def _document(connection: Connection, model: Model, alias: versions.Alias | None) -> Calibrator | None:
    number = None if alias is None else alias.number
    return None if number is None else versions.document(connection, model.id, number)
