"""Requests that arrive together are read together, and each is answered as if it had come alone."""

import asyncio
import gzip
import json

import httpx2 as httpx
import pytest

from monitor.rollup.verify import differences_of
from monitor.store import journal, keys, models


def sent_together(api, bodies, headers=None):
    """Send requests at once on one event loop; return their answers."""

    async def ask():
        transport = httpx.ASGITransport(app=api.client.app)
        head = {"content-type": "application/json", **(headers or {})}
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(*(client.post("/v1/events", content=body, headers=head) for body in bodies))

    return asyncio.run(ask())


def request(*events):
    return json.dumps({"events": events}).encode()


def differences(api):
    with api.services.database.read() as connection:
        return differences_of(connection, models.named(connection, "m"))


@pytest.fixture
def known(api, tools):
    """Return the API with a model whose events were accepted."""
    api.put("m", status=201, task="binary")
    api.send(tools.prediction("first", 0.5))
    return api


def test_many_small_requests_are_committed_together_and_each_is_answered(known, tools):
    bodies = [request(tools.prediction(f"e{i}", 0.5), tools.label(f"e{i}", i % 2)) for i in range(60)]
    answers = sent_together(known, bodies)
    assert [answer.json() for answer in answers] == [{"accepted": 2, "rejected": []}] * 60
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    with known.services.database.read() as connection:
        assert len(journal.oldest(connection, 1000)) < 60
    known.roll_up()
    assert known.get("/v1/models/m")["labelled"] == 60
    assert differences(known) == []


def test_one_that_is_odd_changes_no_answer_of_the_others(known, tools):
    odd = {
        3: (request(tools.prediction("a", 2.0)), 422),
        5: (b"{", 400),
        7: (request(tools.prediction("b", 0.5, metadata={"a": 1})), 200),
        11: (request(tools.label("c", 1, model="new")), 200),
    }
    bodies = [odd[i][0] if i in odd else request(tools.label(f"e{i}", 1)) for i in range(16)]
    answers = sent_together(known, bodies)
    assert [answer.status_code for answer in answers] == [odd[i][1] if i in odd else 200 for i in range(16)]
    assert answers[3].json()["errors"][0]["reason"].startswith("probability is 2")
    known.roll_up()
    assert known.get("/v1/models/m/events/b")["prediction"]["metadata"] == {"a": 1}


def test_events_of_a_model_that_was_only_declared_are_accepted(api, tools):
    api.put("m", status=201, task="binary")
    answers = sent_together(api, [request(tools.label(f"e{i}", 1)) for i in range(4)])
    assert [answer.status_code for answer in answers] == [200] * 4


def test_only_requests_with_a_valid_key_pass(api, tools):
    with api.services.database.write() as connection:
        key = keys.create(connection, "k", api.clock())
    bodies = [request(tools.label(f"e{i}", 1)) for i in range(3)]
    for _ in range(2):  # the second time what was admitted is known
        admitted = sent_together(api, bodies, {"authorization": f"Bearer {key}"})
        refused = sent_together(api, bodies, {"authorization": f"Bearer {key[:-1]}"})
        assert [answer.status_code for answer in admitted + refused] == [200] * 3 + [401] * 3
    assert {answer.status_code for answer in sent_together(api, bodies)} == {401}


@pytest.mark.parametrize("together", [True, False])
def test_while_the_journal_is_full_each_is_told_when_to_come_again(known, tools, together):
    known.services.ingest.writer._full = True  # noqa: SLF001 - what it finds when the roll-up is far behind
    bodies = [request(tools.label(f"e{i}", 1)) for i in range(3 if together else 1)]
    answers = sent_together(known, bodies)
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)


@pytest.mark.parametrize("size", [1, 20, 400])
@pytest.mark.parametrize("form", ["json", "gzip", "lines"])
def test_plain_requests_of_any_size_and_form_are_stored_as_they_were_sent(known, tools, size, form):
    events = [tools.prediction(f"e{i}", i / 1000, segments={"country": "DE"}) for i in range(size)]
    body = b"\n".join(json.dumps(event).encode() for event in events) if form == "lines" else request(*events)
    headers = {
        "json": {},
        "gzip": {"content-encoding": "gzip"},
        "lines": {"content-type": "application/x-ndjson"},
    }[form]
    (answer,) = sent_together(known, [gzip.compress(body) if form == "gzip" else body], headers)
    assert answer.json() == {"accepted": size, "rejected": []}
    known.roll_up()
    stored = known.get(f"/v1/models/m/events/e{size - 1}")["prediction"]
    assert (stored["served"], stored["segments"]) == ((size - 1) / 1000, {"country": "DE"})
    assert differences(known) == []
