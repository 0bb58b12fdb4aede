"""Values that are no probabilities: where they are summed, how they are read, and what that mends."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaln, expit
from scipy.stats import betabinom

from monitor.stats import entries as of
from monitor.stats.entries import Scored, binary_losses
from monitor.stats.reliability import bins_of, ece
from monitor.stats.scores import brier
from monitor.stats.summary import VALUES, Summary, encode, gather, value_slot
from monitor.stats.values import (
    LARGEST_LOG,
    SCORE_VALUES,
    SHARES,
    UNREAD,
    Reading,
    agreement_place,
    agreement_probabilities,
    beta_binomial,
    has_scores,
    of_labelled_values,
    of_values,
    read,
    score_place,
    score_probabilities,
    thousandth,
    value_bins,
)
from monitor.windows.value_maps import cells_of, reader

SUMS = ("n", "sy", "sp", "spp", "spy", "en", "esp", "hn", "hsy", "hsp")
LOSSES = ("log_loss", "clipped", "brier", "spiegelhalter_numerator", "spiegelhalter_denominator")


def summed(*parts):
    """Return the summary of entries, all in one bucket, through its bytes."""
    _, slots, values = of.joined([part for part in parts if len(part[0])])
    _, slots, values = gather(np.zeros_like(slots), slots, values)
    return Summary.of([encode(slots, values)])


def arrived(kinds, p):
    return of.of_arrivals(range(len(p)), kinds, p)


def outcomes(kinds, p, y, half):
    scored = [
        Scored(i, half[i], kinds[i], p[i], y[i], *binary_losses(p[i], y[i])) for i in range(len(p)) if y[i] is not None
    ]
    return of.of_outcomes(scored)


def with_values(values, p, y, half):
    """Return the summary of events that have a value and, unless p is None, a confidence of kind both."""
    known = [i for i in range(len(values)) if y[i] is not None]
    parts = [
        of.of_counts(list(range(len(values))), "events"),
        of.of_counts(known, "labels"),
        of_values(range(len(values)), values),
        of_labelled_values(known, [values[i] for i in known], [y[i] for i in known], [half[i] for i in known]),
    ]
    if p is not None:
        kinds = ["both"] * len(p)
        parts += [arrived(kinds, p), outcomes(kinds, p, y, half)]
    return summed(*parts)


def equal(one, other):
    """Check that two summaries say the same, to the last bit."""
    for scores in ("served", "raw"):
        for name in SUMS:
            assert getattr(one.cells(scores), name).tolist() == getattr(other.cells(scores), name).tolist(), name
        for name in LOSSES:
            assert one.loss(scores, name) == other.loss(scores, name), name
    assert (one.events, one.labels) == (other.events, other.labels)


def test_every_share_has_a_place_of_its_own():
    places = [agreement_place(k, m) for m in range(1, 51) for k in range(m + 1)]
    assert places == list(range(VALUES["agreement"]))
    assert SHARES.tolist() == [k / m for m in range(1, 51) for k in range(m + 1)]


@pytest.mark.parametrize(("agreeing", "samples"), [(0, 0), (1, 51), (-1, 3), (4, 3)])
def test_a_share_without_a_place_is_refused(agreeing, samples):
    with pytest.raises(ValueError, match="agree"):
        agreement_place(agreeing, samples)


@given(st.floats(-(2.0**30), 2.0**30))
def test_the_place_of_a_score_stands_for_it_to_a_thirtieth(score):
    value = SCORE_VALUES[score_place(score)]
    assert value == pytest.approx(score, rel=1 / 32 + 1e-12, abs=2.0**-32)


def test_places_of_scores_are_in_order_and_stand_for_their_middles():
    assert (np.diff(SCORE_VALUES) > 0).all()
    assert [score_place(value) for value in SCORE_VALUES.tolist()] == list(range(VALUES["score"]))
    assert SCORE_VALUES.tolist() == (-SCORE_VALUES[::-1]).tolist()


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=2))
def test_a_higher_score_never_has_a_lower_place(pair):
    low, high = sorted(pair)
    assert score_place(low) <= score_place(high)


def test_a_verbalised_value_goes_to_the_nearest_thousandth():
    assert [thousandth(p) for p in (0.0, 0.0004, 0.85, 0.8504, 0.9996, 1.0)] == [0, 0, 850, 850, 1000, 1000]


EVENTS = st.lists(
    st.tuples(st.integers(1, 7), st.integers(0, 7), st.sampled_from([None, 0, 1]), st.booleans()),
    min_size=1,
    max_size=40,
).map(lambda rows: [(m, min(k, m), y, half) for m, k, y, half in rows])


@given(EVENTS, st.floats(0.05, 50), st.floats(0.05, 50))
def test_read_shares_are_to_the_last_bit_the_sums_of_what_they_are_read_as(events, a, b):
    shares = [k / m for m, k, _, _ in events]
    y, half = [each[2] for each in events], [each[3] for each in events]
    places = [agreement_place(k, m) for m, k, _, _ in events]
    mapped = agreement_probabilities(a, b)[places].tolist()
    stored = with_values([("agreement", place) for place in places], shares, y, half)
    served, raw = ["served"] * len(events), ["raw"] * len(events)
    expected = summed(
        of.of_counts(list(range(len(events))), "events"),
        of.of_counts([i for i in range(len(events)) if y[i] is not None], "labels"),
        arrived(served, mapped), outcomes(served, mapped, y, half),
        arrived(raw, shares), outcomes(raw, shares, y, half),
    )  # fmt: skip
    equal(read(stored, Reading(agreement=(a, b))), expected)


@given(EVENTS)
def test_what_is_read_of_sums_is_the_sum_of_what_is_read(events):
    reading = Reading(agreement=(2.0, 1.0), score=(0.5, -1.0, -9.0, 9.0))
    parts = []
    for family in ("agreement", "score"):
        values = [
            (family, agreement_place(k, m) if family == "agreement" else score_place(k - m)) for m, k, _, _ in events
        ]
        shares = [k / m for m, k, _, _ in events] if family == "agreement" else None
        parts.append(with_values(values, shares, [e[2] for e in events], [e[3] for e in events]))
    equal(read(parts[0] + parts[1], reading), read(parts[0], reading) + read(parts[1], reading))


def test_values_without_a_map_are_not_served():
    stored = with_values([("agreement", agreement_place(2, 3))] * 4, [2 / 3] * 4, [1, 0, 1, None], [True] * 4)
    found = read(stored, UNREAD)
    assert found.cells("served").en.sum() == 0
    assert found.loss("served", "brier") == 0
    assert found.cells("raw").en.sum() == 4
    assert (found.events, found.labels) == (4, 3)


def test_confidences_beside_values_stay_as_they_are():
    agreeing = with_values([("agreement", agreement_place(2, 3))] * 3, [2 / 3] * 3, [1, 0, 1], [True] * 3)
    stated = with_values([("verbalized", 850)] * 2, [0.85] * 2, [1, 0], [False, True])
    found = read(agreeing + stated, Reading(agreement=(4.0, 2.0))).cells("served")
    assert found.n.sum() == 5
    assert found.sp.sum() == pytest.approx(3 * 6 / 9 + 2 * 0.85, abs=1e-8)


def test_scores_are_read_only_where_they_did_not_make_the_map():
    first, later = (with_values([("score", score_place(s))] * 2, None, [1, 0], [True, False]) for s in (-1.0, 2.0))
    reading = Reading(score=(1.0, 0.0, -9.0, 9.0), score_from=100)
    cells = read(first + later, reading, later).cells("served")
    middle = SCORE_VALUES[score_place(2.0)]
    assert (cells.n.sum(), cells.en.sum()) == (2, 2)
    assert cells.sp.sum() == pytest.approx(2 * expit(middle), abs=1e-8)
    assert reading.at(99).score is None
    assert reading.at(100) == reading
    assert cells_of(first, "served", reading.at(0)).n.sum() == 0
    assert reader(reading)(later, 100).n.sum() == 2
    assert reader(reading)(later, 99).n.sum() == reader(reading)(later, None).n.sum() == 0


def test_a_score_out_of_bounds_is_read_as_the_bound():
    p = score_probabilities(1.0, 0.0, -2.0, 3.0)
    assert p[score_place(-9999.0)] == expit(-2.0)
    assert p[score_place(9999.0)] == expit(3.0)
    assert p[score_place(1.0)] == pytest.approx(expit(1.0), abs=0.01)


def test_scores_have_no_raw_probability():
    stored = with_values([("score", 5)] * 3, None, [1, 0, 1], [True] * 3)
    assert has_scores(stored)
    assert read(stored, Reading(score=(1.0, 0.0, -9.0, 9.0))).cells("raw").en.sum() == 0


def honest(samples, events, seed=7, a=4.0, b=2.0):
    """Return how many answers agree, and whether the answer is right, where each answer is right as often as it agrees."""
    rng = np.random.default_rng(seed)
    rate = rng.beta(a, b, events)
    return rng.binomial(samples, rate), (rng.uniform(size=events) < rate).astype(int)


def noise_of(samples, a=4.0, b=2.0):
    """Return the ECE of the shares of an honest model: their distance from what they mean, Σ P(k)·abs(k/m - (k + a)/(m + a + b))."""
    k = np.arange(samples + 1)
    return float(betabinom.pmf(k, samples, a, b) @ np.abs(k / samples - (k + a) / (samples + a + b)))


def test_three_answers_have_an_ece_of_a_sixth_by_noise_alone():
    assert noise_of(3) == pytest.approx(0.159, abs=5e-4)


@pytest.mark.parametrize("samples", [3, 5, 10])
def test_an_honest_model_is_miscalibrated_by_noise_alone_until_its_shares_are_read(samples):
    noise = noise_of(samples)
    k, y = honest(samples, 40_000)
    places = [agreement_place(each, samples) for each in k.tolist()]
    stored = with_values(
        [("agreement", place) for place in places], (k / samples).tolist(), y.tolist(), [False, True] * 20_000
    )
    fitted = beta_binomial(stored.values("agreement")[:, 2])
    found = read(stored, Reading(agreement=fitted))
    assert ece(bins_of(found.cells("raw"))) == pytest.approx(noise, abs=0.006)
    assert ece(bins_of(found.cells("served"))) < 0.01
    served, raw = brier(found.cells("served")), brier(found.cells("raw"))
    assert served < raw - 0.3 * noise**2


def test_shares_of_three_answers_are_off_by_about_two_hundredths_where_200_events_say_how_to_read_them():
    k, errors = np.arange(4), []
    for seed in range(50):
        dice = np.random.default_rng(seed)
        places = [agreement_place(each, 3) for each in dice.binomial(3, dice.beta(4, 2, 200)).tolist()]
        a, b = beta_binomial(np.bincount(places, minlength=1325))
        errors.append(betabinom.pmf(k, 3, 4, 2) @ np.abs((k + a) / (3 + a + b) - (k + 4) / 9))
    assert np.mean(errors) == pytest.approx(0.02, abs=0.006)


@pytest.mark.parametrize(("a", "b"), [(4.0, 2.0), (0.4, 0.3), (20.0, 5.0)])
def test_beta_binomial_is_the_most_likely_one(a, b):
    rng = np.random.default_rng(3)
    samples = rng.choice([3, 5, 8], size=3000)
    k = rng.binomial(samples, rng.beta(a, b, 3000))
    counts = np.bincount(
        [agreement_place(*pair) for pair in zip(k.tolist(), samples.tolist(), strict=True)], minlength=1325
    )
    found = beta_binomial(counts)

    def likelihood(one, other):
        return betabinom.logpmf(k, samples, one, other).sum()

    best = likelihood(*found)
    grid = np.exp(np.linspace(-0.3, 0.3, 13))
    others = [likelihood(found[0] * i, found[1] * j) for i in grid for j in grid]
    assert best >= max(others) - 0.1  # the weak prior costs less than a tenth of a unit
    assert likelihood(a, b) <= best + 0.1
    assert agreement_probabilities(*found)[agreement_place(3, 3)] == pytest.approx((3 + a) / (3 + a + b), abs=0.03)


@pytest.mark.parametrize(
    ("place", "low", "high"),
    [(agreement_place(5, 5), 0.99, 1.0), (agreement_place(0, 5), 0.0, 0.01), (agreement_place(3, 5), 0.55, 0.65),
     (agreement_place(1, 1), 0.99, 1.0)],
)  # fmt: skip
@pytest.mark.parametrize("events", [1, 300, 10**9])
def test_beta_binomial_has_an_answer_where_there_is_no_maximum(place, low, high, events):
    counts = np.zeros(1325)
    counts[place] = events
    a, b = beta_binomial(counts)
    assert all(math.exp(-LARGEST_LOG) * 0.999 <= each <= math.exp(LARGEST_LOG) * 1.001 for each in (a, b))
    if events > 1:
        assert low <= agreement_probabilities(a, b)[place] <= high


def test_one_answer_each_is_read_by_a_prior_of_two():
    counts = np.zeros(1325)
    counts[[agreement_place(0, 1), agreement_place(1, 1)]] = 100, 300
    a, b = beta_binomial(counts)
    assert (a + b, a / (a + b)) == (pytest.approx(2.0, abs=1e-4), pytest.approx(0.75, abs=1e-4))


def test_beta_binomial_needs_events():
    with pytest.raises(ValueError, match="no events"):
        beta_binomial(np.zeros(1325))


def test_the_gradient_of_the_likelihood_is_the_right_one():
    k, _ = honest(4, 500)
    counts = np.bincount([agreement_place(each, 4) for each in k.tolist()], minlength=1325)
    a, b = beta_binomial(counts)
    tally = np.bincount(k, minlength=5)

    def likelihood(x, z):
        agree = np.arange(5)
        spread = math.log((x + z) / 2) / 3
        return tally @ (betaln(agree + x, 4 - agree + z) - betaln(x, z)) - spread**2 / 2

    for x, z in ((a * 1.01, b), (a / 1.01, b), (a, b * 1.01), (a, b / 1.01)):
        assert likelihood(x, z) < likelihood(a, b)


def verbalised(p, y):
    return with_values([("verbalized", thousandth(each)) for each in p], p, y, [i % 2 == 1 for i in range(len(p))])


def test_each_verbalised_value_is_a_bin():
    p, y = [0.5, 0.5, 0.5, 0.6, 0.5, 0.6, 0.6, 0.6, 0.6], [0, 1, 0, 1, 0, 1, 1, 1, 0]
    bins = value_bins(verbalised(p, y), "served")
    assert bins.lower.tolist() == bins.upper.tolist() == [0.5, 0.6]
    assert bins.n.tolist() == [4, 5]
    assert ece(bins) == pytest.approx(4 / 9 * 0.25 + 5 / 9 * 0.2)
    assert (bins.hn.tolist(), bins.hsy.tolist()) == ([1, 3], [1, 3])


def test_bins_of_another_window_are_the_same_ones():
    now = value_bins(verbalised([0.5, 0.85], [1, 0]), "served")
    before = value_bins(verbalised([0.85, 0.85, 0.9], [1, 0, 1]), "served", now)
    assert (before.upper.tolist(), before.n.tolist(), before.sy.tolist()) == ([0.5, 0.85], [0, 2], [0, 1])


def test_values_are_no_bins_where_other_confidences_are_among_them():
    other = summed(arrived(["both"], [0.7]), outcomes(["both"], [0.7], [1], [True]))
    assert value_bins(verbalised([0.5], [1]) + other, "served") is None


def test_many_values_are_no_bins():
    p = [i / 101 for i in range(102)]
    assert value_bins(verbalised(p[:-1], [1] * 101), "served") is not None
    assert value_bins(verbalised(p, [1] * 102), "served") is None


def test_a_value_slot_counts_what_it_says():
    stored = with_values([("verbalized", 850)] * 3, [0.85] * 3, [1, 0, None], [True, False, True])
    found = {name: stored.count(value_slot("verbalized", 850, name)) for name in ("n", "sy", "en", "hn", "hsy")}
    assert found == {"n": 2, "sy": 1, "en": 3, "hn": 1, "hsy": 1}
