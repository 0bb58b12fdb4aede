"""What every call has in common: parameters, bodies, methods, who may ask, and the one shape of errors."""

import gzip
import json
import time

import pytest
from starlette.testclient import TestClient

from monitor.api.app import create_app
from monitor.store import keys

EVENTS = "/v1/events"
JSON = {"Content-Type": "application/json"}


def calls(app):
    """Return (method, path) of every call of the API, with names in the place of its parameters."""
    named = {"model": "m", "event_id": "e", "which": "1", "number": "1"}
    described = app.openapi()["paths"].items()
    return [(method.upper(), path.format(**named)) for path, operations in described for method in operations]


@pytest.fixture
def model(sqlite_api):
    sqlite_api.put("m", status=201)
    return sqlite_api


def test_unknown_parameters_are_errors_in_every_call(model):
    names = [(method, path) for method, path in calls(model.client.app) if path.startswith("/v1/")]
    assert len(names) >= 17
    for method, path in names:
        error = model.refused(method, f"{path}?widnow=24h", **({"json": {}} if method in {"POST", "PUT"} else {}))
        assert (error["field"], error["value"]) == ("widnow", "24h")
        assert error["reason"].startswith("there is no such parameter")


def test_a_parameter_given_twice_is_an_error(model):
    error = model.refused("GET", "/v1/models/m/calibration?bins=10&bins=15")
    assert (error["field"], error["reason"]) == ("bins", "is given more than once")


def test_unknown_models_are_not_found_in_every_call(sqlite_api):
    for method, path in calls(sqlite_api.client.app):
        if not path.startswith("/v1/models/m") or method == "PUT":
            continue
        query = "?confirm=m" if (method, path) == ("DELETE", "/v1/models/m") else ""
        body = {"probabilities": [0.5]} if path.endswith(("/calibrate", "/predict-set")) else {}
        options = {"json": body} if method == "POST" else {}
        found = sqlite_api.ask(method, path + query, status=404, **options)
        assert found["title"] == "Not found", path
        assert "m" in found["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/models/m", {"GET", "PUT", "DELETE"}),
        ("GET", "/v1/models/m/calibrate", {"POST"}),
        ("GET", "/v1/models/m/calibrators/1/promote", {"POST"}),
        ("GET", EVENTS, {"POST"}),
        ("POST", "/metrics", {"GET"}),
        ("DELETE", "/v1/models", {"GET"}),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(model, method, path, allowed):
    response = model.client.request(method, path)
    assert response.status_code == 405
    assert model.checked(method, path, response)["title"] == "Method not allowed"
    assert set(response.headers["allow"].split(", ")) <= allowed


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/models/", "/v2/models", "/V1/models", "/v1/event", "/nothing"])
def test_what_is_not_there_is_a_problem_too(model, path):
    assert model.ask("GET", path, status=404)["title"] == "Not found"


@pytest.mark.parametrize(
    "path", ["/", "/v1/models", "/v1/models/m", "/metrics", "/healthz", "/static/page.js", "/docs"]
)
def test_head_is_get_without_the_body(model, path):
    got, head = model.client.get(path), model.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_head_of_what_is_not_there_is_404(model):
    assert model.client.head("/v1/models/nothing").status_code == 404


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
@pytest.mark.parametrize("path", ["calibrators", "calibrators/rollback", "calibrators/1/promote", "calibrate"])
def test_what_changes_something_must_be_json(model, path, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    model.ask("POST", f"/v1/models/m/{path}", headers=headers, status=415)
    model.ask("POST", f"/v1/models/m/{path}", content=b"{}", headers=headers, status=415)


def test_settings_must_be_json(model):
    model.ask("PUT", "/v1/models/m", content=b"{}", headers={"Content-Type": "text/plain"}, status=415)


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_json_may_be_said_in_any_way(model, kind):
    model.ask("PUT", "/v1/models/m", content=b"{}", headers={"Content-Type": kind})


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b'{"minimum_labels": NaN}', b'{"minimum_labels": 1e999}',
     b'{"segments": ["\\ud800"]}', b"[" * 100_000, b'{"a":' * 500 + b"1" + b"}" * 500],
)  # fmt: skip
def test_a_body_that_is_no_object_is_named(model, body):
    error = model.refused("PUT", "/v1/models/m", 400, content=body, headers=JSON)
    assert error["field"] == "body"


