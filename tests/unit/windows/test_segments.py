"""Segments ranked and flagged, from sums alone."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from monitor.domain.settings import Model, ModelSettings
from monitor.stats import entries as of
from monitor.stats.sequential.window import window_pit_e_value
from monitor.stats.summary import Summary
from monitor.windows.evaluation import Question
from monitor.windows.segments import MARGIN, declared, log_e_value, ranked
from tests.benchmarks.segments import CONFIDENCES, RATE, tally

SEEDS = 12
MODEL = Model(
    id=1, name="m", task="binary", classes=None, settings=ModelSettings(segments=("country",)), revision=1, created_at=0
)
WHOLE = Question(model=MODEL, version=None, segment="", start=0, end=10**9)


def summary(seed: int, off: float, count: int) -> Summary:
    """Return the sums of labelled events whose outcomes lie off their confidences."""
    dice = np.random.default_rng(seed)
    p = dice.uniform(0.3, 0.7, count)
    y = (dice.random(count) < p + off).astype(int).tolist()
    events = list(range(count))
    half = (dice.random(count) < 0.5).tolist()
    scored = [
        of.Scored(*each, *of.binary_losses(each[3], each[4]))
        for each in zip(events, half, ["both"] * count, p.tolist(), y, strict=True)
    ]
    parts = [of.of_counts(events, "events"), of.of_counts(events, "labels")]
    _, slots, values = of.joined([*parts, of.of_arrivals(events, ["both"] * count, p.tolist()), of.of_outcomes(scored)])
    return Summary.of_entries(slots, values)


@pytest.mark.parametrize("history", [False, True])
@pytest.mark.parametrize("name", list(CONFIDENCES))
def test_two_segments_that_cancel_are_found_and_few_others(name: str, history: bool) -> None:  # noqa: FBT001 - a case
    found = tally(name, MARGIN * 0.05, history=history, seeds=SEEDS)
    assert found.both >= binom.ppf(0.001, SEEDS, 0.95)
    assert found.unseen >= binom.ppf(0.001, SEEDS, 0.95)
    assert (
        found.discoveries <= binom.isf(0.001, SEEDS, RATE) / SEEDS / 3
    )  # one false flag beside two true ones is a third


def test_the_worst_come_first() -> None:
    now = {
        "country:calm": summary(1, 0.0, 2000),
        "country:some": summary(2, 0.15, 1500),
        "country:worst": summary(3, -0.25, 900),
        "country:none": Summary.of([]),
        "country:few": summary(4, 0.25, 5),
    }
    rows = ranked(WHOLE, now, {})
    assert [row.segment for row in rows][:2] == ["country:worst", "country:some"]
    assert [row.flagged for row in rows] == [True, True, False, False, False]
    assert rows[-1].segment == "country:none"
    bounds = [row.ece_lower_bound for row in rows[2:-1]]
    assert bounds == sorted(bounds, reverse=True)
    assert [getattr(rows[-1], name) for name in ("ece", "ece_lower_bound", "e_value_log", "labelled")] == [
        None,
        None,
        0.0,
        0,
    ]


def test_a_flag_takes_more_evidence_the_more_segments_there_are() -> None:
    evidence = {seed: log_e_value(MODEL, summary(seed, 0.12, 600), None) for seed in range(20)}
    seed, log_e = next(each for each in evidence.items() if np.log(100) < each[1] < np.log(100 * 40))
    off = {"country:off": summary(seed, 0.12, 600)}
    many = off | {f"country:{i}": summary(100 + i, 0.0, 50) for i in range(int(np.exp(log_e) / 100) + 1)}
    flags = [[row.flagged for row in ranked(WHOLE, now, {}) if row.segment == "country:off"] for now in (off, many)]
    assert flags == [[True], [False]]


def test_the_range_before_lends_its_signs() -> None:
    now, before = summary(1, 0.08, 800), summary(2, 0.08, 5000)
    assert log_e_value(MODEL, now, before) != log_e_value(MODEL, now, None)


def test_the_threshold_is_a_share_of_the_models() -> None:
    lax = replace(MODEL, settings=replace(MODEL.settings, thresholds={"ece": 0.5, "psi": 0.2}))
    off = summary(1, 0.15, 2000)
    assert log_e_value(MODEL, off, None) > 10
    assert log_e_value(lax, off, None) < 0


def test_a_segment_is_declared_by_its_name() -> None:
    settings = replace(MODEL.settings, segments=("country", "country,device"))
    model = replace(MODEL, settings=settings)
    names = [
        "",
        "country:DE",
        "country:a:b",
        "country,device:DE,phone",
        "device:phone",
        "countr:DE",
        "device,country:a,b",
    ]
    assert [declared(model, name) for name in names] == [False, True, True, True, False, False, False]


def test_evidence_about_a_regression_is_an_e_value() -> None:
    # Off by exactly the threshold, bets pay 1 on average at best; of a threshold far below that they pay more.
    dice = np.random.default_rng(3)
    share = np.repeat([0.07, 0.03], 10)
    off = float(np.abs(np.cumsum(share)[:-1] - np.arange(1, 20) / 20).mean())
    windows, before = dice.multinomial(60, share, 2000), dice.multinomial(5000, share)

    def least_mean(threshold: float, previous: np.ndarray | None) -> float:
        paid = np.exp([window_pit_e_value(each, previous, threshold=threshold) for each in windows])
        return float(paid.mean() - 4 * paid.std() / np.sqrt(len(paid)))

    for previous in (None, before):
        assert least_mean(off, previous) <= 1
        assert least_mean(0.001, previous) > 1


def test_evidence_about_a_regression_grows_with_its_labels() -> None:
    wide = np.repeat([10.0, 30.0, 10.0], [5, 10, 5])
    few, many = (window_pit_e_value(wide * times, None, threshold=0.02) for times in (1, 3))
    assert np.log(100) < few < many
    assert window_pit_e_value(wide * 0, wide, threshold=0.02) == 0.0
