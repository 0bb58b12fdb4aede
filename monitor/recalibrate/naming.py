"""Names of versions: a number, champion, challenger, or identity for no calibrator."""

from typing import Final

from sqlalchemy import Connection

from ..domain.errors import NotFound
from ..domain.names import CHALLENGER, CHAMPION
from ..domain.settings import Model
from ..store import versions
from ..store.calibrators import Calibrator

IDENTITY: Final = "identity"
NAMES: Final = "a number, champion or challenger"
NAMES_OR_IDENTITY: Final = "a number, champion, challenger or identity"
LARGEST: Final = 10**9


def named_version(connection: Connection, model: Model, which: str, *, identity: bool = True) -> int | None:
    """Return the number of a version named by its number, `champion`, `challenger` or `identity` (None).

    Parameters
    ----------
    identity : whether `identity` is a name here

    Raises
    ------
    NotFound
        for an impossible name, or an alias without a version.

    """
    if identity and which == IDENTITY:
        return None
    if which in {CHAMPION, CHALLENGER}:
        alias = versions.aliases(connection, model.id).get(which)
        if alias is None or alias.number is None:
            raise NotFound(f"model {model.name!r} has no {which}")
        return alias.number
    return number_of(which, names=NAMES_OR_IDENTITY if identity else NAMES)


def number_of(text: str, *, names: str = "a number") -> int:
    """Return the number of a version.

    Parameters
    ----------
    names : what the error says may be named

    Raises
    ------
    NotFound
        for an impossible number.

    Examples
    --------
    >>> number_of("12")
    12

    """
    if not (text.isascii() and text.isdigit() and len(text) < len(str(LARGEST)) and text == str(int(text))):
        raise NotFound(f"there is no calibrator {text!r}: name {names}")
    return int(text)


def champion_number(connection: Connection, model: Model) -> int | None:
    """Return the number of the champion, None for no calibrator."""
    champion = versions.aliases(connection, model.id).get(CHAMPION)
    return None if champion is None else champion.number


def calibrator_of(connection: Connection, model: Model, number: int | None) -> Calibrator | None:
    """Return a version, None for no calibrator.

    Raises
    ------
    NotFound
        for an unknown version.

    """
    calibrator = None if number is None else versions.document(connection, model.id, number)
    if calibrator is None and number is not None:
        raise NotFound(f"model {model.name!r} has no calibrator {number}")
    return calibrator
