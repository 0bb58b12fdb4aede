"""The page, as a person meets it: in a real browser, on a real server."""

import re
import subprocess
import time
from urllib.parse import quote

import pytest

pytestmark = pytest.mark.browser

REFRESH_MS = 5_000
HOSTILE = '<img src=x onerror="window.pwned=1">\u202e"\'/&amp;<script>window.pwned=2</script>'
NBSP = "\u00a0"


def model_url(server, name, query=""):
    return f"{server.url}/#/model/{quote(name, safe='')}{query}"


def percent(value):
    return f"{100 * value:.1f}{NBSP}%"


# Words and figures


def test_what_the_page_says_is_what_the_api_answers(server, shared, open_page):
    answer = server.get(f"/v1/models/{shared}/calibration?window=24h")
    page = open_page(model_url(server, shared))
    page.wait_for_selector(".reliability")
    # On average it says .5 and .5 happens, but every answer is off: by .2, .1, .1 and .2.
    assert (
        page.inner_text(".sentence") == f"Overconfident: too extreme at both ends, off by 15.0{NBSP}points on average"
    )
    figures = dict(
        zip(
            page.locator(".figures dt").all_inner_texts(),
            page.locator(".figures dd:nth-of-type(1)").all_inner_texts(),
            strict=True,
        )
    )
    assert figures == {
        "ECE": "0.150",
        "At least": f"{answer['ece_lower_bound']:.3f}",
        "Brier": f"{answer['brier']:.3f}",
        "Log loss": f"{answer['log_loss']:.3f}",
        "Accuracy": "65.0\u00a0%",
        "Confidence": "50.0\u00a0%",
        "Labels": "1,600",
        "Coverage": "100.0\u00a0%",
    }
    page.locator("summary", has_text="Bins as a table").click()
    rows = page.locator(".as-table").first.locator("tbody tr")
    shown = [[cell.strip() for cell in row.locator("td").all_inner_texts()] for row in rows.all()]
    assert shown == [
        [
            f"{percent(each['lower'])} \u2013 {percent(each['upper'])}",
            percent(each["mean_confidence"]),
            percent(each["observed"]),
            f"{percent(each['observed_low'])} \u2013 {percent(each['observed_high'])}",
            str(each["count"]),
        ]
        for each in answer["reliability"]
        if each["count"]
    ]
    assert [row[4] for row in shown] == ["400"] * 4


def test_the_list_shows_every_model_with_its_state(server, open_page):
    address = server.feed("listed")
    server.wait(lambda: server.get(address)["alerts"] == 1, lambda: f"no alert: {server.get(address)}")
    listed = server.get("/v1/models")["models"]
    page = open_page(server.url)
    page.wait_for_selector(".model")
    names = page.locator(".model-name a").all_inner_texts()
    assert sorted(names) == sorted(each["model"] for each in listed)
    row = page.locator(".model", has_text="listed")
    assert (
        row.locator(".model-name p").inner_text()
        == f"Overconfident: too extreme at both ends, off by 15.0{NBSP}points on average"
    )
    row.locator(".firing", has_text="1 firing").wait_for()  # by the sequential test
    assert page.title().endswith("firing \u2013 calwatch")
    assert "All events received are included." in page.inner_text("main")


def test_a_version_is_looked_at_alone(server, shared, open_page):
    page = open_page(model_url(server, shared))
    page.select_option("select[name=version]", "1.0")
    page.wait_for_url(re.compile("version=1.0"))
    page.locator(".range", has_text="version 1.0").wait_for()
    labelled = server.get(f"/v1/models/{shared}/calibration?version=1.0")["labelled"]
    assert page.locator(".figures div", has_text="Labels").locator("dd").first.inner_text() == f"{labelled}"


def test_figures_are_explained_in_the_words_of_the_api(server, shared, open_page):
    api = server.get("/openapi.json")
    responses = api["paths"]["/v1/models/{model}/calibration"]["get"]["responses"]
    answers = responses["200"]["content"]["application/json"]["schema"]["anyOf"]
    schemas = [api["components"]["schemas"][answer["$ref"].rpartition("/")[2]] for answer in answers]
    (fields,) = (schema["properties"] for schema in schemas if "brier" in schema["properties"])
    explained = {
        name: field["description"].replace("`", "") for name, field in fields.items() if "description" in field
    }
    page = open_page(model_url(server, shared))
    page.wait_for_selector(".reliability")
    for name, field in (("ECE", "ece"), ("At least", "ece_lower_bound"), ("Brier", "brier")):
        page.locator(f".figures dt:text-is('{name}')").focus()
        assert page.inner_text("#tip").splitlines() == [name, explained[field]]
    page.locator("summary", has_text="More figures").click()
    shown = page.locator(".window-figures .facts .note").all_inner_texts()
    answer = server.get(f"/v1/models/{shared}/calibration?window=24h")
    figures = {name for name, value in answer.items() if type(value) in {int, float} and name in explained}
    said = {"ece", "ece_lower_bound", "brier", "log_loss", "accuracy", "mean_confidence", "labelled", "label_coverage"}
    assert sorted(text.lower().rstrip(".") for text in shown) == sorted(
        explained[name].lower().rstrip(".") for name in figures - said
    )
    assert {"mce", "smooth_ece", "debiased_l2"} <= figures


