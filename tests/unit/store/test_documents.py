"""Structs in a column: read back whatever version stored them."""

import math

import msgspec
import pytest
from msgspec import Struct

from monitor.store.documents import decoded, encoded


class Kept(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is stored."""

    version: str
    count: int
    share: float | None
    note: str = ""


def test_a_struct_is_read_back_as_it_was_stored() -> None:
    kept = Kept(version="a", count=3, share=0.5)
    assert decoded(encoded(kept), Kept) == kept


def test_what_is_not_finite_is_null() -> None:
    assert decoded(encoded(Kept(version="a", count=3, share=math.nan)), Kept).share is None


def test_what_a_later_version_added_is_left_out_and_what_an_earlier_one_lacked_is_null() -> None:
    assert decoded('{"version": "a", "count": 3, "more": [1]}', Kept) == Kept(version="a", count=3, share=None)


def test_a_field_may_stand_in_a_column_of_its_own() -> None:
    assert decoded('{"count": 3}', Kept, version="a") == Kept(version="a", count=3, share=None)


def test_what_can_not_be_null_must_be_stored() -> None:
    with pytest.raises(msgspec.ValidationError, match="count"):
        decoded('{"version": "a"}', Kept)
