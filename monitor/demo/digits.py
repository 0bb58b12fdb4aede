"""A neural network that reads scikit-learn's handwritten digits, and scans that make them harder to read."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier

CLASSES: Final = tuple("0123456789")
BRIGHTEST: Final = 16.0
COPIES: Final = 3
"""Scans of each training image."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Digits:
    """Images and their digits."""

    images: Floats  # (n, 8, 8), from 0 (paper) to 1 (ink)
    truth: NDArray[np.int64]  # (n,), the digits

    def draw(self, count: int, rng: np.random.Generator) -> "Digits":
        """Return images drawn at random, each a new scan: slightly turned, shifted and grainy."""
        chosen = rng.integers(len(self.truth), size=count)
        return Digits(_scanned(self.images[chosen], rng, turn=4.0, shift=0.15, grain=0.06), self.truth[chosen])

    def degraded(self, rng: np.random.Generator) -> "Digits":
        """Return the scans of a failing scanner: turned by up to 28 degrees, blurred and noisy."""
        return Digits(_scanned(self.images, rng, turn=14.0, blur=0.4, grain=0.22), self.truth)


def _scanned(
    images: Floats, rng: np.random.Generator, *, turn: float, shift: float = 0.0, blur: float = 0.0, grain: float
) -> Floats:
    """Return images turned by normal angles (at most two deviations), shifted, blurred, with noise added."""
    angles = np.clip(rng.normal(0.0, turn, len(images)), -2.0 * turn, 2.0 * turn)
    turned = [ndimage.rotate(image, angle, reshape=False, order=1) for image, angle in zip(images, angles, strict=True)]
    if shift:
        turned = [ndimage.shift(image, rng.normal(0.0, shift, 2), order=1) for image in turned]
    blurred = np.array([ndimage.gaussian_filter(image, blur) for image in turned] if blur else turned)
    return np.clip(blurred + rng.normal(0.0, grain, blurred.shape), 0.0, 1.0)


def split(rng: np.random.Generator) -> tuple[Digits, Digits, Digits]:
    """Return the 1,797 digits in three disjoint parts: to train on, to calibrate on, to be served."""
    everything = load_digits()
    images, truth = everything.images / BRIGHTEST, everything.target.astype(np.int64)
    order = rng.permutation(len(truth))
    train, held_out, served = np.split(order, [800, 1100])
    return (
        Digits(images[train], truth[train]),
        Digits(images[held_out], truth[held_out]),
        Digits(images[served], truth[served]),
    )


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network calibrated on held-out images before its release."""

    model: Any

    @classmethod
    def trained(cls, train: Digits, held_out: Digits, rng: np.random.Generator) -> "Classifier":
        """Return a network trained on one part and calibrated on another."""
        seen, kept = train.draw(COPIES * len(train.truth), rng), held_out.draw(10 * len(held_out.truth), rng)
        network = MLPClassifier((64,), max_iter=300, early_stopping=True, n_iter_no_change=15, random_state=0)
        network.fit(_rows(seen.images), seen.truth)
        calibrated = CalibratedClassifierCV(FrozenEstimator(network), method="temperature")
        return cls(calibrated.fit(_rows(kept.images), kept.truth))

    def probabilities(self, images: Floats) -> Floats:
        """Return P(digit) of each image; shape (n, 10)."""
        return np.asarray(self.model.predict_proba(_rows(images)), dtype=np.float64)


def _rows(images: Floats) -> Floats:
    return images.reshape(len(images), -1)