def test_a_key_given_twice_is_an_error(model):
    body = b'{"minimum_labels": 5, "minimum_labels": 6}'
    error = model.refused("PUT", "/v1/models/m", content=body, headers=JSON)
    assert error == {"field": "minimum_labels", "value": None, "reason": "is given more than once"}


def test_compressed_settings_are_refused(model):
    headers = JSON | {"Content-Encoding": "gzip"}
    model.ask("PUT", "/v1/models/m", content=gzip.compress(b"{}"), headers=headers, status=415)


def test_a_large_body_is_refused_before_it_is_read(model):
    headers = JSON | {"Content-Length": str(2**40)}
    model.ask("PUT", "/v1/models/m", content=b"{}", headers=headers, status=413)
    model.ask("POST", EVENTS, content=b"{}", headers=headers, status=413)
    model.ask("POST", EVENTS, content=b"{}", headers=headers | {"Content-Length": "9" * 5000}, status=413)


def test_a_large_body_is_refused_where_no_length_was_declared(model):
    def chunks():
        for _ in range(20):
            yield b" " * 2**20

    model.ask("PUT", "/v1/models/m", content=chunks(), headers=JSON, status=413)


def test_calls_without_fields_take_an_empty_object_only(model):
    model.ask("POST", "/v1/models/m/calibrators/rollback", headers=JSON, status=409)
    error = model.refused("POST", "/v1/models/m/calibrators/rollback", json={"number": 1})
    assert (error["field"], error["value"]) == ("number", 1)


def test_an_answer_is_not_guessed_at(model):
    for path in ("/", "/v1/models", "/nothing", "/static/page.js"):
        assert model.client.get(path).headers["x-content-type-options"] == "nosniff"


def test_files_of_the_page_are_revalidated(model):
    first = model.client.get("/static/views/model.js")
    again = model.client.get("/static/views/model.js", headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert [answer.headers["cache-control"] for answer in (first, again)] == ["no-cache"] * 2


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml"])
def test_events_of_another_kind_are_refused(model, kind):
    model.ask("POST", EVENTS, content=b'{"events": []}', headers={"Content-Type": kind}, status=415)


def test_events_in_another_encoding_are_refused(model):
    model.ask("POST", EVENTS, content=b"x", headers=JSON | {"Content-Encoding": "br"}, status=415)


def test_events_that_are_no_batch_are_refused(model):
    for body in (b"", b"[]", b"null", b'{"events": {}}', b'{"event": []}'):
        assert model.refused("POST", EVENTS, 400, content=body, headers=JSON)["field"] == "body"


def test_an_empty_batch_is_accepted(model):
    assert model.ask("POST", EVENTS, json={"events": []}) == {"accepted": 0, "rejected": []}


def test_a_bad_event_does_not_fail_its_neighbours(model, tools):
    answer = model.send(tools.prediction("a", 0.5), tools.prediction("b", 1.5), {"type": "what"})
    assert answer["accepted"] == 1
    assert [(each["index"], each["event_id"]) for each in answer["rejected"]] == [(1, "b"), (2, None)]
    assert answer["rejected"][0]["reason"] == "probability is 1.5: must be between 0 and 1"


def test_a_batch_without_a_good_event_is_a_problem_that_lists_them(model, tools):
    body = model.send(tools.prediction("b", 1.5), status=422)
    reason = "probability is 1.5: must be between 0 and 1"
    assert body["errors"] == [{"field": "events[0]", "value": "b", "reason": reason}]
    assert body["accepted"] == 0
    assert body["rejected"] == [{"index": 0, "event_id": "b", "reason": reason, "code": "out_of_range", "model": "m"}]


def test_lines_and_compressed_events_are_taken(model, tools):
    lines = "\n".join(json.dumps(tools.prediction(name, 0.5)) for name in "ab").encode()
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    assert model.ask("POST", EVENTS, content=gzip.compress(lines), headers=headers)["accepted"] == 2
    model.roll_up()
    assert model.get("/v1/models/m")["predictions"] == 2


def test_events_are_put_off_while_the_roll_up_is_too_far_behind(api_on, sqlite_url, tools):
    api = api_on(sqlite_url, limit=1)
    answers = []
    for name in range(200):
        answers.append(
            api.client.post(EVENTS, json={"events": [tools.prediction(f"{name}-{i}", 0.5) for i in range(2)]})
        )
        if answers[-1].status_code != 200:
            break
        time.sleep(0.05)
    assert answers[-1].status_code == 503
    assert answers[-1].headers["retry-after"] == "5"
    assert api.checked("POST", EVENTS, answers[-1])["title"] == "Not available now"
    api.roll_up()
    assert api.get("/v1/models/m")["predictions"] == 2 * (len(answers) - 1)


def test_a_path_that_is_not_utf_8_is_refused(model):
    response = model.client.get("/v1/models/%FF/calibration")
    assert response.status_code == 400
    model.checked("GET", "/", response)


# Who may ask


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "[::1", "", "127.0.0.1.nip.io", "10.0.0.1:80"]
)
def test_without_keys_another_host_name_is_refused(model, host):
    model.ask("GET", "/v1/models", headers={"Host": host}, status=403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_without_keys_this_machine_is_let_in(model, host):
    model.ask("GET", "/v1/models", headers={"Host": host})


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:81", "http://[", "file://"])
def test_without_keys_pages_of_another_origin_change_nothing(model, origin):
    model.ask("PUT", "/v1/models/m", json={}, headers={"Origin": origin}, status=403)
    model.ask("GET", "/v1/models/m", headers={"Origin": origin})


def test_without_keys_the_own_page_may_change_things(model):
    model.ask("PUT", "/v1/models/m", json={}, headers={"Origin": "http://localhost"})


@pytest.fixture
def keyed(sqlite_api):
    """Return the API on a server that has a key, and the key."""
    with sqlite_api.services.database.write() as connection:
        return sqlite_api, keys.create(connection, "test", 0)


def test_with_a_key_every_call_needs_one(keyed):
    api, key = keyed
    for method, path in calls(api.client.app):
        response = api.client.request(method, path)
        assert response.status_code == 401 if path.startswith("/v1/") else response.status_code != 401, path
        if response.status_code == 401:
            assert response.headers["www-authenticate"] == "Bearer"
            assert api.checked(method, path, response)["title"] == "Key needed"
    assert api.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})["models"] == []
    assert api.ask("GET", "/v1/models", headers={"Authorization": f"bearer  {key}", "Host": "any.example"})


