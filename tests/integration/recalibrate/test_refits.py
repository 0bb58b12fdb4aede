"""Refits on what is stored: declared segments, trusted sources of labels, guards, and calibrators fitted elsewhere."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

from monitor.domain.events import LabelEvent, PredictionEvent
from monitor.domain.settings import Model
from monitor.domain.times import HOUR, MINUTE, moment
from monitor.recalibrate import manual
from monitor.recalibrate.manual import Asked
from monitor.recalibrate.outcomes import Refitted, Refused
from monitor.runtime.stages import run_stages
from monitor.store import audit, versions
from monitor.windows import samples
from monitor.windows.clock import clocked
from monitor.windows.samples import Sample, Segments, held_out_segments, raw_sample
from tests.gates import passing, refusing

Named = Callable[[int], dict[str, Any]]

BROKEN = 0.4


class Traffic:
    """Labelled predictions of a binary model, spread over the last hour."""

    def __init__(self, feed: Any, clock: Any, **declared: Any) -> None:
        self.feed, self.clock = feed, clock
        self.model: Model = feed.model(**{"label_delay": 0, "windows": ("24h",), **declared})
        self.random = np.random.default_rng(3)
        self.sent = 0

    def send(
        self,
        count: int,
        *,
        slope: float = BROKEN,
        predicted: Named = lambda _: {},
        labelled: Named = lambda _: {},
        spread: float = 1.0,
        before: timedelta = timedelta(),
    ) -> None:
        """Send predictions and their labels; the power that scores are raised to is `spread`."""
        raw = np.clip(self.random.uniform(size=count) ** spread, 0.005, 0.995)
        right = self.random.uniform(size=count) < expit(slope * logit(raw))
        scored = list(zip(raw.tolist(), right.tolist(), strict=True))
        self.feed.take(*self._events(scored, predicted, labelled, moment(self.clock() - HOUR) - before))

    def _events(
        self, scored: list[tuple[float, bool]], predicted: Named, labelled: Named, start: datetime
    ) -> Iterator[PredictionEvent | LabelEvent]:
        for i, (p, y) in enumerate(scored):
            self.sent += 1
            name, at = f"e{self.sent}", start + i * timedelta(hours=1) / len(scored)
            yield PredictionEvent(event_id=name, model="m", timestamp=at, **{"probability": p, **predicted(i)})
            yield LabelEvent(event_id=name, model="m", timestamp=at, **{"label": int(y), **labelled(i)})

    @property
    def over(self) -> tuple[int, int]:
        return self.clock() - HOUR, self.clock()

    def sample(self) -> Sample:
        with self.feed.database.read() as connection:
            state = clocked(connection, self.model, self.clock())
            return raw_sample(connection, state, *self.over, lambda key: key.segment == "")

    def segments(self, *, version: str | None = None, holdout: float = 0.3) -> Segments:
        with self.feed.database.read() as connection:
            state = clocked(connection, self.model, self.clock())
            return held_out_segments(
                connection, state, self.sample(), holdout=holdout, end=self.over[1], version=version
            )

    def refit(self, **asked: Any) -> Refitted | Refused:
        return manual.refit_now(self.feed.database, "m", Asked(**asked), actor="ann", now=self.clock())

    def aliases(self) -> dict[str, int | None]:
        with self.feed.database.read() as connection:
            return {name: each.number for name, each in versions.aliases(connection, self.model.id).items()}


@pytest.fixture
def traffic(feed: Any, clock: Any) -> Callable[..., Traffic]:
    return lambda **declared: Traffic(feed, clock, **declared)


@pytest.fixture
def sqlite_traffic(sqlite_database: Any, clock: Any, feed_on: Any) -> Callable[..., Traffic]:
    return lambda **declared: Traffic(feed_on(sqlite_database), clock, **declared)


def in_country(name: str) -> Named:
    return lambda _: {"segments": {"country": name}}


# Segments


def test_a_repair_that_harms_a_declared_segment_is_refused_by_hand(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic(segments=("country",))
    one.send(1_800, predicted=in_country("DE"))
    one.send(600, predicted=in_country("NL"), slope=1.3)
    refused = one.refit()
    assert refused.number is None
    assert "worse in segment country:NL" in refused.reason
    found = refusing(refused.gate).judged["temperature"].segments
    assert found["country:DE"]["log_loss_gain"] > 0 > found["country:NL"]["log_loss_gain_upper_bound"]
    assert found["country:NL"]["rows"] == pytest.approx(180, abs=10)


def test_a_repair_that_harms_a_declared_segment_is_refused_in_the_loop(
    sqlite_traffic: Callable[..., Traffic],
) -> None:
    one = sqlite_traffic(
        segments=("country",),
        recalibration="auto",
        minimum_labels=100,
        alert_policy="window",
        thresholds={"ece": 0.02, "psi": 0.2},
    )
    one.send(1_800, predicted=in_country("DE"))
    one.send(600, predicted=in_country("NL"), slope=1.3)
    run_stages(one.feed.database, one.feed.token, now=one.clock, notify=False)
    with one.feed.database.read() as connection:
        entries = audit.entries(connection, one.model.id)
    assert [each.action for each in entries] == ["refuse"]
    assert "worse in segment country:NL" in entries[0].detail.reason


@pytest.mark.parametrize("sources", [None, ("audit",)], ids=["cells", "rows"])
def test_held_out_segments_are_those_of_the_rows(
    traffic: Callable[..., Traffic], sources: tuple[str, ...] | None
) -> None:
    one = traffic(segments=("country", "country,device"), trusted_sources=sources)

    def predicted(i: int) -> dict[str, Any]:
        named = {"country": ("DE", "NL", "MT")[i % 3], "device": ("a", "b")[i % 2], "plan": "x"}
        return {"segments": named, "model_version": ("v1", "v2")[i // 5 % 2]}

    one.send(600, predicted=predicted, labelled=lambda _: {"source": "audit"})
    first = one.sample().cut(0.3)
    found = one.segments()
    assert set(found.samples) == {
        *(f"country:{c}" for c in ("DE", "NL", "MT")),
        *(f"country,device:{c},{d}" for c in ("DE", "NL", "MT") for d in "ab"),
    }
    whole = one.sample().since(first)
    of_country = [found.samples[f"country:{c}"] for c in ("DE", "NL", "MT")]
    assert sum(each.labels for each in of_country) == whole.labels
    assert sum(float(each.weight @ each.x) for each in of_country) == pytest.approx(whole.weight @ whole.x, abs=1e-6)
    assert sum(each.right for each in of_country) == whole.right
    of_version = one.segments(version="v1").samples.values()
    assert sum(each.labels for each in of_version) == pytest.approx(whole.labels, abs=20)  # each in two, half of them
    assert one.segments(holdout=0.0) == Segments()


def test_segments_beyond_the_largest_are_named_as_left_out(
    sqlite_traffic: Callable[..., Traffic], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MOST_SEGMENTS", 2)
    one = sqlite_traffic(segments=("country",))
    one.send(400, predicted=lambda i: {"segments": {"country": "AAAABBBCCD"[i % 10]}})
    found = one.segments()
    assert set(found.samples) == {"country:A", "country:B"}
    assert found.left_out == {"country:C": 24, "country:D": 12}


def test_segments_take_nothing_that_a_calibrator_made(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic(segments=("country",))

    def served(i: int) -> dict[str, Any]:
        raw = {"raw_probability": 0.25} if i % 2 else {}
        return {"segments": {"country": "DE"}, "probability": 0.9, "calibrator_version": 1, **raw}

    one.send(200, predicted=served)
    held_out = one.segments().samples["country:DE"]
    assert set(held_out.x.tolist()) == {0.25}
    assert held_out.labels == 30


# Trusted sources


def audited(i: int) -> dict[str, Any]:
    """Every third label comes from a desk that always says no; the others are an auditor's."""
    return {"source": "desk", "label": 0} if i % 3 == 0 else {"source": "audit"}