# Segments, tests, labels, classes, and tasks with figures of their own

SLICED = [
    ({"probability": p, "segments": {"country": country}}, int(i < right))
    for country, p, right in (("de", 0.95, 14), ("de", 0.05, 6), ("fr", 0.6, 19), ("fr", 0.4, 1))
    for i in range(20)
]
"""Of ten predictions, in one country those that say 95 % are right seven times, in the other those that say 60 % nearly always."""


def test_segments_tests_and_labels_are_what_the_api_answers(server, open_page):
    address = server.send("sliced", SLICED, times=15, segments=["country"])
    tests = f"{address}/evidence"
    server.wait(lambda: [each["labels"] for each in server.get(tests)["evidence"]] == [1200], lambda: "not all tested")
    (tested,) = server.get(tests)["evidence"]
    server.wait(lambda: server.get(address)["alerts"] == 2, lambda: f"alerts: {server.get(f'{address}/alerts')}")
    segments = server.get(f"{address}/segments?window=24h")["segments"]
    page = open_page(model_url(server, "sliced"))
    page.wait_for_selector(".ranked")
    rows = page.locator(".ranked tbody tr")
    assert rows.locator("button").all_inner_texts() == [each["segment"].replace(":", ": ") for each in segments]
    assert rows.locator("td:nth-child(2)").all_inner_texts() == [f"{each['ece']:.3f}" for each in segments]
    assert [each["flagged"] for each in segments] == [True, True]
    assert rows.locator(".badge", has_text="flagged").count() == 2
    assert f"{tested['labels']:,} labels" in page.inner_text(".tests-list")
    fires = tested["peak"] >= tested["fires_at"]
    assert page.locator(".tests-list .badge", has_text="alert").count() == fires == 1
    page.locator(".cohort").first.focus()
    assert f"100.0{NBSP}% of " in page.inner_text("#tip")
    rows.locator("button", has_text="fr").click()
    page.locator(".range", has_text="country: fr").wait_for()
    page.wait_for_selector(".verdict.bad")  # the alert on segments names it
    assert page.inner_text(".sentence").startswith("Underconfident")
    assert page.inner_text(".grounds").startswith("An alert")
    assert "segment=country%3Afr" in page.url
    assert page.locator("select[name=segment]").input_value() == "country:fr"


def test_nobody_is_told_to_wait_while_a_calibrator_waits_for_them(server, open_page):
    address = server.propose("undecided")
    page = open_page(model_url(server, "undecided", "?window=24h"))
    page.wait_for_selector(".verdict.bad, .verdict.doubt")
    assert server.get(f"{address}/calibration?window=24h")["remedy"] == "wait"
    assert page.inner_text(".remedy").startswith("What to do: decide on calibrator 1. ")


def test_a_firing_alert_is_never_under_too_few_labels(server, open_page):
    """Thirty labels of the last hour say nothing, and the alert of the hours before still fires."""
    address = server.feed("quiet", windows=["1h", "24h"])
    server.wait(lambda: server.get(address)["alerts"] == 1, lambda: f"no alert: {server.get(address)}")
    server.ask("PUT", address, {"minimum_labels": 5000})
    page = open_page(model_url(server, "quiet", "?window=1h"))
    page.wait_for_selector(".verdict.bad")
    answer = server.get(f"{address}/calibration?window=1h")
    assert (answer["verdict"], answer["labels_needed"] > 0) == ("miscalibrated", True)
    assert page.inner_text(".sentence") == "Miscalibrated, with few labels in this window"
    assert page.inner_text(".grounds").startswith("An alert has been firing since ")
    assert "Too few labels: 1,600, needs about 3,400 more." in page.inner_text(".grounds")
    assert page.locator(".model-head .badge.firing").inner_text() == "1 firing"
    assert page.locator(".tests-list li.firing").count() == 1
    # The list shows what was stored, which takes another evaluation.
    server.wait(
        lambda: server.get(address)["evaluation"]["labels_needed"], lambda: f"not evaluated: {server.get(address)}"
    )
    page.goto(server.url)
    row = page.locator(".model", has_text="quiet")
    row.wait_for()
    assert "bad" in row.get_attribute("class")
    assert row.locator(".model-name p").inner_text() == "Miscalibrated, with few labels in this window"


