"""Batches: columns of every kind become the events that a loop over `log` and `label` would make. Nobody listens at the address."""

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import Client
from monitor.calibrators.document import seal
from monitor.client.batches import Columns, LabelColumns, batch_of
from monitor.domain.errors import BadInput

NOBODY = "http://127.0.0.1:9"
AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def client() -> Iterator[Client]:
    made = Client(NOBODY, "m", timeout=0.1)
    yield made
    made.close(timeout=0)


def queued(client: Client) -> list[dict[str, Any]]:
    return [json.loads(item) for item in client._outbox.front(10_000, 1 << 30)]  # noqa: SLF001 - nobody listens


def by_a_loop(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    client = Client(NOBODY, "m", timeout=0.1)
    for row in rows:
        client.log(**row)
    events = queued(client)
    client.close(timeout=0)
    return events


KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "iterator": iter,
    "array": np.array,
    "pandas": pd.Series,
    "pandas index": pd.Index,
    "polars": pl.Series,
}
kinds = pytest.mark.parametrize("column", KINDS.values(), ids=KINDS.keys())


@kinds
def test_columns_of_any_kind_are_the_events_of_a_loop(client: Client, column: Callable[[list[Any]], Any]):
    ids = client.log_many(
        column(["a", "b"]),
        probability=column([0.25, 0.75]),
        cluster=column(["u", "v"]),
        segments={"country": column(["CH", "DE"]), "tier": 1},
        timestamp=AT,
        raw_probability=column([0.5, 0.6]),
        calibrator_version=3,
    )
    shared = {"timestamp": AT, "calibrator_version": 3}
    assert ids == ["a", "b"]
    assert queued(client) == by_a_loop(
        [
            {"event_id": "a", "probability": 0.25, "raw_probability": 0.5, "cluster": "u", **shared}
            | {"segments": {"country": "CH", "tier": 1}},
            {"event_id": "b", "probability": 0.75, "raw_probability": 0.6, "cluster": "v", **shared}
            | {"segments": {"country": "DE", "tier": 1}},
        ]
    )


VECTORS = [[0.25, 0.75], [0.5, 0.5]]
NAMED = [{"cat": 0.25, "dog": 0.75}, {"cat": 0.5, "dog": 0.5}]
SHAPES = [
    (VECTORS, VECTORS),
    (np.array(VECTORS), VECTORS),
    (np.array(VECTORS, dtype=np.float32), VECTORS),
    (NAMED, NAMED),
    ({"cat": [0.25, 0.5], "dog": np.array([0.75, 0.5])}, NAMED),
    (pd.DataFrame({"cat": [0.25, 0.5], "dog": [0.75, 0.5]}), NAMED),
    (pl.DataFrame({"cat": [0.25, 0.5], "dog": [0.75, 0.5]}), NAMED),
    (pd.DataFrame({1: [0.25, 0.5], 2: [0.75, 0.5]}), [{"1": 0.25, "2": 0.75}, {"1": 0.5, "2": 0.5}]),
]


@pytest.mark.parametrize(("probabilities", "expected"), SHAPES, ids=range(len(SHAPES)))
def test_vectors_are_arrays_or_columns_by_class(client: Client, probabilities: Any, expected: list[Any]):
    client.log_many(["a", "b"], probabilities=probabilities, raw_probabilities=probabilities)
    assert [event["probabilities"] for event in queued(client)] == expected
    assert [event["raw_probabilities"] for event in queued(client)] == expected


def test_regressions_and_answers_are_columns_too(client: Client):
    client.log_many(["a", "b"], mean=np.array([1.5, 2.5]), std=2.0)
    client.log_many(["c", "d"], quantiles={0.1: [1.0, 2.0], 0.9: np.array([3.0, 4.0])})
    client.log_many(["e", "f"], prediction=["x", "y"], confidence=[0.5, 0.75], confidence_source="judge")
    client.log_many(["g", "h"], members=[[0.25, 0.75], [0.5, 0.5]])
    fields = [
        {key: value for key, value in event.items() if key not in {"type", "model", "timestamp", "event_id"}}
        for event in queued(client)
    ]
    assert fields == [
        {"mean": 1.5, "std": 2.0},
        {"mean": 2.5, "std": 2.0},
        {"quantiles": {"0.1": 1.0, "0.9": 3.0}},
        {"quantiles": {"0.1": 2.0, "0.9": 4.0}},
        {"prediction": "x", "confidence": 0.5, "confidence_source": "judge"},
        {"prediction": "y", "confidence": 0.75, "confidence_source": "judge"},
        {"members": [0.25, 0.75]},
        {"members": [0.5, 0.5]},
    ]


def test_narrow_floats_are_the_decimals_that_they_round_from(client: Client):
    client.log_many(mean=np.array([3.3, 0.1], dtype=np.float32), std=1)
    client.log_many(mean=pd.Series([3.3, 0.1], dtype="float32"), std=1)
    assert [event["mean"] for event in queued(client)] == [3.3, 0.1] * 2


