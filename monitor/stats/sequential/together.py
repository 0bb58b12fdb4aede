"""Sequential tests of several streams, such as a model's segments, advanced side by side: their cost hardly grows with their number."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..cells import Integers
from .at_least import LowerBounds
from .betting import Entries
from .evidence import Evidence
from .ledger import Ledger


def advanced_together(
    tests: Sequence[Evidence], steps: Sequence[Entries], *, threshold: float
) -> tuple[list[Evidence], Integers]:
    """Return the states of several streams after steps that they take together, and which of them had labels.

    Each is the state that `Evidence.advanced` gives step by step, without lower bounds of the ECE.

    Parameters
    ----------
    tests : states before; shape (rows,)
    steps : sums of labelled events without a cluster, in the order of time; one row a stream
    threshold : δ of the null "ECE <= δ"

    Returns
    -------
    the states, and the number of labels per step and stream, shape (steps, rows)

    Raises
    ------
    ValueError
        when earlier steps were of regression.

    """
    if any(test.kind == "pit" for test in tests):
        raise ValueError("a step is of cells; the evidence so far is of pit")
    ledger, labels = Ledger.stacked([test.ledger for test in tests]), np.zeros((len(steps), len(tests)), dtype=np.int64)
    for number, entries in enumerate(steps):
        labels[number] = np.rint(np.bincount(entries.row, entries.n, entries.rows))
        ledger = ledger.advanced(entries, threshold)
    total = labels.sum(axis=0)
    after = [
        replace(
            test,
            kind="cells",
            ledger=ledger.row(number),
            at_least=LowerBounds.begin(),
            labels=test.labels + int(total[number]),
        )
        if total[number]
        else test
        for number, test in enumerate(tests)
    ]
    return after, labels
