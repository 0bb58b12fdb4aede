"""Detectors of other packages, as `peer_answers` runs them: this imports nothing of ours.

Each function takes the confidences and outcomes of one stream, and the place of the stream among all, and returns after how many labels
the package alarms first; None if it does not. Settings that are not given are the package's own.
"""

from importlib.metadata import version

import numpy as np

BATCH = 250


def probcal(p, y, _place):
    """Watch whole batches, as its documentation says."""
    from probcal.monitor import CalibrationMonitor  # noqa: PLC0415  only where it is asked for

    monitor = CalibrationMonitor()
    for first in range(0, len(p), BATCH):
        if monitor.update(y[first : first + BATCH], p[first : first + BATCH]).alarm:
            return first + BATCH
    return None


def adwin(p, y, _place):
    """Watch the Brier score, label by label."""
    from river.drift import ADWIN  # noqa: PLC0415

    return first_drift(ADWIN(), p, y)


def page_hinkley(p, y, _place):
    """Watch the Brier score, label by label."""
    from river.drift import PageHinkley  # noqa: PLC0415

    return first_drift(PageHinkley(), p, y)


def first_drift(detector, p, y):
    """Return after how many labels one of river's detectors finds a change in the Brier score."""
    for labels, score in enumerate(((p - y) ** 2).tolist(), start=1):
        detector.update(score)
        if detector.drift_detected:
            return labels
    return None


def pit_as_documented(p, y, place):
    """Watch F(y), which is what its documentation computes for counts too."""
    return first_pit(np.where(y == 1, 1.0, 1.0 - p), place)


def pit_randomised(p, y, place):
    """Watch a number drawn between F(y - 1) and F(y), uniform for calibrated confidences whatever their mix."""
    share = np.random.default_rng([7, place]).random(len(p))
    return first_pit(np.where(y == 1, 1.0 - p + share * p, share * (1.0 - p)), place)


def first_pit(values, place):
    """Return after how many labels PITMonitor alarms."""
    from insurance_monitoring import PITMonitor  # noqa: PLC0415

    alarm = PITMonitor(rng=place).update_many(values)
    return alarm.time if alarm.triggered else None


PEERS = {
    "probcal": (probcal, "probcal"),
    "adwin": (adwin, "river"),
    "page_hinkley": (page_hinkley, "river"),
    "pit_as_documented": (pit_as_documented, "insurance-monitoring"),
    "pit_randomised": (pit_randomised, "insurance-monitoring"),
}


def answer(name, p, y):
    """Return when each stream alarms first, and the package's version."""
    detector, package = PEERS[name]
    alarms = [detector(*stream, place) for place, stream in enumerate(zip(p, y, strict=True))]
    return {"at": alarms, "version": f"{package} {version(package)}"}