HOLES = [
    pd.DataFrame({"country": ["CH", None], "tier": [np.nan, 2.0]}),
    pd.DataFrame({"country": ["CH", pd.NA], "tier": pd.array([None, 2], dtype="Int64")}),
    pl.DataFrame({"country": ["CH", None], "tier": [None, 2]}),
]


@pytest.mark.parametrize("segments", HOLES, ids=range(len(HOLES)))
def test_a_missing_segment_is_left_out(client: Client, segments: Any):
    client.log_many(probability=[0.5, 0.5], segments=segments)
    assert [event["segments"] for event in queued(client)] == [{"country": "CH"}, {"tier": 2}]


def test_ids_are_made_where_none_are_given(client: Client):
    ids = client.log_many(probability=[0.1, 0.2, 0.3])
    assert ids == [event["event_id"] for event in queued(client)]
    assert len(set(ids)) == 3


def test_an_empty_batch_is_no_event(client: Client):
    assert client.log_many([], probability=np.array([])) == []
    client.label_many([], [])
    assert client.stats().logged == 0


PLATT = {"method": "platt", "task": "binary", "parameters": {"slope": 0.7, "intercept": -0.3}}
SCALED = {"method": "variance_scaling", "task": "regression", "parameters": {"scale": 2.0}}


@pytest.fixture
def calibrating(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Client]]:
    made: list[Client] = []

    def of(fitted: dict[str, Any]) -> Client:
        document = tmp_path / "document.json"
        sealed = seal(fitted, model="m", number=3, fitted_from={}, gate=None, created_at="2026-01-01T00:00:00Z")
        document.write_text(json.dumps(sealed))
        made.append(Client(NOBODY, "m", timeout=0.1, bootstrap=document))
        return made[-1]

    yield of
    for client in made:
        client.close(timeout=0)


def test_the_result_of_calibrating_an_array_is_taken(calibrating: Callable[[dict[str, Any]], Client]):
    client, raw = calibrating(PLATT), np.array([0.2, 0.9])
    result = client.calibrated(raw)
    client.log_many(["a", "b"], probability=result)
    events = queued(client)
    assert [event["probability"] for event in events] == result.value.tolist()
    assert [event["raw_probability"] for event in events] == raw.tolist()
    assert [event["calibrator_version"] for event in events] == [3, 3]


def test_without_a_calibrator_it_has_no_raw_value(client: Client):
    client.log_many(["a", "b"], probability=client.calibrated([0.2, 0.9]))
    client.log_many(["c", "d"], probabilities=client.calibrated(np.array(VECTORS)))
    assert [event.get("probability") or event["probabilities"] for event in queued(client)] == [0.2, 0.9, *VECTORS]
    assert not any("raw_probability" in event for event in queued(client))


def test_the_result_of_calibrating_distributions_is_taken(client: Client):
    client.log_many(["a", "b"], distribution=client.calibrated_distribution(mean=np.array([1.0, 2.0]), std=0.5))
    levels = {0.1: np.array([1.0, 2.0]), 0.9: np.array([3.0, 4.0])}
    client.log_many(["c", "d"], distribution=client.calibrated_distribution(quantiles=levels))
    events = queued(client)
    assert [(event["mean"], event["std"]) for event in events[:2]] == [(1.0, 0.5), (2.0, 0.5)]
    assert [event["quantiles"] for event in events[2:]] == [{"0.1": 1.0, "0.9": 3.0}, {"0.1": 2.0, "0.9": 4.0}]


@kinds
def test_labels_of_any_kind_are_those_of_a_loop(client: Client, column: Callable[[list[Any]], Any]):
    client.label_many(column(["a", "b"]), column([0, 1]), timestamp=AT, source=column(["x", "y"]), supersedes=True)
    client.label_many(column([1, 2]), column(["cat", "dog"]))
    labels = [
        (event["event_id"], event["label"], event.get("source"), event.get("supersedes")) for event in queued(client)
    ]
    assert labels == [("a", 0, "x", True), ("b", 1, "y", True), ("1", "cat", None, None), ("2", "dog", None, None)]


@pytest.mark.parametrize(
    ("event_ids", "fields", "events", "reason"),
    [
        (["a", "b", "c"], {"probability": [0.5, 0.5]}, 3, "its columns must have one length"),
        (["a"], {"segments": {"x": [1, 2], "y": [1, 2, 3]}, "probability": [0.5]}, 1, "must have one length"),
        ("abc", {"probability": [0.5, 0.5]}, 2, "a column of ids"),
        (None, {"probability": 0.5}, 1, "must have a column"),
        (None, {}, 1, "must have a column"),
        (["a"], {"probabilities": pl.LazyFrame({"x": [1.0]})}, 1, "in memory"),
    ],
)
def test_a_batch_that_is_none_is_counted_and_never_raises(  # noqa: PLR0917 - a table's columns
    client: Client, caplog: Any, event_ids: Any, fields: dict[str, Any], events: int, reason: str
):
    assert client.log_many(event_ids, **fields) == [""] * events
    client.label_many(["a", "b"], [1])
    assert (client.stats().dropped, client.stats().queued) == (events + 2, 0)
    assert reason in caplog.text
    with pytest.raises(BadInput, match=reason), Client(NOBODY, "m", timeout=0.1, strict=True) as strict:
        strict.log_many(event_ids, **fields)


