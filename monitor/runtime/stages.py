"""Do a piece of work for every model; what goes wrong with one is logged and stops no other."""

import logging
from collections.abc import Callable

from ..domain.errors import LeaseLost, Unavailable
from ..domain.settings import Model
from ..store import models
from ..store.engine import Database

log = logging.getLogger(__name__)


def each_model(database: Database, work: Callable[[Model], int], what: str) -> int:
    """Return the sum of what the work returned.

    Parameters
    ----------
    work : done for one model after the other
    what : the work in words, for the log: "evaluating"

    Raises
    ------
    LeaseLost
        when another process leads now.
    Unavailable
        when the database does not answer.

    """
    with database.read() as connection:
        everyone = models.everyone(connection)
    done = 0
    for model in everyone:
        try:
            done += work(model)
        except (LeaseLost, Unavailable):
            raise
        except Exception:
            log.exception("%s model %s failed", what, model.name)
    return done
