"""Schemas of structs, and of the unions that msgspec does not describe by itself."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from monitor.api.schemas import components, schema


class Cat(Struct):
    """Says miaow."""

    lives: int


class Dog(Struct, forbid_unknown_fields=True):
    """Says woof."""

    tricks: list[str] = []


class Home(Struct):
    """Where they live."""

    pet: Annotated[Cat | Dog | None, Meta(description="the one")]
    pets: list[Cat | Dog]
    named: dict[str, Dog]
    rooms: int = msgspec.field(default=1, name="room count")


CAT, DOG = ({"$ref": f"#/components/schemas/{name}"} for name in ("Cat", "Dog"))


def test_a_union_of_structs_is_described_as_any_of_them() -> None:
    assert schema(Cat | Dog) == {"anyOf": [CAT, DOG]}
    assert schema(list[Cat | Dog]) == {"type": "array", "items": {"anyOf": [CAT, DOG]}}


def test_a_field_may_be_one_of_several_structs_or_null() -> None:
    described: dict[str, Any] = dict(components([Home]))
    assert set(described) == {"Home", "Cat", "Dog"}
    assert described["Home"]["properties"] == {
        "pet": {"description": "the one", "anyOf": [CAT, DOG, {"type": "null"}]},
        "pets": {"type": "array", "items": {"anyOf": [CAT, DOG]}},
        "named": {"type": "object", "additionalProperties": DOG},
        "room count": {"type": "integer", "default": 1},
    }
    assert sorted(described["Home"]["required"]) == ["named", "pet", "pets"]
    assert described["Home"]["description"] == "Where they live."


def test_a_struct_without_such_a_union_is_described_as_msgspec_does() -> None:
    assert components([Dog]) == msgspec.json.schema_components([Dog])[1]


def test_an_enumeration_has_the_type_of_its_values() -> None:
    assert schema(Literal["a", "b"]) == {"enum": ["a", "b"], "type": "string"}
    assert schema(Literal[True]) == {"enum": [True], "type": "boolean"}
    assert schema(Literal["a", 1]) == {"enum": [1, "a"], "type": ["integer", "string"]}
