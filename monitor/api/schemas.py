"""JSON schemas of the structs that answers and request bodies are made of."""

from collections.abc import Callable, Iterable
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct, UnsetType

Schema = dict[str, object]
Field = tuple[str, Any] | tuple[str, Any, Any]
Shape = TypeVar("Shape", bound=type[Struct])

TYPES: Final = {str: "string", bool: "boolean", int: "integer", type(None): "null"}
REFERENCE: Final = "#/components/schemas/{name}"


def with_fields(fields: Iterable[Field]) -> Callable[[Shape], Shape]:
    """Return a decorator that gives a struct more fields, as `msgspec.defstruct` takes them, for example those of a table."""

    def extended(struct: Shape) -> Shape:
        return msgspec.defstruct(  # type: ignore[return-value]  # a subclass, under the same name
            struct.__name__,
            fields,
            bases=(struct,),
            namespace={"__doc__": struct.__doc__},
            module=struct.__module__,
            frozen=True,
            kw_only=True,
            forbid_unknown_fields=True,
        )

    return extended


def schema(shape: Any) -> Schema:
    """Return the schema of a type; it refers to its structs by name."""
    (described,), _ = _schemas([shape])
    return described


def components(shapes: Iterable[Any]) -> Schema:
    """Return the schemas of all structs that some types consist of, by name."""
    return _schemas(list(shapes))[1]


def _schemas(shapes: list[Any]) -> tuple[tuple[Schema, ...], Schema]:
    unions = _Unions()
    replaced = [unions.replaced(shape) for shape in shapes]
    described, named = msgspec.json.schema_components([*replaced, *unions.members], ref_template=REFERENCE)
    _state_types([*described, named])
    return described[: len(shapes)], named


def _state_types(node: Any) -> None:
    """Add the type of each enumeration, which msgspec does not state."""
    if isinstance(node, list):
        for item in node:
            _state_types(item)
    elif isinstance(node, dict):
        if isinstance(node.get("enum"), list) and "type" not in node:
            types = {TYPES[type(value)] for value in node["enum"]}
            node["type"] = types.pop() if len(types) == 1 else sorted(types)
        for value in node.values():
            _state_types(value)


class _Unions:
    """Unions that msgspec encodes but does not describe, such as those of several structs without a tag.

    Each is replaced by an unknown type with `anyOf` as its schema, and a struct with such a field by a subclass of its name.
    """

    def __init__(self) -> None:
        self.members: list[Any] = []
        self._replaced: dict[type[Struct], type[Struct]] = {}

    def replaced(self, shape: Any) -> Any:
        """Return a type with an equivalent that msgspec can describe."""
        origin, arguments = get_origin(shape), get_args(shape)
        if isinstance(shape, type) and issubclass(shape, Struct):
            return self._struct(shape)
        if origin is Annotated:
            return Annotated[self.replaced(arguments[0]), *arguments[1:]]
        if origin in {Union, UnionType}:
            return self._union(arguments)
        if origin in {list, tuple, dict}:
            return origin[tuple(self.replaced(argument) for argument in arguments)]
        return shape

    def _union(self, options: tuple[Any, ...]) -> Any:
        replaced = [self.replaced(option) for option in options]
        if _is_described(Union[*replaced]):
            return Union[*replaced]
        members = [option for option in replaced if option is not UnsetType]
        self.members += members
        described, _ = msgspec.json.schema_components(members, ref_template=REFERENCE)
        return Annotated[Any, Meta(extra_json_schema={"anyOf": list(described)})]

    def _struct(self, struct: type[Struct]) -> type[Struct]:
        if struct not in self._replaced:
            self._replaced[struct] = self._described(struct)
        return self._replaced[struct]

    def _described(self, struct: type[Struct]) -> type[Struct]:
        hints = get_type_hints(struct, include_extras=True)
        types = {name: self.replaced(hints[name]) for name in struct.__struct_fields__}
        changed = [name for name, replaced in types.items() if replaced != hints[name]]
        if not changed:
            return struct
        optional = struct.__struct_fields__[len(struct.__struct_fields__) - len(struct.__struct_defaults__) :]
        defaults = dict(zip(optional, struct.__struct_defaults__, strict=True))
        return msgspec.defstruct(
            struct.__name__,
            [(name, types[name], defaults.get(name, msgspec.NODEFAULT)) for name in changed],
            bases=(struct,),
            namespace={"__doc__": struct.__doc__},
            kw_only=True,
        )


def _is_described(union: Any) -> bool:
    try:
        msgspec.json.schema_components([union])
    except TypeError:
        return False
    return True
