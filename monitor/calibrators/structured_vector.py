"""Structured vector scaling: one temperature, from which classes depart as far as their labels warrant."""

from typing import Self

from .family import Family
from .multinomial import Lines, fit_lines, normal_logs, usable
from .numeric import ArrayLike
from .temperature import beta_of_vectors
from .vector import LINES, Vector, check


class StructuredVector(Vector):
    """Vector scaling held to one temperature: softmax(slopes ∘ log p + intercepts), slopes near 1/T and intercepts near 0.

    First 1/T is fitted, as temperature scaling does. Then, with x = log p / T, v and b of shape (K,) and n labels, the convex

        (1/n) Σ -log softmax((1 + v) ∘ x + b)_y + (K/n)·(Σ v² + Σ b²)

    is minimised by Newton's method; slopes are (1 + v)/T, and intercepts b, which sum to 0. Every departure from one temperature needs
    evidence, the more so the more classes there are: v and b have the prior standard deviation 1/√(2K). A class without labels keeps the
    common slope, and its intercept falls only as far as its share of the rows warrants.

    This is the ridge penalty of Berta, Holzmüller, Jordan and Bach with the strength that they recommend (all factors and exponents 1).
    Their x is log softmax(log p / T), which differs by a constant per row; without it the calibrator has the form of vector scaling.

    It can change which of two classes that are about as probable comes first, and with it the accuracy a little, either way.

    Parameters
    ----------
    task : `multiclass`
    logits : X holds logits instead of probabilities

    Attributes
    ----------
    slopes_, intercepts_ : arrays of shape (K,)
    class_names_ : names of the classes, where a document gave them; else None

    References
    ----------
    Berta, Holzmüller, Jordan, Bach 2025, doi:10.48550/arXiv.2511.03685 (there SVS, in the package probmetrics)

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> true = rng.dirichlet([1.0, 1.0, 1.0], size=1_000)
    >>> y = (rng.uniform(size=(1_000, 1)) > true.cumsum(axis=1)).sum(axis=1)
    >>> said = true ** 2 / (true ** 2).sum(axis=1, keepdims=True)
    >>> fitted = StructuredVector().fit(said, y)
    >>> bool(np.abs(fitted.predict_proba(said) - true).mean() < 0.02 < 0.09 < np.abs(said - true).mean())
    True

    """

    family = Family(
        method="structured_vector",
        sentence="a slope and an intercept for each class, held to one temperature",
        parameters="{slopes, intercepts, classes}, one per class",
        check=check,
        vectors=LINES,
        tried_from=1_000,
        per_class=True,
    )

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit slopes and intercepts.

        Parameters
        ----------
        X : array of shape (n, K), probabilities or logits
        y : array of shape (n,), labels 0 to K - 1
        sample_weight : array of shape (n,), weights of the rows; by default 1

        Raises
        ------
        ValueError
            for unusable rows.
        NotIdentified
            for labels that are all the same, no best temperature in [1e-3, 1e3], or a slope that is not positive.

        """
        scores, label, weight = self._rows(X, y, sample_weight)
        self.class_names_ = None
        labels, classes = weight.sum(), scores.shape[1]
        beta = beta_of_vectors(scores, label, weight)
        departed = fit_lines(
            beta * normal_logs(scores), label, weight / labels, start=1.0, ridge=float(classes / labels)
        )
        self.slopes_, self.intercepts_ = usable(Lines(beta * departed.slopes, departed.intercepts))
        return self
