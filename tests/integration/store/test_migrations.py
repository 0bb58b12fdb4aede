"""Migrations: they end in the tables that the code knows, on both databases, and rows that are there stay.

`v0_3_0` holds a database that 0.3.0 filled over nine hours, and what its API then answered: of a binary model whose alarm led to a
promotion and ended by it, a multiclass one whose refits were refused, a regression promoted and rolled back by hand, and a language
model with a calibrator in the shadow; with corrected and conflicting labels, and a validation set.
"""

import json
import lzma
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from monitor.calibrators.document import verify
from monitor.rollup.verify import differences_of
from monitor.store import audit, events, models, versions
from monitor.store.migrate import _config, upgrade
from monitor.store.schema import metadata

V0_3_0 = Path(__file__).with_name("v0_3_0")
ANSWERS = json.loads(lzma.decompress((V0_3_0 / "answers.json.xz").read_bytes()))
MODELS = ("chat", "rent", "risk", "topic")
SENTENCES_MAY_CHANGE = {"calibration", "estimate", "evidence", "labels", "models", "reference", "segments", "serving"}
"""Answers whose sentences are made when they are asked for; those of all others are stored."""


def unlike(database):
    """Return how the tables of a database differ from those that the code knows."""
    with database.read() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def test_migrations_end_in_the_schema(database):
    assert unlike(database) == []


def test_migrations_end_in_keys_of_the_same_order(database):
    with database.read() as connection:
        keys = {name: inspect(connection).get_pk_constraint(name)["constrained_columns"] for name in metadata.tables}
    assert keys == {name: [column.name for column in table.primary_key] for name, table in metadata.tables.items()}


def test_a_cluster_is_found_by_its_number(database):
    with database.read() as connection:
        key = inspect(connection).get_pk_constraint("cluster")["constrained_columns"]
    assert key[:2] == ["model_id", "cluster"]


def test_rows_of_0_2_0_are_traffic_and_go_on_being_joined(feed, make):
    model = feed.model()
    feed.take(make.prediction("a", 0.75), make.prediction("b", 0.25), make.label("b", 0))
    with feed.database.write() as connection:
        connection.execute(text("INSERT INTO alias VALUES (:id, 'champion', 3, 5, 6, NULL)"), {"id": model.id})
        connection.execute(text("INSERT INTO refit VALUES (:id, 5, 7, :no, 0)"), {"id": model.id, "no": False})
        command.downgrade(_config(connection), "0002")
    upgrade(feed.database)
    assert unlike(feed.database) == []
    feed.take(make.label("a", 1), make.prediction("c", 0.5, reference=True), make.label("c", 1))
    with feed.database.read() as connection:
        rows = {row.event_id: row.reference for chunk in events.scan(connection, model.id) for row in chunk}
        apart = [row.event_id for chunk in events.scan(connection, model.id, reference=True) for row in chunk]
        champion = versions.aliases(connection, model.id)["champion"]
        refit = connection.execute(text("SELECT attempted_at, labels, reference_labels FROM refit")).one()
    assert (rows, apart) == ({"a": False, "b": False}, ["c"])
    assert (champion.number, champion.since_event_time, champion.share) == (3, 6, None)
    assert tuple(refit) == (5, 7, 0)
    assert (feed.progress(model).predictions, feed.progress(model).labels) == (2, 2)
    with feed.database.read() as connection:
        assert differences_of(connection, model) == []


def test_classes_that_had_thresholds_before_they_had_tests_are_summed_apart_from_now_on(feed):
    model = feed.model(task="multiclass", classes=("a", "b", "c"), class_thresholds={"c": 0.05, "b": 0.1})
    plain = feed.model("plain")
    with feed.database.write() as connection:
        command.downgrade(_config(connection), "0003")
    upgrade(feed.database)
    with feed.database.read() as connection:
        known = models.revisions(connection, [model.id, plain.id])
    assert known[model.id, model.revision].classes == ("b", "c")
    assert known[plain.id, plain.revision].classes == ()


def test_the_steps_of_before_get_the_name_of_their_model(feed):
    model = feed.model("here")
    with feed.database.write() as connection:
        command.downgrade(_config(connection), "0004")
        row = {"id": model.id}
        connection.execute(text("INSERT INTO audit VALUES (7, :id, 5, 'api', 'refuse', '{\"reason\": \"few\"}')"), row)
    upgrade(feed.database)
    assert unlike(feed.database) == []
    with feed.database.write() as connection:
        models.remove(connection, model.id)
        (step,) = audit.entries_of_name(connection, "here")
        assert (step.action, step.detail.reason) == ("refuse", "few")
        command.downgrade(_config(connection), "0004")
        assert connection.execute(text("SELECT count(*) FROM audit")).scalar() == 0
    upgrade(feed.database)
    assert unlike(feed.database) == []