def test_labels_of_other_sources_neither_judge_nor_are_fitted_on(traffic: Callable[..., Traffic]) -> None:
    one = traffic(trusted_sources=("audit",), recalibration="auto")
    one.send(1_500, labelled=audited)
    rows = one.sample()
    assert rows.trusted is not None
    assert (rows.labels, rows.judging.labels) == (1_500, 1_000)
    assert rows.part(~rows.trusted).right == 0
    made = one.refit(method="temperature")
    assert made.promoted
    assert made.fitted_from.labels + made.fitted_from.holdout_labels == 1_000
    assert made.parameters["temperature"] == pytest.approx(1 / BROKEN, rel=0.35)


def test_without_a_trusted_source_wrong_labels_decide(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic(recalibration="auto")
    one.send(1_500, labelled=audited, slope=1.0)
    blind = one.refit()
    assert blind.promoted  # a calibrated model is "repaired" to say that hardly anything comes true
    one.feed.model(label_delay=0, windows=("24h",), recalibration="auto", trusted_sources=("audit",))
    told = one.refit()
    assert not told.promoted


def test_too_few_trusted_labels_are_refused(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic(trusted_sources=("audit", "lab"))
    one.send(600, labelled=lambda i: {"source": "audit"} if i % 10 == 0 else {})
    assert one.refit().reason == (
        "60 of 600 labels are from trusted sources (audit, lab), which alone judge; at least 167 are needed to hold out 50"
    )


def test_rows_read_for_trusted_labels_say_what_sums_say(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic()
    one.send(300, predicted=lambda i: {"raw_probability": 0.001 * i, "calibrator_version": 1} if i % 2 else {})
    sums = one.sample()
    one.model = one.feed.model(label_delay=0, windows=("24h",), trusted_sources=("audit",))
    rows = one.sample()
    assert (rows.labels, rows.right) == (sums.labels, sums.right) == (300, rows.right)
    assert rows.weight @ rows.x == pytest.approx(sums.weight @ sums.x, abs=1e-6)
    assert rows.weight @ (rows.x * rows.y) == pytest.approx(sums.weight @ (sums.x * sums.y), abs=1e-6)
    assert sorted({at // MINUTE * MINUTE for at in rows.at.tolist()}) == sorted(set(sums.at.tolist()))


# Guards


def test_a_promotion_that_a_guard_holds_waits_for_a_person(sqlite_traffic: Callable[..., Traffic]) -> None:
    one = sqlite_traffic(recalibration="auto")
    one.send(1_400, before=timedelta(hours=1))
    one.send(700, spread=0.2)  # later scores are higher, and so is the share of labels 1
    made = one.refit(start="2026-01-05T10:00:00Z")
    assert (made.number, made.promoted) == (1, False)
    assert "A person must decide: the share of labels that say 1 jumped from" in made.reason
    assert str(passing(made.gate).held) in made.reason
    assert one.aliases() == {"challenger": 1}


# Fitted elsewhere


def test_a_calibrator_fitted_elsewhere_is_registered_if_it_passes(traffic: Callable[..., Traffic]) -> None:
    one = traffic(recalibration="auto")
    one.send(1_500)
    bad = {"method": "platt", "task": "binary", "parameters": {"slope": 2.0, "intercept": 0.0}}
    refused = one.refit(document=bad)
    assert refused.number is None
    assert refused.reason.startswith("platt: no better than no calibrator on 450 held-out labels")
    good = {"method": "platt", "task": "binary", "parameters": {"slope": BROKEN, "intercept": 0.0}}
    made = one.refit(document=good)
    assert isinstance(made, Refitted)
    assert (made.number, made.promoted, made.parameters) == (1, True, good["parameters"])
    assert made.fitted_from.registered is True
    assert made.fitted_from.holdout_labels == 450
