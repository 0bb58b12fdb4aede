"""Predictive distributions of a regression, calibrated in process: without NumPy unless arrays are passed."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..calibrators.distributions import WHOLE, Distribution, ToDistribution
from ..domain.events import levels_of
from ..domain.rounding import ascending
from .items import by_level


class CalibratedDistribution(NamedTuple):
    """A calibrated distribution, the raw one and the version between them; `Client.log` takes it as `distribution`.

    It has a mean and a standard deviation, or quantiles. A normal distribution that is calibrated by `pit_isotonic` is normal no longer:
    it comes back as quantiles, by level as a number. Of arrays every entry is an array, which `log` does not take.
    """

    mean: Any  # to serve
    std: Any
    quantiles: Mapping[Any, Any] | None
    raw_mean: Any  # as the model gave it
    raw_std: Any
    raw_quantiles: Mapping[Any, Any] | None
    version: int | None  # number of the calibrator; None without one
    event_id: str | None = None  # id to log the event under; None: `log` makes one

    def apart(self) -> dict[str, Any]:
        """Return the fields of an event; raw ones only with a calibrator."""
        fields = {"mean": self.mean, "std": self.std, "quantiles": self.quantiles}
        if self.version is not None:
            fields |= {"raw_mean": self.raw_mean, "raw_std": self.raw_std, "raw_quantiles": self.raw_quantiles}
        return fields


class Forecast(NamedTuple):
    """The distribution that a model predicts, before calibration."""

    mean: Any
    std: Any
    quantiles: Mapping[Any, Any] | None

    @property
    def is_many(self) -> bool:
        """Whether it holds arrays, of many events at once."""
        values = (self.mean, self.std) if self.quantiles is None else self.quantiles.values()
        return "numpy" in sys.modules and any(getattr(value, "shape", ()) != () for value in values)

    def calibrated(self, served: "Served", version: int | None, event_id: str | None) -> CalibratedDistribution:
        """Return the served distribution beside the raw one."""
        return CalibratedDistribution(*served, self.mean, self.std, self.quantiles, version, event_id)

    @property
    def as_it_came(self) -> "Served":
        """The same, served without a calibrator."""
        return Served(self.mean, self.std, self.quantiles)


class Served(NamedTuple):
    """A mean and a standard deviation, or quantiles."""

    mean: Any
    std: Any
    quantiles: Mapping[Any, Any] | None


def applied(apply: ToDistribution, forecast: Forecast) -> Served:
    """Return a calibrated distribution.

    Raises
    ------
    ValueError
        for values that are no distribution.

    """
    levels, values, names = _columns(forecast)
    numbers = [float(value) for value in values]
    calibrated = apply(Distribution(levels, tuple(ascending(numbers) if levels else numbers)))
    return _served(calibrated.levels, calibrated.values, names)


def applied_to_arrays(apply: Callable[[Any, Any], tuple[Any, Any]], forecast: Forecast) -> Served:
    """Return calibrated distributions, given as arrays of one shape, numbers for all of them, or both.

    Raises
    ------
    ValueError
        for values that are no distributions.

    """
    numpy = sys.modules["numpy"]
    levels, values, names = _columns(forecast)
    columns = numpy.broadcast_arrays(*(numpy.asarray(value, dtype=float) for value in values))
    shape = columns[0].shape
    served, rows = apply(levels, numpy.stack([column.ravel() for column in columns], axis=1))
    return _served(served, [rows[:, k].reshape(shape) for k in range(rows.shape[1])], names)


def _columns(forecast: Forecast) -> tuple[tuple[int, ...], list[Any], dict[int, Any]]:
    """Return levels in thousandths, the values in their order, and the given names of the levels."""
    if forecast.quantiles is None:
        if forecast.mean is None or forecast.std is None:
            raise ValueError("a distribution has mean and std, or quantiles")
        return (), [forecast.mean, forecast.std], {}
    if forecast.mean is not None or forecast.std is not None:
        raise ValueError("a distribution has mean and std, or quantiles, not both")
    levels = levels_of(tuple(by_level(forecast.quantiles)))
    if levels is None:
        raise ValueError("quantiles are by level, in decimals as 0.05, from 0.001 to 0.999")
    named = sorted(zip(levels, forecast.quantiles, strict=True), key=lambda pair: pair[0])
    return tuple(level for level, _ in named), [forecast.quantiles[name] for _, name in named], dict(named)


def _served(levels: tuple[int, ...], values: Any, names: Mapping[int, Any]) -> Served:
    if not levels:
        mean, std = values
        return Served(mean, std, None)
    named = {names.get(level, level / WHOLE): value for level, value in zip(levels, values, strict=True)}
    return Served(None, None, named)
