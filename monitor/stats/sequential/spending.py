"""The false-alarm rate of a model, spent over its sequential tests.

Half goes to the tests of whole versions, half to those of segments and classes. Within a half the k-th test that starts, for whatever
reason, gets alpha/(2k(k + 1)), whatever came of those before it. All levels together are alpha, however many tests there will be, so
by Ville's inequality and the union bound P(any of them ever raises a false alarm) <= alpha.
"""


def level(start: int, alpha: float) -> float:
    """Return the level of the k-th test that starts within a half of a model's tests: alpha/(2k(k + 1)).

    Parameters
    ----------
    start : k, from 1
    alpha : false-alarm rate of the model

    Raises
    ------
    ValueError
        when k is under 1.

    Examples
    --------
    >>> [round(1 / level(start, 0.01)) for start in (1, 2, 3, 10)]
    [400, 1200, 2400, 22000]
    >>> round(2 * sum(level(start, 0.01) for start in range(1, 100_000)), 5)
    0.01

    """
    if start < 1:
        raise ValueError(f"tests are counted from 1, not {start}")
    return alpha / (2 * start * (start + 1))


def spent(starts: int, alpha: float) -> float:
    """Return the sum of the levels of all tests that have started within a half: alpha/2·k/(k + 1).

    Parameters
    ----------
    starts : number of these tests, k
    alpha : false-alarm rate of the model

    Examples
    --------
    >>> spent(0, 0.01), round(spent(3, 0.01), 6), round(sum(level(start, 0.01) for start in (1, 2, 3)), 6)
    (0.0, 0.00375, 0.00375)

    """
    return alpha / 2 * starts / (starts + 1)
