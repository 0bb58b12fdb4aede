"""The one group of labels that is off while all others are right."""

import numpy as np

from monitor.stats.odd_one_out import Labelled, odd_one_out

DICE = np.random.default_rng(1)
P = DICE.random(3000)
RIGHT = (DICE.random(3000) < P).astype(np.float64)
GROUP = np.arange(3000) % 3
GROUPS = {name: np.equal(GROUP, number) for number, name in enumerate("abc")}
WRONG = 1 - RIGHT


def found(outcome: np.ndarray, groups: dict[str, np.ndarray] = GROUPS) -> str | None:
    odd = odd_one_out(Labelled(stated=P, outcome=outcome), groups, 0.05)
    return None if odd is None else odd.name


def test_the_group_that_is_off_is_found() -> None:
    assert found(np.where(GROUP == 1, WRONG, RIGHT)) == "b"


def test_none_is_found_where_all_are_right_or_several_are_off() -> None:
    assert found(RIGHT) is None
    assert found(WRONG) is None
    assert found(np.where(GROUP == 1, RIGHT, WRONG)) is None


def test_a_group_of_few_labels_is_never_named() -> None:
    few = np.arange(3000) < 99
    assert found(np.where(few, WRONG, RIGHT), {"few": few}) is None
    assert found(np.where(few, RIGHT, WRONG), {"many": ~few}) is None


def test_distributions_are_held_against_one_another_by_their_levels() -> None:
    pits = np.where(GROUP == 2, np.clip(P * 0.5, 0, 1), P)
    odd = odd_one_out(Labelled(stated=pits, outcome=None), GROUPS, 0.05)
    assert odd is not None
    assert odd.name == "c"
    assert odd.others < 0.05
    assert odd.error > 0.15