def test_an_alert_on_segments_is_never_under_too_few_labels(server, open_page):
    """Two countries are off by .25 in opposite directions; of the whole there are too few labels for a verdict."""
    cases = [
        ({"probability": 0.5, "segments": {"country": country}}, int((i == 0) == (country == "br")))
        for country in ("br", "de")
        for i in range(4)
    ]
    address = server.send("halves", cases, times=200, segments=["country"], minimum_labels=5000)
    server.wait(lambda: server.get(address)["alerts"] == 1, lambda: f"no alert: {server.get(f'{address}/alerts')}")
    page = open_page(model_url(server, "halves"))
    page.wait_for_selector(".verdict.doubt")
    answer = server.get(f"{address}/calibration?window=24h")
    assert (answer["verdict"], answer["labels_needed"] > 0) == ("too_few_labels", True)
    sentence = "Miscalibrated in some segments, with too few labels to judge the whole"
    assert page.inner_text(".sentence") == sentence
    assert page.inner_text(".grounds").startswith(answer["verdict_reason"])
    page.goto(server.url)
    row = page.locator(".model", has_text="halves")
    row.wait_for()
    assert "doubt" in row.get_attribute("class")
    assert row.locator(".model-name p").inner_text() == sentence


def test_scores_that_no_map_reads_have_no_verdict_and_the_page_says_why(server, open_page):
    """Right and wrong answers have the same scores."""
    cases = [({"prediction": "x", "score": -1.0 - i}, right) for i in range(2) for right in (True, True, False)]
    server.send("mute", cases, times=100, task="confidence")
    page = open_page(model_url(server, "mute"))
    page.wait_for_selector(".verdict.unsure")
    assert page.inner_text(".grounds").startswith("No map reads what the model sends as probabilities yet")


def test_rounding_is_called_rounding(server, open_page):
    now = int(time.time()) // 60 * 60
    address = "/v1/models/rounded"
    reference = stretch(now - 7200, now - 5400)
    server.ask("PUT", address, {"task": "binary", "minimum_labels": 100, "reference": reference, "windows": ["1h"]})
    events = [
        {
            "type": "prediction",
            "model": "rounded",
            "event_id": f"{before}-{n}",
            "timestamp": at(now - before),
            "probability": p,
        }
        for before, p in ((6000, 0.5), (600, 0.50000001))
        for n in range(200)
    ]
    server.ask("POST", "/v1/events", {"events": events})
    server.wait(lambda: (server.get(f"{address}/drift?window=1h")["psi"] or 0) > 10, lambda: "no drift was computed")
    page = open_page(model_url(server, "rounded", "?window=1h"))
    page.wait_for_selector("[data-key=drift] .hint")
    assert page.inner_text("[data-key=drift] .hint >> nth=0").startswith("Scores have not moved, but by rounding: PSI ")


def test_score_drift_is_what_the_api_answers(server, open_page):
    cases = [({"probability": p}, None) for p in (0.2, 0.4, 0.6, 0.8)]
    address = "/v1/models/drifting"
    now = int(time.time()) // 60 * 60
    server.ask("PUT", address, {"minimum_labels": 20, "reference": stretch(now - 1200, now - 600), "task": "binary"})
    server.ask("POST", "/v1/events", {"events": [
        {"type": "prediction", "model": "drifting", "event_id": f"{minute}-{n}", "timestamp": at(now - 60 * minute),
         "probability": fields["probability"] ** (3 if minute < 10 else 1)}
        for minute in range(1, 20) for n, (fields, _) in enumerate(cases)
    ]})  # fmt: skip
    server.wait(lambda: server.get(address)["predictions"] == 76, lambda: f"not rolled up: {server.get(address)}")
    answer = server.get(f"{address}/drift?window=24h")
    page = open_page(model_url(server, "drifting"))
    page.wait_for_selector("[data-key=drift]")
    shown = page.inner_text("[data-key=drift]")
    assert f"PSI {answer['psi']:.3f}" in shown
    assert f"compared with the declared range: {answer['reference_predictions']} of" in shown
    rows = page.locator("[data-key=drift] tbody tr").all_inner_texts()
    assert rows[0].split("\t")[:2] == ["PSI", f"{answer['psi']:.3f}"]


def stretch(start, end):
    return {"start": at(start), "end": at(end)}


