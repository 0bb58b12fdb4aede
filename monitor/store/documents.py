"""Structs as JSON in a column, and back."""

from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

T = TypeVar("T", bound=Struct)


def encoded(document: object) -> str:
    """Return a struct, or an object of JSON, as text; a number that is not finite is null."""
    return msgspec.json.encode(document).decode()


def decoded(text: str, struct: type[T], **columns: object) -> T:
    """Return the struct of a stored document; fields that only a later version has are ignored, those that an earlier one lacked are null.

    Parameters
    ----------
    columns : fields that are stored in columns of their own

    """
    stored: dict[str, Any] = {**msgspec.json.decode(text), **columns}
    known = {name: stored[name] for name in struct.__struct_encode_fields__ if name in stored}
    return msgspec.convert(dict.fromkeys(_required(struct)) | known, struct)


@cache
def _required(struct: type[Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in structs.fields(struct) if field.required)