@pytest.mark.parametrize("given", ["Bearer", "Bearer wrong", "Basic {key}", "{key}", "Bearer {key}x", "Bearer \xff"])
def test_a_wrong_key_is_refused(keyed, given):
    api, key = keyed
    headers = {"Authorization": given.format(key=key).encode("latin-1")}
    api.ask("GET", "/v1/models", headers=headers, status=401)
    api.ask("POST", EVENTS, json={"events": []}, headers=headers, status=401)


def test_a_revoked_key_ends(keyed, monkeypatch):
    monkeypatch.setattr("monitor.api.auth.FRESH_SECONDS", -1.0)
    api, key = keyed
    headers = {"Authorization": f"Bearer {key}"}
    with api.services.database.write() as connection:
        other = keys.create(connection, "other", 0)
    api.ask("GET", "/v1/models", headers=headers)
    with api.services.database.write() as connection:
        keys.revoke(connection, 1, 1)
    api.ask("GET", "/v1/models", headers=headers, status=401)
    api.ask("GET", "/v1/models", headers={"Authorization": f"Bearer {other}"})


def test_the_page_and_probes_need_no_key(keyed):
    api, _ = keyed
    for path in ("/", "/static/page.js", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"):
        assert api.client.get(path).status_code == 200, path


def test_probes_answer_under_any_name(model):
    assert model.client.get("/healthz", headers={"Host": "10.1.2.3:8080"}).json() == {"status": "ok"}


def test_without_a_database_the_process_lives_and_is_not_ready(sqlite_api, monkeypatch):
    monkeypatch.setattr("monitor.api.auth.FRESH_SECONDS", -1.0)
    with sqlite_api.services.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE api_key")
        connection.exec_driver_sql("DROP TABLE alembic_version")
    assert sqlite_api.client.get("/healthz").status_code == 200
    assert sqlite_api.ask("GET", "/readyz", status=503)["title"] == "Not available now"


def test_a_fault_of_ours_is_a_problem_that_gives_nothing_away(sqlite_api):
    client = TestClient(
        create_app(sqlite_api.services, local=True, now=lambda: 1 // 0),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )
    response = client.get("/v1/models")
    assert response.status_code == 500
    body = sqlite_api.checked("GET", "/v1/models", response)
    assert "ZeroDivision" not in json.dumps(body)