def at(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def test_a_verdict_says_how_many_labels_it_lacks(server, open_page):
    address = server.send("lacking", [({"probability": 0.5}, 1), ({"probability": 0.5}, 0)], times=30)
    lacks = server.get(f"{address}/calibration")["labels_needed"]
    page = open_page(model_url(server, "lacking"))
    assert page.inner_text(".sentence") == f"Too few labels: 60, needs about {float(f'{lacks:.2g}'):,.0f} more"


def test_a_regression_shows_where_labels_fell_and_which_intervals_held(server, open_page):
    cases = [({"mean": 10.0, "std": 1.0}, 10.0 + step / 5) for step in range(-15, 16)]
    address = server.send("minutes", cases, times=20, task="regression")
    server.wait(lambda: server.get(address)["alerts"] == 1, lambda: f"no alert: {server.get(address)}")
    answer = server.get(f"{address}/calibration")
    page = open_page(model_url(server, "minutes"))
    page.wait_for_selector(".pit")
    assert page.inner_text(".sentence").startswith("Overconfident: too narrow, ")
    assert page.locator(".figures dt").all_inner_texts()[:4] == ["Quantile ECE", "At least", "CRPS", "Bias"]
    tips = page.locator(".pit-bar").evaluate_all("(bars) => bars.map((bar) => bar.dataset.tip.split('\\n')[1])")
    share = sum(answer["pit"]) / 100
    assert tips == [f"{size} labels, {size / share:.1f}{NBSP}%" for size in answer["pit"]]
    page.locator("summary", has_text="Intervals as a table").click()
    shown = page.locator(".diagram .as-table td:nth-child(2)").all_inner_texts()
    assert shown == [percent(each["observed"]) for each in answer["coverage"]]
    assert page.locator(".reliability, select[name=bins]").count() == 0


def test_what_people_say_is_drawn_value_by_value_and_classes_one_by_one(server, open_page):
    said = {0.62: 12, 0.65: 11, 0.9: 13, 0.99: 15}
    source = {"prediction": "x", "confidence_source": "verbalized"}
    cases = [({"confidence": p, **source}, i < right) for p, right in said.items() for i in range(20)]
    server.send("said", cases, times=5, task="confidence")
    page = open_page(model_url(server, "said"))
    page.wait_for_selector(".reliability")
    assert page.locator(".spot.bin").count() == len(said)
    page.select_option("select[name=bins]", "10")
    page.locator(".spot.bin").nth(3).wait_for(state="detached")
    assert page.locator(".spot.bin").count() == 3
    answers = [({"probabilities": [0.8, 0.1, 0.1]}, "abc"[i % 3]) for i in range(3)]
    server.send("kinds", answers, times=200, task="multiclass", classes=["a", "b", "c"], class_thresholds={"b": 0.05})
    page = open_page(model_url(server, "kinds"))
    page.wait_for_selector(".classes")
    rows = page.locator(".classes tbody tr").all()
    shares = [f"10.0{NBSP}%", f"33.3{NBSP}%"]
    assert [row.locator("td").all_inner_texts()[:3] for row in rows] == [
        ["b", *shares], ["a", f"80.0{NBSP}%", shares[1]], ["c", *shares],
    ]  # fmt: skip
    limits = {"thresholds": {"ece": 0.9}, "class_thresholds": {"b": 0.05}}
    server.send("classes", answers, times=200, task="multiclass", classes=["a", "b", "c"], **limits)
    server.wait(lambda: bool(server.get("/v1/models/classes/alerts")["alerts"]), lambda: "no alert on the class")
    page = open_page(model_url(server, "classes"))
    page.wait_for_selector(".verdict .sentence")
    assert page.inner_text(".verdict .sentence") == "Miscalibrated in class b"
    assert page.locator(".tests-name", has_text="class b, limit 0.05").count() == 1


def test_the_page_stands_without_what_is_asked_beside(server, open_page, watched):
    watched.expected = ("500",)
    server.send("beside", SLICED, times=5, segments=["country"])
    page = open_page(server.url)
    for call in ("segments", "labels", "evidence", "estimate"):
        page.route(f"**/v1/models/beside/{call}*", lambda route: route.fulfill(status=500, json={"title": "Broken"}))
    page.locator(".model-name a", has_text="beside").click()
    page.wait_for_selector(".reliability")
    assert page.locator(".part .trouble").all_inner_texts() == ["Broken."] * 3
    assert page.locator(".part.tests, .part.segments, .part.labels").count() == 3
    assert page.inner_text("#link").startswith("Live")


# Keyboard


def test_everything_can_be_done_by_keyboard(server, open_page):
    server.feed("keyboard", calibrators=1)
    page = open_page(server.url)
    page.wait_for_selector(".model")
    tab_to(page, "[href='#/model/keyboard']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".reliability")
    assert page.evaluate("document.activeElement.tagName") == "H1"
    tab_to(page, "input[name=window]")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("window=7d"))
    tab_to(page, "[data-act=promote]")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert page.evaluate("document.activeElement.dataset.act") == "promote"
    page.keyboard.press("Enter")
    tab_to(page, "[data-press=go]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-press=close]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-act=rollback]")
    assert server.get("/v1/models/keyboard")["champion"] == 1


def tab_to(page, selector, most=40):
    """Press Tab until what is wanted has the focus, which must be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
            assert page.evaluate("document.activeElement.matches(':focus-visible')")
            return
    pytest.fail(f"Tab never came to {selector}")


@pytest.mark.usefixtures("shared")
def test_the_first_tab_leads_past_the_head(server, open_page):
    page = open_page(server.url)
    page.wait_for_selector(".model")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_arrow_keys_move_between_bins_and_escape_hides_what_they_say(server, shared, open_page):
    page = open_page(model_url(server, shared))
    page.locator(".spot.bin").first.focus()
    assert page.inner_text("#tip").splitlines()[0] == f"Says 10.0{NBSP}%"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#tip").splitlines()[:2] == [
        f"Says 30.0{NBSP}%",
        f"Happens 40.0{NBSP}% (35.2{NBSP}% to 45.0{NBSP}%)",
    ]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#tip").splitlines()[0] == f"Says 10.0{NBSP}%"
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_the_pointer_shows_what_a_bin_says(server, shared, open_page):
    page = open_page(model_url(server, shared))
    page.locator(".spot.bin").nth(3).hover()
    assert "400 labels" in page.inner_text("#tip")
    page.mouse.move(2, 2)
    page.locator("#tip").wait_for(state="hidden")


# Renewal


def test_a_refresh_keeps_every_node_and_what_a_person_opened(server, shared, open_page, watched):
    page = open_page(model_url(server, shared))
    page.wait_for_selector(".timeline")
    page.locator(".as-table summary").first.click()
    page.locator(".spot.bin").nth(1).focus()
    page.keyboard.press("ArrowRight")
    page.evaluate("window.kept = [...document.querySelectorAll('main *:not(.timeline):not(.timeline *)')]")
    before = len(watched.requests)
    page.wait_for_timeout(REFRESH_MS + 1_000)
    assert len(watched.requests) > before
    assert page.evaluate("kept.filter((node) => !node.isConnected).map((node) => node.outerHTML.slice(0, 80))") == []
    assert page.locator(".as-table").first.get_attribute("open") is not None
    spots = "[...document.querySelectorAll('.spot.bin')].indexOf(document.activeElement)"
    assert page.evaluate(spots) == 2
    assert page.locator("#tip").is_visible()


def test_a_hidden_page_asks_for_nothing(server, shared, open_page, watched):
    page = open_page(model_url(server, shared))
    page.wait_for_selector(".reliability")
    say_hidden = """(value) => {
        Object.defineProperty(document, "hidden", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(say_hidden, True)
    page.wait_for_timeout(300)
    before = len(watched.requests)
    page.wait_for_timeout(REFRESH_MS + 1_000)
    assert len(watched.requests) == before
    page.evaluate(say_hidden, False)
    page.wait_for_timeout(500)
    assert len(watched.requests) > before


def test_new_events_are_seen_without_a_reload(server, open_page):
    server.feed("live")
    page = open_page(model_url(server, "live"))
    page.wait_for_selector(".reliability")
    event = {
        "type": "prediction",
        "event_id": "new",
        "model": "live",
        "timestamp": "2026-01-01T00:00:00Z",
        "probability": 0.5,
    }
    server.ask("POST", "/v1/events", {"events": [event]})
    page.locator(".model-head", has_text="1,601 predictions").wait_for()


# Address


def test_choices_are_in_the_address_and_survive_a_reload(server, shared, open_page, watched):
    page = open_page(model_url(server, shared))
    page.wait_for_selector(".reliability")
    page.locator("input[name=window][value='7d']").check(force=True)
    page.locator("input[name=scores][value=raw]").check(force=True)
    page.select_option("select[name=bins]", "30")
    page.select_option("select[name=version]", "2.0")
    page.locator(".spans button", has_text="30d").click()
    page.locator(".range", has_text="raw scores").wait_for()
    page.reload()
    page.wait_for_selector(".reliability")
    assert {part.split("=")[0]: part.split("=")[1] for part in page.url.split("?")[1].split("&")} == {
        "window": "7d", "scores": "raw", "bins": "30", "version": "2.0", "span": "30d",
    }  # fmt: skip
    assert page.locator("input[name=window]:checked").input_value() == "7d"
    assert page.locator("input[name=scores]:checked").input_value() == "raw"
    assert [page.locator(f"select[name={name}]").input_value() for name in ("bins", "version")] == ["30", "2.0"]
    assert page.locator(".spans [aria-pressed=true]").inner_text() == "30d"
    asked = next(url for url in reversed(watched.requests) if "/calibration?" in url)
    assert asked.partition("?")[2] == "window=7d&bins=30&scores=raw&version=2.0"


def test_back_and_forward_lead_where_they_should(server, shared, open_page):
    page = open_page(server.url)
    page.locator(".model-name a", has_text=shared).click()
    page.wait_for_selector(".reliability")
    page.go_back()
    page.locator("h1", has_text="Models").wait_for()
    page.go_forward()
    page.locator("h1", has_text=shared).wait_for()
    page.locator(".crumb a").click()
    page.wait_for_selector(".models")


def test_an_unknown_model_is_said_to_be_unknown(server, open_page, watched):
    watched.expected = ("404",)
    page = open_page(model_url(server, "nothing here"))
    page.locator("h1", has_text="No such model").wait_for()
    page.locator("main a", has_text="All models").click()
    page.locator("h1").wait_for()


# Doing things


def test_promoting_and_rolling_back_say_what_came_of_it(server, open_page):
    server.feed("promote", calibrators=2)
    page = open_page(model_url(server, "promote"))
    for number in (1, 2):
        page.locator(f"[data-act=promote][data-number='{number}']").click()
        assert page.inner_text("dialog h2") == f"Promote calibrator {number}?"
        page.locator("[data-press=go]").click()
        page.locator("dialog h2", has_text=f"Calibrator {number} is in service").wait_for()
        assert server.get("/v1/models/promote")["champion"] == number
        page.locator("[data-press=close]").click()
        page.locator(".version.serving", has_text=f"Calibrator {number}").wait_for()
    for words, champion in (("Calibrator 1 is in service again.", 1), ("No calibrator is in service", None)):
        page.locator("[data-act=rollback]").click()
        page.locator("[data-press=go]").click()
        page.locator("dialog p", has_text=words).wait_for()
        assert server.get("/v1/models/promote")["champion"] == champion
        page.locator("[data-press=close]").click()
    page.locator("[data-act=rollback]").wait_for(state="detached")


def test_a_rejection_is_logged_with_its_reason(server, open_page):
    server.propose("rejected")
    page = open_page(model_url(server, "rejected"))
    page.locator("[data-act=reject]").click()
    page.get_by_label("Reason, for the log (optional)").fill("  the labels were wrong ")
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text="Calibrator 1 is rejected").wait_for()
    step = server.get("/v1/models/rejected/audit")["audit"][-1]
    assert (step["action"], step["detail"]["reason"]) == ("reject", "the labels were wrong")


def test_other_settings_are_tried_and_what_they_would_have_done_is_shown(server, open_page):
    server.feed("replayed", recalibration="off")
    page = open_page(model_url(server, "replayed"))
    page.locator("[data-act=replay]").click()
    page.locator("dialog input").fill('{"thresholds": {"ece": 0.02}, "step": "1m"}')
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text="Replay 1 is running").wait_for()
    page.locator("[data-press=close]").click()
    page.locator("[data-act=showReplay]").click(timeout=60_000)
    page.locator("dialog p", has_text="1 alert, 0 promotions, 0 rollbacks in").wait_for()
    page.locator("dialog li", has_text="Miscalibration").wait_for()


def test_settings_that_are_no_json_are_refused(server, shared, open_page):
    page = open_page(model_url(server, shared))
    page.locator("[data-act=replay]").click()
    page.locator("dialog input").fill("ece = 0.02")
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text="That did not work").wait_for()
    assert server.get(f"/v1/models/{shared}/replays") == {"replays": []}


