"""Labels of classes that were never declared: how many, of which names, and which declared class each is near."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from ..domain.quantities import Count
from ..store.counters import OTHER_NAMES

MOST_SHOWN: Final = 10
"""Names that are listed apart, the most frequent first."""

MOST_TOLD: Final = 3

NEAR: Final = 0.8
"""Least similarity of two names, as shares of matching characters, by which one may be the other misspelt."""


class UndeclaredClass(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that labels had and no class has."""

    name: str
    labels: Count
    near: Annotated[str | None, Meta(description="a declared class of almost the same name")]


class Undeclared(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels that count and are of classes that had never been declared: wrong, whatever the answer was."""

    labels: Count
    classes: Annotated[list[UndeclaredClass], Meta(description="the most frequent names first, at most 10")]
    told: Annotated[str | None, Meta(description="the same in one sentence; null without such labels")]


def undeclared(counts: Mapping[str, int], declared: Sequence[str]) -> Undeclared:
    """Return the labels of undeclared classes.

    Parameters
    ----------
    counts : labels by name, the most frequent first
    declared : names of the declared classes

    Examples
    --------
    >>> undeclared({"zebra": 30, "Cat": 7}, ["cat", "dog"]).told
    '37 labels of classes never declared: `zebra` 30, `Cat` 7; `Cat` is near `cat`.'

    """
    named = [name for name in counts if name != OTHER_NAMES][:MOST_SHOWN]
    classes = [UndeclaredClass(name=name, labels=counts[name], near=_near(name, declared)) for name in named]
    total = sum(counts.values())
    return Undeclared(labels=total, classes=classes, told=_told(total, classes, len(counts)) if total else None)


def _near(name: str, declared: Sequence[str]) -> str | None:
    by_spelling = {other.strip().casefold(): other for other in declared}
    nearest = difflib.get_close_matches(name.strip().casefold(), by_spelling, 1, NEAR)
    return by_spelling[nearest[0]] if nearest else None


def _told(total: int, classes: Sequence[UndeclaredClass], names: int) -> str:
    shown = ", ".join(f"`{one.name}` {one.labels}" for one in classes[:MOST_TOLD])
    more = ", …" if names > min(MOST_TOLD, len(classes)) else ""
    near = "".join(f"; `{one.name}` is near `{one.near}`" for one in classes[:MOST_TOLD] if one.near is not None)
    return f"{total} {'label' if total == 1 else 'labels'} of classes never declared: {shown or '…'}{more if shown else ''}{near}."
