"""What the API says of versions and segment values past a model's limits."""


def test_predictions_past_the_limits_are_counted_and_their_figures_shown(api, tools):
    api.put("m", status=201, task="binary", segments=["country"], most_versions=1, most_segment_values=1)
    sent = [("1", "de"), ("2", "fr"), ("3", "ch"), ("1", "fr")]
    for i, (version, country) in enumerate(sent):
        fields = {"model_version": version, "segments": {"country": country}}
        api.send(tools.prediction(f"e{i}", 0.5, **fields), tools.label(f"e{i}", 1))
    assert api.get("/v1/models/m")["unnamed"] == {"segment country": 3, "version": 2}
    day = {"start": "2026-01-05T00:00:00Z", "end": "2026-01-06T00:00:00Z"}
    assert api.get("/v1/models/m/calibration", **day)["labelled"] == 4
    assert api.get("/v1/models/m/calibration", **day, version="__other__")["labelled"] == 2
    assert api.get("/v1/models/m/calibration", **day, segment="country:__other__")["labelled"] == 3
    exported = api.client.get("/metrics").text
    assert 'calibration_events_unnamed_total{model="m",of="segment country"} 3.0' in exported
    assert 'calibration_events_unnamed_total{model="m",of="version"} 2.0' in exported
