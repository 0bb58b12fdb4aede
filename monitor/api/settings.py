"""Settings of a model as the API takes and gives them: structs made from their declarations."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ..domain.quantities import Moment
from ..domain.settings import SETTINGS, Model, Setting
from ..domain.times import moment

Field = tuple[str, Any] | tuple[str, Any, Any]


def settings_body(name: str, sentence: str, beside: type[Struct] = Struct) -> type[Struct]:
    """Return the struct of a request body that takes any subset of the settings.

    Parameters
    ----------
    name, sentence : of the struct
    beside : what else the body takes

    """
    return _struct(name, sentence, [_optional(setting) for setting in SETTINGS.values()], beside)


def settings_answer(name: str, sentence: str, beside: type[Struct] = Struct) -> type[Struct]:
    """Return the struct of an answer with all settings of a model; `settings_of` returns their values.

    Parameters
    ----------
    name, sentence : of the struct
    beside : what else the answer holds

    """
    declared = [_required(setting) for setting in SETTINGS.values()]
    return _struct(name, sentence, [("model", str), *declared, *_STATE], beside)


def settings_of(model: Model) -> dict[str, object]:
    """Return the settings of a model that are in force, as JSON shows them."""
    declared = {name: setting.type.shown(_value(model, name)) for name, setting in SETTINGS.items()}
    return {"model": model.name, **declared, "revision": model.revision, "created_at": moment(model.created_at)}


def _value(model: Model, name: str) -> object:
    return getattr(model if name in _OF_TASK else model.settings, name)


def _struct(name: str, sentence: str, fields: Sequence[Field], beside: type[Struct]) -> type[Struct]:
    return msgspec.defstruct(
        name,
        fields,
        bases=(beside,),
        namespace={"__doc__": sentence},
        module=__name__,
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _optional(setting: Setting) -> Field:
    return *_required(setting), msgspec.field(default_factory=partial(deepcopy, setting.shown_default))


def _required(setting: Setting) -> tuple[str, Any]:
    unit = {"x-unit": setting.type.unit} if setting.type.unit else {}
    more = {"default": setting.shown_default, **unit}
    return setting.name, Annotated[setting.type.schema, Meta(description=setting.sentence, extra_json_schema=more)]


_OF_TASK: Final = ("task", "classes")
_STATE: Final[Sequence[Field]] = (
    ("revision", Annotated[int, Meta(description="grows with each change that the roll-up depends on")]),
    ("created_at", Moment),
)

SettingsBody: Final = settings_body("SettingsBody", "Settings of a model; any subset may be given.")
ModelSettings: Final = settings_answer("ModelSettings", "All settings of a model, as they are in force.")