def test_a_promotion_is_shown_before_it_is_made(server, open_page):
    server.feed("previewed", calibrators=1, decisions={"approve": {"threshold": 0.65}})
    page = open_page(model_url(server, "previewed"))
    found = server.get("/v1/models/previewed/calibrators/1/difference")
    page.locator("[data-act=promote]").click()
    page.locator("dialog .maps .curve.after").wait_for()
    words = f"would change by {found['mean_change']:.3f} on average, and by up to {found['largest_change']:.3f}"
    assert words in page.inner_text("dialog")
    assert page.inner_text("dialog .map-key.before") == "Now: no calibrator"
    row = [cell.strip() for cell in page.locator("dialog .impact td").all_inner_texts()]
    sides = [found["decisions"][0][side] for side in ("before", "after")]
    assert row == ["approve", *(percent(side[name]) for side in sides for name in ("share", "expected_precision"))]
    page.locator("[data-press=cancel]").click()
    page.locator("[data-act=compare]").click()
    page.locator("dialog .maps .curve.after").wait_for()
    page.locator("[data-press=close]").click()
    assert server.get("/v1/models/previewed")["champion"] is None


@pytest.mark.parametrize(("task", "curves"), [("binary", 1), ("regression", 1), ("multiclass", 3)])
def test_a_map_is_drawn_from_the_points_of_the_api(server, open_page, task, curves):
    name = f"mapped/{task}"
    cases = {
        "binary": [({"probability": p}, int(i < right)) for p, right in ((0.9, 14), (0.1, 6)) for i in range(20)],
        "regression": [({"mean": 10.0, "std": 1.0}, 10.0 + step / 5) for step in range(-15, 16)],
        "multiclass": [
            ({"probabilities": list(p)}, label)
            for p, labels in {
                (0.8, 0.1, 0.1): "aaaabc",
                (0.4, 0.3, 0.3): "aabbcc",
                (0.2, 0.6, 0.2): "abbbcb",
                (0.1, 0.2, 0.7): "accccb",
            }.items()
            for label in labels
        ],
    }[task]
    method = {"binary": "quadratic_logit", "regression": "variance_scaling", "multiclass": "vector"}[task]
    classes = {"classes": ["a", "b", "c"]} if task == "multiclass" else {}
    address = server.send(name, cases, times=20, task=task, minimum_labels=100, **classes)
    refitted = server.ask("POST", f"{address}/calibrators", {"method": method, "holdout": 0})
    assert refitted["number"] == 1, refitted["reason"]
    drawn = server.get(f"{address}/calibrators/1/map")["curves"]
    page = open_page(model_url(server, name))
    page.wait_for_selector(".mapping .curve")
    paths = page.locator(".mapping .curve").evaluate_all("(paths) => paths.map((path) => path.getAttribute('d'))")
    points = [[[float(number) for number in point.split()] for point in re.split("[ML]", path)[1:]] for path in paths]
    assert len(points) == len(drawn) == curves
    for curve, line in zip(drawn, points, strict=True):
        expected = [[4 + 84 * x, 88 - 84 * y] for x, y in zip(curve["x"], curve["y"], strict=True)]
        assert line == [pytest.approx(point, abs=0.051) for point in expected]


