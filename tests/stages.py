"""Stages by name, for tests that run one of them alone."""

from monitor.runtime.stages import Stage, stages


def stage(name: str) -> Stage:
    """Return a stage, which queues no notifications."""
    return next(one for one in stages(notify=False) if one.name == name)
