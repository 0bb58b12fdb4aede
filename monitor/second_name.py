"""One package under two names: `calwatch`, which its modules bear, and the older `monitor`, which may be the name of a file of a user."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import CodeType, ModuleType
from typing import Final

NAME: Final = "calwatch"


def answer_to(name: str) -> None:
    """Give imports of `name`, and of modules below it, the modules of this package."""
    for stale in [known for known in sys.modules if known.startswith(f"{name}.")]:
        del sys.modules[stale]
    sys.modules[name] = import_module(NAME)
    sys.meta_path.insert(0, _SecondName(name))


def rename(package: ModuleType) -> None:
    """Load a package that was imported by the name of its folder, as in a checkout, by its own name; keep the other as a second name."""
    if NAME not in sys.modules:
        _load(str(package.__file__))
    answer_to(package.__name__)


def _load(file: str) -> None:
    spec = spec_from_file_location(NAME, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is no Python file", name=NAME)
    sys.modules[NAME] = module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[NAME]
        raise


class _SecondName(MetaPathFinder, InspectLoader):
    """Finds a module by its second name and loads it by its own, so that there is one of it."""

    def __init__(self, name: str) -> None:
        self._prefix = f"{name}."

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module below the second name."""
        if not fullname.startswith(self._prefix) or fullname.endswith(".__main__"):
            return None  # what is run is a module of its own in any package
        spec = find_spec(self._own(fullname))
        if spec is None:
            return None
        return ModuleSpec(fullname, self, origin=spec.origin, is_package=spec.submodule_search_locations is not None)

    def exec_module(self, module: ModuleType) -> None:
        """Put the module's own instance in its place."""
        sys.modules[module.__name__] = import_module(self._own(module.__name__))

    def get_source(self, fullname: str) -> str | None:
        """Return the module's source, as `python -m` and debuggers ask for it."""
        return self._loader(fullname).get_source(self._own(fullname))

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the module's code, as `python -m` asks for it."""
        return self._loader(fullname).get_code(self._own(fullname))

    def _loader(self, fullname: str) -> InspectLoader:
        spec = find_spec(self._own(fullname))
        if spec is None or not isinstance(spec.loader, InspectLoader):
            raise ImportError(f"{fullname} has no source", name=fullname)
        return spec.loader

    def _own(self, fullname: str) -> str:
        return f"{NAME}.{fullname.removeprefix(self._prefix)}"