def test_the_page_has_words_for_every_step_of_the_audit_log(server, shared, open_page):
    steps = {step for schema in named(server.get("/openapi.json"), "action") for step in schema["enum"]}
    page = open_page(model_url(server, shared))
    unknown = """async (steps) => {
        const { isWorded } = await import("./static/views/audit.js");
        return steps.filter((step) => !isWorded(step));
    }"""
    assert {"register", "proposal_worse", "proposal_better"} <= steps
    assert page.evaluate(unknown, sorted(steps)) == []


def named(api, field):
    """Yield the schemas of a field in the API's description, each reference followed."""
    for schema in api["components"]["schemas"].values():
        if field in schema.get("properties", {}):
            found = schema["properties"][field]
            found = found["allOf"][0] if "allOf" in found else found
            yield api["components"]["schemas"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def test_a_refit_can_be_tried_without_a_trace(server, open_page):
    server.feed("tried", recalibration="propose", minimum_labels=1600)
    page = open_page(model_url(server, "tried"))
    before = server.get("/v1/models/tried/calibrators")["calibrators"]
    page.locator("[data-act=refit]").click()
    page.locator("[data-press=try]").click()
    page.locator("dialog h2", has_text="map would pass").wait_for()
    assert "Nothing changed." in page.inner_text("dialog")
    page.locator("[data-press=close]").click()
    assert server.get("/v1/models/tried/calibrators")["calibrators"] == before


def test_nothing_happens_before_the_second_click(server, shared, open_page, watched):
    page = open_page(model_url(server, shared))
    page.locator("[data-act=promote]").click()
    page.locator("[data-press=cancel]").click()
    page.wait_for_selector("dialog:not([open])", state="attached")
    assert server.get(f"/v1/models/{shared}")["champion"] is None
    assert not any(url.endswith("/promote") for url in watched.requests)


def test_a_refit_says_which_version_came_of_it(server, open_page):
    server.feed("refit", recalibration="propose", minimum_labels=1600)
    page = open_page(model_url(server, "refit"))
    before = len(server.get("/v1/models/refit/calibrators")["calibrators"])
    page.locator("[data-act=refit]").click()
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text=f"Calibrator {before + 1} is ready").wait_for()
    page.locator("[data-press=close]").click()
    assert len(server.get("/v1/models/refit/calibrators")["calibrators"]) == before + 1
    page.locator(".version h3", has_text=f"Calibrator {before + 1}").wait_for()


