"""Identity: the calibrator that changes nothing, which every other one has to beat."""

from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike

from .distribution_rows import distributions, rows_to_fit
from .estimator import Calibrator
from .rows import confidences, log_scores, softmax_rows, vectors


class Identity(Calibrator):
    """Return the probabilities as they are.

    Parameters
    ----------
    task : `binary`, `confidence`, `multiclass` or `regression`
    logits : X holds logits instead of probabilities (multiclass only)

    """

    method: ClassVar[str] = "identity"
    learns: ClassVar[bool] = False

    def __init__(self, *, task: str = "binary", logits: bool = False) -> None:
        self.task = task
        self.logits = logits

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:  # noqa: N803
        """Check the rows as every family does; there is nothing to learn."""
        if self.task == "regression":
            rows_to_fit(X, y, sample_weight, None)
        else:
            self._rows(X, y, sample_weight)
        return self

    def predict_proba(self, X: ArrayLike) -> Any:  # noqa: N803
        """Return X, shape (n,) or (n, K), or the softmax of logits; of a regression its distributions, shape (n,)."""
        if self.task == "regression":
            return distributions(X)
        if self.task != "multiclass":
            return confidences(X)
        return softmax_rows(log_scores(X, logits=True)) if self.logits else vectors(X)

    def _parameters(self) -> dict[str, Any]:
        return {}

    def _restore(self, parameters: dict[str, Any]) -> None:
        """Do nothing: there is nothing to learn."""
