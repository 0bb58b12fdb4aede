"""NumPy and SciPy on demand: serving code imports the families without either, and one probability needs neither."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["ArrayLike", "Floats", "Integers", "Objects", "linalg", "np", "optimize", "special"]


class Lazy:
    """A module that is imported at the first use of one of its attributes.

    >>> Lazy("math").sqrt(4.0)
    2.0
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)  # from now on as fast as an attribute of the module
        return value


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from scipy import optimize, special
    from scipy.sparse import linalg

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Objects = NDArray[np.object_]
    """Arrays of shape (n,) of Distribution."""
else:
    np = Lazy("numpy")
    optimize = Lazy("scipy.optimize")
    special = Lazy("scipy.special")
    linalg = Lazy("scipy.sparse.linalg")
    ArrayLike = Floats = Integers = Objects = Any