def test_a_refused_refit_says_why(server, open_page):
    server.ask("PUT", "/v1/models/unlabelled", {})
    page = open_page(model_url(server, "unlabelled"))
    page.locator("[data-act=refit]").click()
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text="Refused: nothing changed").wait_for()
    assert "there are no labels; at least 200 are needed" in page.inner_text("dialog")


def test_a_conflict_is_shown_with_its_reason(server, open_page, watched):
    watched.expected = ("409",)
    address = server.feed("conflict", calibrators=1)
    server.ask("POST", f"{address}/calibrators/1/promote", {})
    page = open_page(model_url(server, "conflict"))
    page.locator("[data-act=rollback]").click()
    server.ask("POST", f"{address}/calibrators/rollback", {})
    page.locator("[data-press=go]").click()
    page.locator("dialog h2", has_text="That did not work").wait_for()
    assert "nothing to roll back" in page.inner_text("dialog")


# Safety


def test_names_run_nothing_and_break_nothing(server, open_page):
    address = server.feed(HOSTILE, versions=("<b>1</b>", "2"), calibrators=1)
    server.ask("POST", f"{address}/calibrators/1/promote", {})
    page = open_page(server.url)
    page.locator(".model-name a", has_text="window.pwned=1").first.click()
    page.wait_for_selector(".reliability")
    assert page.locator("h1").inner_text() == HOSTILE
    page.locator("[data-act=rollback]").click()
    assert HOSTILE in page.inner_text("dialog")
    page.locator("[data-press=cancel]").click()
    assert page.locator("main img, main script, main b").count() == 0
    assert page.evaluate("window.pwned") is None


