"""What labels will show before they come: stored, later held against the truth, served, exported and thinned, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit

from monitor.api.metrics import CalibrationCollector
from monitor.domain.estimates import Estimated, EstimateMap, Inside, Truth
from monitor.domain.settings import Model
from monitor.domain.times import DAY, HOUR, MINUTE, moment, rfc3339
from monitor.evaluation.estimates import estimate_model
from monitor.recalibrate import registry
from monitor.store import estimates, models
from monitor.store.calibrators import Fitted, FittedFrom
from monitor.store.estimates import Estimate

PATH = "/v1/models/m/estimate"
WINDOWS = ("4h", "12h")
FIGURES = ("accuracy", "ece", "brier")

Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def calibrated(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return p


def overconfident(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(expit(logit(p) / 2.5))


def end_of(made: Estimate) -> int:
    """Return the end of the window that an estimate is of."""
    return made.over[1]


def some_estimate(version: str, end: int) -> Estimated:
    """Return what is expected of some four hours."""
    over = {"start": moment(end - 4 * HOUR), "end": moment(end)}
    figures = {f"{name}{bound}": 0.5 for name in FIGURES for bound in ("", "_low", "_high")}
    return Estimated(
        version=version, window="4h", predictions=480, map=EstimateMap(**over, labelled=480), **over, **figures
    )


NO_TRUTH = Truth(labelled=0, accuracy=None, ece=None, brier=None, inside=None)


class Served:
    """A model that serves by the hour, and whose labels come six hours later."""

    def __init__(self, feed: Any, clock: Any, make: Any, **declared: Any) -> None:
        settings = {"label_delay": 6 * HOUR, "windows": WINDOWS, "minimum_labels": 200}
        self.feed, self.clock, self.make = feed, clock, make
        self.model: Model = feed.model(**{**settings, **declared})
        self.random = np.random.default_rng(11)
        self.waiting: list[tuple[int, Any]] = []

    def history(self, count: int, **more: Any) -> None:
        """Have served for some hours, with all labels."""
        events = [event for _ in range(count) for pair in self.hour(**more) for event in pair]
        self.feed.take(*events)

    def hours(self, count: int, *, labelled: bool = True, judged: bool = True, **more: Any) -> None:
        """Serve for some hours, estimate after each; labels come five hours later, if they come."""
        for _ in range(count):
            served = self.hour(**more)
            now = self.clock()
            due = [event for when, event in self.waiting if when < now]
            self.waiting = [each for each in self.waiting if each[0] >= now]
            self.waiting += [(now + 5 * HOUR, label) for _, label in served if labelled]
            self.feed.take(*(event for event, _ in served), *due)
            if judged:
                self.run()

    def hour(self, *, per_hour: int = 120, right: Map = calibrated, **more: Any) -> list[tuple[Any, Any]]:
        """Let an hour pass; return its predictions with their labels."""
        p = self.random.uniform(0.02, 0.98, per_hour)
        outcome = self.random.random(per_hour) < right(p)
        names = [f"{self.random.integers(2**60)}" for _ in range(per_hour)]
        times = [moment(self.clock() + (i + 1) * HOUR // per_hour - 1) for i in range(per_hour)]
        self.clock.advance(timedelta(hours=1))
        return [
            (self.prediction(name, each, at=at, **more), self.make.label(name, bool(y)))
            for name, each, y, at in zip(names, p.tolist(), outcome, times, strict=True)
        ]

    def prediction(self, name: str, p: float, *, given: str = "probability", **more: Any) -> Any:
        answer = {} if given == "probability" else {"prediction": "a"}
        return self.make.prediction(name, **{given: p}, **answer, **more)

    def run(self) -> int:
        with self.feed.database.read() as connection:
            everyone = models.everyone(connection)
        return sum(estimate_model(self.feed.database, self.feed.token, model, self.clock()) for model in everyone)

    def rows(self, window: str | None = None) -> list[Estimate]:
        with self.feed.database.read() as connection:
            found = [estimates.past(connection, self.model.id, each, None, 1000) for each in WINDOWS]
        return [each for kept in found for each in kept if window in {None, each.window}]

    def promote(self) -> None:
        with self.feed.database.write() as connection:
            fitted = Fitted(method="platt", task="binary", parameters={"slope": 1.0, "intercept": 0.0})
            registry.register(
                connection, self.model, fitted, fitted_from=FittedFrom(), gate=None, actor="ann", now=self.clock()
            )
            progress = models.progress_of(connection, [self.model.id])[self.model.id]
            registry.promote(connection, self.model, 1, progress, actor="ann", now=self.clock(), reason="by hand")


@pytest.fixture
def serve(feed: Any, clock: Any, make: Any) -> Callable[..., Served]:
    return lambda **declared: Served(feed, clock, make, **declared)


@pytest.fixture
def sqlite_serve(feed_on: Any, sqlite_database: Any, clock: Any, make: Any) -> Callable[..., Served]:
    return lambda **declared: Served(feed_on(sqlite_database), clock, make, **declared)


def test_an_estimate_is_made_once_an_hour_and_later_held_against_the_truth(serve: Callable[..., Served]) -> None:
    served = serve()
    served.history(10)
    served.hours(12)
    rows = served.rows("4h")
    assert [end_of(each) % HOUR for each in rows] == [0] * len(rows)
    assert len({end_of(each) for each in rows}) == len(rows) == 12
    settled = [each for each in rows if each.truth is not None]
    assert [end_of(each) for each in settled] == [end_of(each) for each in rows][: len(settled)]
    assert 1 < len(settled) < len(rows)
    first = settled[0]
    assert first.expected.predictions == first.truth.labelled == 480
    assert served.run() == 0


def test_the_truth_is_inside_while_the_map_holds_and_outside_once_it_broke(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(10)
    served.hours(8)
    served.hours(11, right=overconfident)
    settled = [each for each in served.rows("4h") if each.truth is not None]
    broke = served.clock() - 11 * HOUR
    before = [each.truth.inside for each in settled if end_of(each) <= broke]
    after = [each for each in settled if end_of(each) == broke + 4 * HOUR]
    assert np.mean([getattr(each, name) for each in before for name in FIGURES]) >= 0.8  # few, and they overlap
    assert [each.truth.inside for each in after] == [Inside(accuracy=False, ece=False, brier=False)]
    assert after[0].truth.ece > after[0].expected.ece_high


def test_the_map_is_of_labels_that_have_matured(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(19)
    served.hours(1)
    newest = served.rows("12h")[-1].expected
    assert newest.end == moment(served.clock())
    assert newest.map.end == moment(served.clock() - 6 * HOUR - MINUTE)
    assert 12 * 120 - 4 <= newest.map.labelled <= 12 * 120


def test_where_labels_stopped_the_map_is_an_older_one(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(16)
    served.hours(23, labelled=False, judged=False)
    served.hours(1, labelled=False)
    newest = served.rows("4h")[-1].expected
    assert newest.end == moment(served.clock())
    assert newest.map.start == moment(served.clock() - 55 * HOUR)  # in whole hours
    assert newest.map.labelled == 16 * 120


@pytest.mark.parametrize("declared", [{"minimum_labels": 10_000}, {"label_delay": 0}])
def test_without_a_map_or_with_all_labels_there_is_no_estimate(
    sqlite_serve: Callable[..., Served], declared: dict[str, Any]
) -> None:
    served = sqlite_serve(**declared)
    served.history(12)
    served.hours(2)
    assert served.rows() == []


def test_neither_the_map_nor_the_window_reaches_back_beyond_a_promotion(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(12)
    served.hours(2)
    served.promote()
    promoted, known = served.clock(), len(served.rows())
    assert known == 4
    served.hours(7)
    assert len(served.rows()) == known
    served.hours(4)
    newest = served.rows("12h")[-1].expected
    assert (newest.start, newest.map.start) == (moment(promoted), moment(promoted))
    assert newest.map.labelled < 600


def test_a_truth_of_too_few_labels_is_no_truth(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(12)
    served.hours(10, labelled=False)
    # Of four hours that matured, one has no labels, then two of them, then three.
    found = [each.truth for each in served.rows("4h") if each.truth is not None]
    assert [each.labelled for each in found] == [360, 240, 120]
    assert [each.inside is None for each in found] == [False, False, True]
    assert found[2] == Truth(labelled=120, accuracy=None, ece=None, brier=None, inside=None)


def test_versions_have_estimates_of_their_own(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve(windows=("12h",))
    for count in (13, 1):
        served.history(count, model_version="a")
        served.clock.advance(-timedelta(hours=count))
        served.history(count, per_hour=200, right=overconfident, model_version="b")
    served.run()
    newest = {each.version: each.expected for each in served.rows()}
    assert {version: expected.predictions for version, expected in newest.items()} == {"a": 12 * 120, "b": 12 * 200}
    assert newest["a"].ece_high < newest["b"].ece_low


@pytest.mark.parametrize(("given", "made"), [("score", 0), ("confidence", 2)])
def test_where_some_scores_are_no_probabilities_yet_there_is_no_estimate(
    sqlite_serve: Callable[..., Served], given: str, made: int
) -> None:
    served = sqlite_serve(task="confidence")
    served.history(14, given="confidence")
    served.clock.advance(-timedelta(hours=14))
    served.history(14, per_hour=5, given=given)
    assert served.run() == made


def test_a_regression_has_no_estimate(sqlite_serve: Callable[..., Served]) -> None:
    served = sqlite_serve()
    served.history(14)
    served.feed.model(task="regression", label_delay=6 * HOUR, windows=WINDOWS, minimum_labels=200)
    assert served.run() == 0
    served.feed.model(task="binary", label_delay=6 * HOUR, windows=WINDOWS, minimum_labels=200)
    assert served.run() == 2


def test_old_estimates_are_thinned_to_one_a_day_once_they_are_settled(serve: Callable[..., Served]) -> None:
    served = serve()
    now = 1000 * DAY
    made = [
        Estimate(id=0, model_id=served.model.id, expected=some_estimate(version, hour * HOUR))
        for version in ("1", "2")
        for hour in range(24, 72)
    ]
    with served.feed.database.write() as connection:
        estimates.add(connection, made, now - 40 * DAY)
        estimates.add(connection, [*made[:1], replace(made[0], expected=some_estimate("1", 0))], now)
    with served.feed.database.write() as connection:
        rows = estimates.pending(connection, served.model.id, now, 1000)
        assert len(rows) == 97
        estimates.settle(connection, {each.id: NO_TRUTH for each in rows if each.version == "1"})
        assert estimates.thin(connection, before=now - 50 * DAY, daily_before=now - 30 * DAY) == 46
        assert estimates.thin(connection, before=now - 30 * DAY, daily_before=now - 30 * DAY) == 50
    assert [end_of(each) for each in served.rows()] == [0]


def fill(api: Any, clock: Any, make: Any) -> Served:
    """Return a model behind an API that has served for a day."""
    feed = _Feed(api)
    served = Served(feed, clock, make)
    served.history(12)
    served.hours(10)
    return served


class _Feed:
    """A feed by way of the API."""

    def __init__(self, api: Any) -> None:
        self.api, self.database = api, api.services.database

    @property
    def token(self) -> int:
        token: int = self.api.token()
        return token

    def model(self, **_declared: Any) -> Any:
        self.api.put("m", status=201, label_delay="6h", windows=["4h", "12h"], minimum_labels=200, task="binary")
        with self.database.read() as connection:
            return models.by_name(connection, "m")

    def take(self, *events: Any) -> None:
        sent = []
        for each in events:
            if hasattr(each, "probability"):
                sent.append(
                    {
                        "type": "prediction",
                        "event_id": each.event_id,
                        "model": "m",
                        "timestamp": each.timestamp.isoformat(),
                        "probability": each.probability,
                    }
                )
            else:
                sent.append({"type": "label", "event_id": each.event_id, "model": "m", "label": each.label})
        self.api.send(*sent)


def test_the_api_says_what_is_expected_now_and_how_often_it_was_right(api: Any, clock: Any, make: Any) -> None:
    served = fill(api, clock, make)
    found = api.get(PATH, window="4h")
    now = found["estimate"]
    assert (now["window"], now["version"], now["predictions"]) == ("4h", "", 480)
    assert now["assumption"].startswith("Holds if")
    for name in FIGURES:
        assert 0 <= now[f"{name}_low"] < now[name] < now[f"{name}_high"] <= 1
    rows = served.rows("4h")
    assert [each["end"] for each in found["past"]] == [rfc3339(end_of(each)) for each in rows]
    judged = [each.truth for each in rows if each.truth is not None]
    assert found["record"]["judged"] == len(judged) == 3
    for name in FIGURES:
        assert found["record"][name] == pytest.approx(np.mean([getattr(each.inside, name) for each in judged]))
    came = api.get("/v1/models/m/calibration", start=found["past"][0]["start"], end=found["past"][0]["end"])
    assert {name: came[name] for name in FIGURES} == pytest.approx(
        {name: found["past"][0]["truth"][name] for name in FIGURES}, abs=1e-9
    )


def test_what_is_expected_is_exported(sqlite_api: Any, clock: Any, make: Any) -> None:
    served = fill(sqlite_api, clock, make)
    families = {
        each.name: each for each in CalibrationCollector(served.feed.database, clock, most_series=100).collect()
    }
    for name in ("accuracy", "ece"):
        family = families[f"calibration_expected_{name}_ratio"]
        assert {place[-1]: value for place, value in family.samples} == {
            each.window: getattr(each.expected, name) for each in served.rows() if end_of(each) == served.clock()
        }
        assert family.labels == ("model", "model_version", "segment", "window")


def test_a_fresh_model_expects_nothing(api: Any, tools: Any) -> None:
    api.send(tools.prediction("e", 0.5))
    nothing = {"estimate": None, "record": {"judged": 0, **dict.fromkeys(FIGURES)}, "past": []}
    assert api.get(PATH) == api.get(PATH, window="24h", version="1") == nothing


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("window=5h", "window"),
        ("window=x", "window"),
        ("version=%00", "version"),
        ("segment=a:b", "segment"),
        ("start=1", "start"),
    ],
)
def test_a_wrong_question_is_refused(sqlite_api: Any, tools: Any, query: str, field: str) -> None:
    sqlite_api.send(tools.prediction("e", 0.5))
    assert sqlite_api.refused("GET", f"{PATH}?{query}")["field"] == field


def test_an_unknown_model_has_no_estimate(sqlite_api: Any) -> None:
    sqlite_api.ask("GET", PATH, status=404)


def test_the_map_starts_again_where_a_fault_began_that_an_alert_fires_on(api: Any, clock: Any, make: Any) -> None:
    served = fill(api, clock, make)
    api.judge()
    broke = clock()
    served.hours(14, right=overconfident, per_hour=300, judged=False)
    assert api.get("/v1/models/m")["alerts"] == 0
    promised = api.get(PATH, window="4h")["estimate"]
    assert promised["map"]["start"] < rfc3339(broke)
    api.judge()
    assert api.get("/v1/models/m")["alerts"] == 1
    now = api.get(PATH, window="4h")["estimate"]
    assert rfc3339(broke - HOUR) <= now["map"]["start"] <= rfc3339(broke + 2 * HOUR)
    measured = api.get("/v1/models/m/calibration", start=rfc3339(broke), end=rfc3339(broke + 7 * HOUR))["ece"]
    assert promised["ece"] < 0.9 * measured
    assert now["ece_low"] <= measured <= now["ece_high"]

    def exported() -> list[float]:
        named = 'calibration_expected_ece_ratio{model="m",model_version="",segment="",window="4h"}'
        return [float(row.split()[-1]) for row in api.client.get("/metrics").text.splitlines() if row.startswith(named)]

    assert exported() == []  # the stored one was made before the alert fired
    served.hours(1, right=overconfident, per_hour=300)
    assert [pytest.approx(value) for value in exported()] == [api.get(PATH, window="4h")["estimate"]["ece"]]
