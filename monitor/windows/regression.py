"""Figures of regressions: sums of a window to what its predictive distributions were worth."""

from typing import Any

from ..stats import quantiles
from ..stats.summary import Summary


def figures(summary: Summary, previous: Summary | None, *, alpha: float) -> dict[str, Any]:
    """Return every figure of a window of a regression; what can't be computed is None.

    Parameters
    ----------
    summary : sums of the window
    previous : sums of the equally long window just before; its signs sharpen the lower bound
    alpha : how often the lower bound may exceed the truth, in (0, 1)

    """
    cells = summary.pit()
    counts = quantiles.pit_bins(cells[:, 0])
    return {
        "direction": quantiles.direction(cells[:, 0]),
        "quantile_ece": quantiles.quantile_ece(counts),
        "quantile_ece_null_mean": quantiles.quantile_ece_null_mean(counts),
        "quantile_ece_lower_bound": lower_bound(summary, previous, alpha=alpha),
        **_amounts(summary, float(counts.sum())),
        "pit": [int(count) for count in counts],
        "coverage": _held(summary, "interval"),
        "quantiles": _held(summary, "quantile"),
    }


def lower_bound(summary: Summary, previous: Summary | None, *, alpha: float) -> float | None:
    """Return a lower bound of the quantile calibration error, 0 where nothing was found, None without labels for it."""
    before = None if previous is None else previous.pit()
    found = quantiles.quantile_ece_lower_bound(summary.pit(), before, alpha=alpha)
    return None if found is None else max(found, 0.0)


def _amounts(summary: Summary, count: float) -> dict[str, float | None]:
    means = {name: summary.amount(name) / count if count else None for name in ("crps", "error", "absolute_error")}
    normal_only = count > 0 and not summary.stated("quantile").any()
    return {
        "crps": means["crps"],
        "bias": means["error"],
        "mean_absolute_error": means["absolute_error"],
        "mean_squared_z": summary.amount("squared_z") / count if normal_only else None,
    }


def _held(summary: Summary, kind: str) -> list[dict[str, float]]:
    return [
        {"level": each.level, "observed": each.observed, "low": each.low, "high": each.high}
        for each in quantiles.held(summary.stated(kind))
    ]
