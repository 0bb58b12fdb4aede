"""Settings of a model as the API takes and gives them: structs with a field for each declaration."""

from copy import deepcopy
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from ..domain.quantities import Moment
from ..domain.settings import SETTINGS, Model, Setting
from ..domain.times import moment
from .schemas import Shape, with_fields

OF_TASK: Final = ("task", "classes")
"""Settings that a model itself holds."""


def takes_settings(struct: Shape) -> Shape:
    """Give the struct of a request body a field for each setting, which may be absent."""
    absent = {
        name: msgspec.field(default_factory=partial(deepcopy, setting.shown_default))
        for name, setting in SETTINGS.items()
    }
    return with_fields([(name, _described(setting), absent[name]) for name, setting in SETTINGS.items()])(struct)


def gives_settings(struct: Shape) -> Shape:
    """Give the struct of an answer a field for each setting and what else `settings_of` returns."""
    declared = [(name, _described(setting)) for name, setting in SETTINGS.items()]
    revision = Annotated[int, Meta(description="grows with each change that the roll-up depends on")]
    return with_fields([("model", str), *declared, ("revision", revision), ("created_at", Moment)])(struct)


def _described(setting: Setting) -> Any:
    unit = {"x-unit": setting.type.unit} if setting.type.unit else {}
    more = {"default": setting.shown_default, **unit}
    return Annotated[setting.type.schema, Meta(description=setting.sentence, extra_json_schema=more)]


def settings_of(model: Model) -> dict[str, Any]:
    """Return the settings of a model that are in force, as JSON shows them."""
    holders = {name: model if name in OF_TASK else model.settings for name in SETTINGS}
    declared = {name: setting.type.shown(getattr(holders[name], name)) for name, setting in SETTINGS.items()}
    return {"model": model.name, **declared, "revision": model.revision, "created_at": moment(model.created_at)}


@takes_settings
class SettingsBody(Struct, frozen=True, kw_only=True):
    """Settings of a model; any subset may be given."""


@gives_settings
class ModelSettings(Struct, frozen=True, kw_only=True):
    """All settings of a model, as they are in force."""
