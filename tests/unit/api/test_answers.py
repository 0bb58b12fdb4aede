"""How answers are described: structs by reference, unions of them, and fields that hold one of several."""

from typing import Any

from msgspec import Struct

from monitor.api.answers import gives, takes
from monitor.api.schemas import components


class Cat(Struct):
    """A cat."""

    lives: int


class Dog(Struct):
    """A dog."""

    tricks: list[str]


class Pet(Struct):
    """A cat, a dog or nothing."""

    animal: Cat | Dog | None


CAT, DOG = ({"$ref": f"#/components/schemas/{name}"} for name in ("Cat", "Dog"))


def shape_of(part: Any) -> Any:
    """Return the type that a described part of a call was made from."""
    return part.shape


def schema_of(responses: dict[Any, Any]) -> Any:
    return responses[200]["content"]["application/json"]["schema"]


def test_an_answer_refers_to_its_struct() -> None:
    assert schema_of(gives(Cat)) == CAT
    assert set(components([shape_of(gives(Cat)[200])])) == {"Cat"}


def test_an_answer_of_several_kinds_refers_to_each() -> None:
    responses = gives(Cat | Dog)
    assert schema_of(responses) == {"anyOf": [CAT, DOG]}
    assert set(components([shape_of(responses[200])])) == {"Cat", "Dog"}


def test_a_field_of_several_kinds_refers_to_each() -> None:
    schemas: dict[str, Any] = dict(components([shape_of(gives(Pet)[200])]))
    assert schemas["Pet"]["properties"]["animal"] == {"anyOf": [CAT, DOG, {"type": "null"}]}
    assert {"Cat", "Dog"} < set(schemas)


def test_a_request_body_refers_to_its_struct() -> None:
    body = takes(Cat)["requestBody"]
    assert body == {"required": True, "content": {"application/json": {"schema": CAT}}}
    assert shape_of(body) == Cat
