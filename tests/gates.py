"""The gate's evidence, of the kind that a test expects."""

from monitor.store.calibrators import Gate, RefusedGate


def passing(gate: Gate | RefusedGate | None) -> Gate:
    """Return the evidence for a candidate that passed."""
    assert isinstance(gate, Gate)
    return gate


def refusing(gate: Gate | RefusedGate | None) -> RefusedGate:
    """Return the evidence against all candidates."""
    assert isinstance(gate, RefusedGate)
    return gate