def test_a_bad_row_costs_its_own_event_only(client: Client):
    ids = client.log_many(["a", "", "c"], probability=[0.5, 0.5, float("nan")])
    assert (ids, client.stats().queued, client.stats().dropped) == (["a", "", "c"], 1, 2)


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=5), st.floats(0, 1), st.one_of(st.none(), st.text(max_size=3))),
        min_size=1,
        max_size=8,
    )
)
def test_any_batch_is_what_its_rows_are_one_by_one(rows: list[tuple[str, float, str | None]]):
    ids, values, clusters = zip(*rows, strict=True)
    batch = batch_of({"event_id": ids, "probability": values, "cluster": clusters, "timestamp": AT, "score": None})
    assert list(batch.rows()) == [{"event_id": a, "probability": p, "cluster": c, "timestamp": AT} for a, p, c in rows]


def test_columns_have_the_names_of_single_fields():
    def names(call: Any) -> set[str]:
        return {
            name
            for name, parameter in inspect.signature(call).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    assert set(Columns.__annotations__) == names(Client.log)
    assert set(LabelColumns.__annotations__) == names(Client.label)


def test_lists_need_neither_numpy_nor_narwhals_and_a_frame_says_what_it_needs():
    code = (
        "import sys\n"
        "sys.modules['narwhals'] = None\n"
        "from monitor import Client\n"
        "with Client('http://127.0.0.1:9', 'm', timeout=0.1, strict=True) as client:\n"
        "    client.log_many(['a'], probability=[0.5], segments={'x': [1]})\n"
        "    print('numpy' in sys.modules)\n"
        "    import pandas\n"
        "    client.log_many(pandas.Series(['a']), probability=pandas.Series([0.5]))\n"
        "    try: client.log_many(['a'], probabilities=pandas.DataFrame({'a': [0.5], 'b': [0.5]}))\n"
        "    except Exception as error: print(error)\n"
        "    client.close(timeout=0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "False",
        "probabilities is 'DataFrame': data frames need: pip install 'calwatch[frames]'",
    ]


@pytest.mark.parametrize("width", ["f2", "f4", "f8"])
def test_a_masked_entry_is_no_prediction(client: Client, width: str):
    client.log_many(["a", "b"], probability=np.ma.array([0.25, 0.75], mask=[False, True], dtype=width))
    assert [event["probability"] for event in queued(client)] == [0.25]
    assert client.stats().dropped == 1


@pytest.mark.parametrize("missing", [None, pd.NaT, np.datetime64("NaT"), float("nan"), pd.NA])
def test_a_missing_time_is_now(client: Client, missing: Any):
    client.log_many(["a", "b"], probability=0.5, timestamp=[AT, missing])
    client.log("c", probability=0.5, timestamp=missing)
    first, *others = [datetime.fromisoformat(event["timestamp"]) for event in queued(client)]
    assert first == AT
    assert all(other > AT for other in others)


@pytest.mark.parametrize("unit", ["ns", "us", "s", "D"])
def test_times_of_numpy_are_times_and_never_numbers(unit: str):
    strict = Client(NOBODY, "m", timeout=0.1, strict=True)
    times = np.array(["2026-01-05"], dtype=f"datetime64[{unit}]")
    for log in (
        lambda: strict.log_many(["a"], probability=0.5, timestamp=times),
        lambda: strict.log("a", probability=0.5, timestamp=times[0]),
    ):
        with pytest.raises(BadInput, match="timestamp is '2026-01-05"):
            log()
    strict.close(timeout=0)


@pytest.mark.parametrize(("ids", "labels", "field"), [(["a", "b"], None, "label"), (None, [1, 0], "event_id")])
def test_labels_without_a_column_are_dropped_and_counted(client: Client, ids: Any, labels: Any, field: str):
    client.label_many(ids, labels)
    assert client.stats().dropped == client.stats().logged == 2
    with pytest.raises(BadInput, match=f"{field} is None"):
        Client(NOBODY, "m", strict=True).label_many(ids, labels)


@pytest.mark.parametrize("event_id", [1.0, float("nan"), True, b"a", {}, pd.NA])
def test_an_id_of_a_wrong_type_is_named(event_id: Any):
    with pytest.raises(BadInput, match=r"event_id is [^:]+: it must be text, a UUID"):
        Client(NOBODY, "m", strict=True).log(event_id, probability=0.5)
