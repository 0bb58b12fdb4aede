"""Estimator of distributions: what the families of regressions have in common beyond what all families have."""

from collections.abc import Sequence

from numpy.typing import ArrayLike

from .distribution_rows import Objects, distributions, objects
from .distributions import compile_distribution
from .estimator import Calibrator


class DistributionCalibrator(Calibrator):
    """A family that is fitted on predictive distributions and gives such, by the code that serves its document."""

    def __init__(self, *, task: str = "regression", levels: Sequence[float] | None = None) -> None:
        self.task = task
        self.levels = levels

    def predict_proba(self, X: ArrayLike | Objects) -> Objects:  # type: ignore[override]  # noqa: N803  distributions, not probabilities
        """Return calibrated distributions, shape (n,)."""
        self.check_fitted()
        apply = compile_distribution(self.to_document())
        return objects(map(apply, distributions(X, self.levels)))