def test_a_script_from_elsewhere_is_refused(server, open_page, watched):
    watched.expected = ("Content Security Policy",)
    page = open_page(server.url)
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.pwned = 1";
        document.body.append(script);
    }""")
    assert page.evaluate("window.pwned") is None
    assert any("Content Security Policy" in text for text in watched.complaints)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_works_with_nothing_from_elsewhere(server, open_page, path):
    page = open_page(server.url + path)
    page.locator("text=calwatch").first.wait_for()
    if path == "/docs":
        page.get_by_text("/v1/events", exact=True).first.wait_for()


# Other states of the server


def test_the_command_that_an_empty_server_shows_works_as_it_stands(fresh, open_page):
    page = open_page(fresh.url)
    command = page.inner_text("#curl")
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == '{"accepted":2,"rejected":[]}'
    page.locator(".model-name a", has_text="my-model").wait_for()
    assert fresh.get("/v1/models/my-model")["labelled"] == 1


def test_a_server_that_wants_a_key_is_given_one(fresh, open_page, watched):
    watched.expected = ("401",)
    fresh.ask("PUT", "/v1/models/keyed", {})
    key = fresh.run("keys", "create", "browser")
    time.sleep(2.5)  # servers look for new keys every two seconds
    page = open_page(model_url(fresh, "keyed"))
    page.wait_for_selector("#key")
    assert page.evaluate("document.activeElement.id") == "key-field"
    page.fill("#key-field", "cw_wrong")
    page.keyboard.press("Enter")
    page.locator("#key-error", has_text="refused").wait_for()
    page.fill("#key-field", key)
    page.keyboard.press("Enter")
    page.locator("h1", has_text="keyed").wait_for()
    assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [1, 0, ""]
    page.locator("#forget").click()
    page.wait_for_selector("#key")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_server_that_goes_is_said_to_be_gone_and_found_again(fresh, open_page, watched):
    watched.expected = ("ERR_CONNECTION_REFUSED",)
    fresh.ask("PUT", "/v1/models/gone", {})
    page = open_page(model_url(fresh, "gone"))
    page.locator("h1", has_text="gone").wait_for()
    fresh.kill()
    page.locator("#banner", has_text="The server does not answer. Shown is the state of").wait_for()
    assert page.locator("h1", has_text="gone").is_visible()
    fresh.start()
    page.locator("#banner").wait_for(state="hidden")
    assert page.inner_text("#link").startswith("Live")


# Looks


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1200, "light")])
def test_nothing_is_wider_than_the_screen(server, shared, open_page, scheme, width):
    name = "wide/" + "x" * 150
    server.ask("PUT", f"/v1/models/{name}", {})
    for url in (server.url, model_url(server, name), model_url(server, shared)):
        page = open_page(url, color_scheme=scheme, viewport={"width": width, "height": 800})
        page.locator("h1").wait_for()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
