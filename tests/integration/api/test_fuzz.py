"""No request, however odd, gets an answer that is not described: nothing that a caller sends is a fault of the server."""

import json
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MODELS = ["m", "org/net", "declared"]
CALLS = ["calibration", "history", "drift", "alerts", "audit", "calibrators", "calibrate", "events", "promote", "reject", "rollback",
         "champion", "challenger", "segments", "replay", "1", "2", "0", "%2F", "..", ".", "", "*", "%", "%00", "%FF", "%2e%2e"]  # fmt: skip
NAMES = ["window", "start", "end", "version", "segment", "bins", "scores", "metric", "limit", "confirm", "x", ""]
TIMES = ["2026-01-05T12:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59",
         "2026-01-05T10:05:00Z", "9998-12-31T23:59:59-23:59", "2026-01-05T10:05:00.123456789Z", "1969-12-31T23:59:59Z"]  # fmt: skip
VALUES = [*TIMES, "24h", "1h", "0s", "999999999w", "3660d", "61s", "10", "15", "30", "-1", "1e3", "NaN", "9" * 40, "served", "raw",
          "country:DE", "country:\x00", "country:", "ece", "reliability", "m", "", "\x00", "\ud800", "💥", "' OR 1=1 --"]  # fmt: skip
KEYS = ["method", "start", "end", "version", "holdout", "promote", "probabilities", "task", "classes", "label_delay", "windows",
        "segments", "minimum_labels", "thresholds", "alert_policy", "false_alarm_rate", "reference", "recalibration", "cooldown",
        "guarantee", "alert_on", "per_labels",
        "ece", "psi", "events", "type", "event_id", "model", "timestamp", "probability", "label", "logits", "confidence"]  # fmt: skip
WORDS = ["auto", "platt", "temperature", "isotonic", "identity", "binary", "multiclass", "confidence", "prediction", "label",
         "off", "propose", *MODELS, *VALUES]  # fmt: skip

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([0, 1, 0.5, 2**63, -(2**63) - 1, 1e308])
    | st.sampled_from(WORDS) | st.text(max_size=5)
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
bodies = st.binary(max_size=30) | st.builds(lambda value: json.dumps(value).encode("utf-8", "surrogatepass"), documents)
parts = (
    st.sampled_from([*CALLS, *(name.replace("/", "%2F") for name in MODELS)])
    | st.text(max_size=8).map(lambda text: quote_from_bytes(text.encode("utf-8", "surrogatepass")))
    | st.binary(max_size=4).map(quote_from_bytes)
)
below_models = st.builds(
    lambda name, rest: "/".join(["/v1/models", name, *rest]),
    st.sampled_from([*MODELS, "n"]),
    st.lists(parts, max_size=3),
)
paths = (
    below_models
    | st.sampled_from(["/v1/models", "/v1/events"])
    | st.lists(parts, max_size=5).map(lambda some: "/" + "/".join(some))
)
queries = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=6)), max_size=4).map(
    lambda pairs: urlencode(pairs, errors="surrogatepass").encode()
) | st.binary(max_size=12)  # fmt: skip
headers = st.lists(
    st.sampled_from(
        [(b"content-encoding", b"gzip"), (b"content-length", b"-1"), (b"content-length", b"9" * 30), (b"if-none-match", b'"x",*'),
         (b"authorization", b"Bearer \xff"), (b"origin", b"http://["), (b"accept", b"\xff"), (b"host", b"[")]
    ),
    max_size=1,
)  # fmt: skip


@st.composite
def requests(draw):
    """Return a request as ASGI has it, and its body."""
    path = draw(paths)
    raw = path.encode()
    kind = draw(st.sampled_from([b"application/json"] * 6 + [b"application/x-ndjson", b"text/plain", b"\xff"]))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": draw(
            st.sampled_from(["GET", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "TRACE", "\u0130"])
        ),
        "scheme": "http",
        "path": bytes_of(path).decode("utf-8", "replace"),
        "raw_path": raw,
        "query_string": draw(queries),
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"content-type", kind), *draw(headers)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return scope, draw(bodies)


def bytes_of(path):
    """Return what a server makes of a path."""
    return unquote_to_bytes(path)


async def called(app, scope, body):
    """Return the status, headers and body of an answer."""
    sent = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:])


@pytest.fixture
def running(api, tools):
    """Return the API with a model that has data, alerts and a champion, one of another task, and one without anything."""
    api.put("declared", status=201)
    api.put("m", status=201, label_delay="0s", segments=["country"], minimum_labels=50, windows=["1h", "24h"])
    for minute in range(5):
        at = {"timestamp": f"2026-01-05T10:{minute:02}:00Z", "segments": {"country": "DE"}}
        rows = [(f"{minute}-{i}", 0.9 if i % 2 else 0.2, int(i % 3 > 0)) for i in range(60)]
        api.send(
            *(tools.prediction(name, p, **at) for name, p, _ in rows), *(tools.label(name, y) for name, _, y in rows)
        )
    api.send(tools.prediction("1", probabilities=[0.5, 0.5], model="org/net"), tools.label("1", 0, model="org/net"))
    api.judge()
    api.post("/v1/models/m/calibrators", {"holdout": 0}, status=201)
    api.post("/v1/models/m/calibrators/1/promote")
    return api


def test_no_request_is_a_fault_of_the_server(running):
    client = running.client

    @settings(max_examples=400, suppress_health_check=list(HealthCheck))
    @given(requests())
    def check(request):
        scope, body = request
        status, sent, answer = client.portal.call(called, client.app, scope, body)
        assert status < 500
        if status >= 400 and scope["method"] != "HEAD":
            assert sent[b"content-type"] == b"application/problem+json"
            assert json.loads(answer)["status"] == status

    check()
    assert running.get("/v1/models")["models"]
    running.roll_up()
    running.judge()
    running.get("/v1/models")
