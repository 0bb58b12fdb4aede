"""Fits with other packages, as `peer_answers` runs them: this imports nothing of ours."""

import time

import numpy as np


def netcal_temperature(p, y):
    """Return the temperature; netcal's is what it multiplies with."""
    from netcal.scaling import TemperatureScaling  # noqa: PLC0415  only where it is asked for

    return [1.0 / float(TemperatureScaling().fit(p, y.astype(int)).temperature[0])]


def probmetrics_temperature(p, y):
    """Return the temperature, which it finds by bisection to the precision of 32 bits."""
    from probmetrics.calibrators import TemperatureScalingCalibrator  # noqa: PLC0415

    fitted = TemperatureScalingCalibrator()
    fitted.fit(p, y.astype(int))
    return [1.0 / float(fitted.invtemp_)]


def probmetrics_vector(p, y):
    """Return slopes and intercepts."""
    from probmetrics.calibrators import VectorScalingCalibrator  # noqa: PLC0415

    fitted = VectorScalingCalibrator()
    fitted.fit(p, y.astype(int))
    return [*(1.0 / fitted.temp_.numpy()), *fitted.bias_.numpy()]


def probmetrics_structured(p, y):
    """Return what it makes of its own rows: its form is not ours."""
    from probmetrics.calibrators import SVSCalibrator  # noqa: PLC0415

    fitted = SVSCalibrator(print_init_info=False)
    fitted.fit(p, y.astype(int))
    return [log_loss(fitted.predict_proba(p), y)]


def betacal_beta(p, y):
    """Return a, b and c."""
    from betacal import BetaCalibration  # noqa: PLC0415

    fitted = BetaCalibration("abm").fit(p, y)
    (a, b, _), c = fitted.calibrator_.map_, fitted.calibrator_.lr_.intercept_[0]
    return [a, b, c]


def sklearn_isotonic(p, y):
    """Return the distinct values of its steps."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415

    fitted = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    return sorted(set(fitted.y_thresholds_.tolist()))


def log_loss(p, y):
    """Return the mean log loss of vectors."""
    return float(-np.log(np.maximum(p[np.arange(len(y)), y.astype(int)], 1e-15)).mean())


PEERS = {
    fit.__name__: fit
    for fit in (
        netcal_temperature,
        probmetrics_temperature,
        probmetrics_vector,
        probmetrics_structured,
        betacal_beta,
        sklearn_isotonic,
    )
}


def answer(name, p, y):
    """Return how long a fit took and what it found."""
    began, work = time.perf_counter(), time.process_time()
    parameters = PEERS[name](p, y)
    took = {"seconds": time.perf_counter() - began, "work": time.process_time() - work}
    return {**took, "parameters": [float(parameter) for parameter in parameters]}