@pytest.fixture
def kept(api_on, clock, tmp_path):
    """Return the API on the database of 0.3.0, at the moment of its answers."""
    path = tmp_path / "kept.db"
    path.write_bytes(lzma.decompress((V0_3_0 / "calwatch.db.xz").read_bytes()))
    clock.micros = ANSWERS["now"]
    api = api_on(f"sqlite:///{path}")
    upgrade(api.services.database)
    return api


def changes(old, new, *, sentences, place=""):
    """Return the places at which an answer has lost a field or says something else; what is new beside is fine."""
    if isinstance(old, dict) and isinstance(new, dict):
        lost = [f"{place}.{name} is gone" for name in old.keys() - new.keys()]
        parts = [(old[name], new[name], f"{place}.{name}") for name in old.keys() & new.keys()]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        lost = []
        parts = [(was, now, f"{place}[{i}]") for i, (was, now) in enumerate(zip(old, new, strict=True))]
    else:
        reworded = isinstance(old, str) and isinstance(new, str) and " " in old and not sentences
        alike = old == (pytest.approx(new, rel=1e-9) if isinstance(new, float) else new)
        return [] if alike or reworded else [f"{place}: {old!r} became {new!r}"]
    return lost + [text for was, now, where in parts for text in changes(was, now, sentences=sentences, place=where)]


def fires_at(moment, alerts):
    """Return whether an alert on calibration fired at a moment: since then the verdict is `miscalibrated` while one does."""
    past = [alert for alert in alerts if alert["kind"] == "miscalibration" and alert["at"] <= moment]
    return max(past, key=lambda alert: alert["at"], default={"state": "resolved"})["state"] == "firing"


@pytest.mark.parametrize("name", MODELS)
def test_a_database_of_0_3_0_answers_as_it_did(kept, name):
    asked = {path: answer for path, answer in ANSWERS["answers"].items() if f"/models/{name}" in path}
    assert len(asked) >= 15
    alerts = asked[f"/v1/models/{name}/alerts"][1]["alerts"]
    for path, (status, old) in asked.items():
        nouns = set(path.partition("?")[0].split("/"))
        for evaluation in old.get("evaluations", ()):
            if fires_at(evaluation["end"], alerts):
                evaluation["verdict"] = "miscalibrated"
        for segment in old.get("segments", ()) if "segments" in nouns else ():
            segment.pop("e_value_log", None)  # made anew for each answer, by tests that may have become better ones
            if segment["flagged"] or segment["verdict"] == "miscalibrated":
                segment["verdict"] = "suspect"
        if "revision" in old:
            old["revision"] += 1  # from the upgrade on, labels are read by new rules
        new = kept.ask("GET", path, status=status)
        assert changes(old, new, sentences=not nouns & SENTENCES_MAY_CHANGE) == [], path


def test_a_database_of_0_3_0_lists_its_models_as_it_did(kept):
    _, old = ANSWERS["answers"]["/v1/models"]
    assert changes(old, kept.get("/v1/models"), sentences=False) == []


def test_a_database_of_0_3_0_has_the_tables_that_the_code_knows(kept):
    assert unlike(kept.services.database) == []


@pytest.mark.parametrize("name", MODELS)
def test_calibrators_of_0_3_0_are_what_was_hashed(kept, name):
    documents = kept.get(f"/v1/models/{name}/calibrators")["calibrators"]
    assert documents
    for document in documents:
        assert verify(document).method == document["method"]


@pytest.mark.parametrize("name", MODELS)
def test_a_database_of_0_3_0_goes_on(kept, name):
    with kept.services.database.read() as connection:
        model = models.by_name(connection, name)
        assert differences_of(connection, model) == []
    kept.clock.advance(timedelta(hours=1))
    before = kept.get(f"/v1/models/{name}/audit")["audit"]
    kept.judge()
    with kept.services.database.read() as connection:
        assert differences_of(connection, model) == []
    assert kept.get(f"/v1/models/{name}/audit")["audit"][-len(before) :] == before
