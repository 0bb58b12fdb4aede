"""The Grafana dashboard as code: `python grafana/dashboard.py` writes calibration.json beside this file."""  # noqa: INP001 - a script, not a package

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
    xychart,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import xychart as xychart_shapes
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

OUTPUT: Final = Path(__file__).with_name("calibration.json")

SOURCE: Final = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24
DASH: Final = {"fill": "dash", "dash": [10, 10]}
GREEN, AMBER, RED, BLUE, GREY = "green", "orange", "red", "blue", "#8e8e8e"

# Label matchers of the variables. The custom value behind "All" of the segment matches the empty label: the model as a whole.
WHOLE_MODEL: Final = "^$"
MODEL: Final = 'model="$model"'
VERSIONS: Final = f'{MODEL}, model_version=~"$model_version"'
WHOLE: Final = f'{VERSIONS}, segment="", window="$window"'
CHOSEN: Final = f'{VERSIONS}, segment=~"$segment", window="$window"'

# Every replica reports the same figures: max over the replicas, never sum.
BY_VERSION: Final = "max by (model_version, segment)"
BY_MODEL: Final = "max by (model, model_version, window)"


Panel: TypeAlias = stat.Panel | statetimeline.Panel | table.Panel | timeseries.Panel | xychart.Panel


def build() -> dict[str, Any]:
    """Return the dashboard as JSON."""
    board = (
        dashboard.Dashboard("Model calibration")
        .uid("calwatch-calibration")
        .description("Whether models still mean what they say, what moved, and whether the watch itself works.")
        .tags(["calwatch", "calibration"])
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    for variable in variables():
        board.with_variable(variable)
    for title, panels in rows():
        board.with_row(dashboard.Row(title))
        for panel in panels:
            board.with_panel(panel)
    built = board.build()
    # Fixed numbers, so that links to panels stay valid.
    for number, placed in enumerate(built.panels or (), start=1):
        placed.id_val = number
    found: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
    return found


def text() -> str:
    """Return the content of the file."""
    return json.dumps(build(), indent=2, sort_keys=True) + "\n"


def variables() -> list[Any]:
    """Return the variables, each limited by the choices before it."""
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _chosen("model", "Model", "label_values(calibration_window_samples, model)"),
        _chosen("model_version", "Version", f"label_values(calibration_window_samples{{{MODEL}}}, model_version)")
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(text=["All"], value=["$__all"])),
        _chosen("window", "Window", f"label_values(calibration_window_samples{{{MODEL}}}, window)").current(
            model.VariableOption(text="24h", value="24h")
        ),
        _chosen("segment", "Segment", f"label_values(calibration_window_samples{{{MODEL}}}, segment)")
        .description("All is the model as a whole; its segments follow.")
        .include_all(True)
        .all_value(WHOLE_MODEL)
        .current(model.VariableOption(text="All", value="$__all")),
    ]


def _chosen(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": name})
        .definition(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def rows() -> list[tuple[str, list[Panel]]]:
    """Return the panels under their headings, from the overview to details."""
    return [
        ("All models", [models()]),
        ("$model over $window", [reliability(), ece(), samples(), coverage(), drift(), losses()]),
        (
            "Tests, segments and labels to come of $model",
            [evidence(), expected_accuracy(), expected_ece(), flagged(), crps()],
        ),
        ("Alerts and calibrators of $model", [alerts(), calibrator_version(), calibrator()]),
        ("Pipeline", [ingested(), refused(), behind(), job_ages(), trouble()]),
    ]


def models() -> Panel:
    """Return the table of every version of every model, with its state."""
    shown = f'{BY_MODEL} (calibration_window_samples{{segment=""}})'
    error = f'{BY_MODEL} (calibration_ece_ratio{{segment=""}})'
    serving = "max by (model) (calibration_calibrator_version)"
    columns = {
        "State": f'{BY_MODEL} (calibration_verdict{{segment=""}})',
        "ECE": error,
        "at least": f'{BY_MODEL} (calibration_ece_lower_bound_ratio{{segment=""}})',
        "PSI": f'{BY_MODEL} (calibration_drift_psi{{segment=""}})',
        "Predictions": shown,
        "Labelled": f'{BY_MODEL} (calibration_window_labelled_ratio{{segment=""}})',
        "Calibrator": f"0 * {shown} + on (model) group_left () {serving}",
    }
    panel = table.Panel().targets([_cells(expression, name) for name, expression in _lettered(columns.values())])
    renamed = {f"Value #{letter}": name for letter, name in zip(_letters(columns), columns, strict=True)}
    renamed |= {"model": "Model", "model_version": "Version", "window": "Window"}
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(_organised(renamed, list(renamed.values())[-3:] + list(columns)))
    for name in ("ECE", "at least", "Labelled"):
        panel.override_by_name(name, [_property("unit", "percentunit"), _property("decimals", 1)])
    panel.override_by_name("PSI", [_property("decimals", 2)])
    panel.override_by_name("Calibrator", [_property("mappings", [_named({"0": ("none", GREY)})])])
    states = {
        "0": ("calibrated", GREEN),
        "1": ("suspect", AMBER),
        "2": ("miscalibrated", RED),
        "-1": ("too few labels", GREY),
    }
    colored = _property("custom.cellOptions", {"type": "color-text"})
    panel.override_by_name("State", [_property("mappings", [_named(states)]), colored])
    return _described(
        panel,
        "Models",
        "One line per model version and window. ECE is the calibration error; `at least` is its lower bound, which decides about alerts.",
        WIDTH,
        8,
    )


def reliability() -> Panel:
    """Return the reliability diagram: mean confidence against observed frequency per bin."""
    weight = f"sum by (bin) (max by (bin, model_version) (calibration_bin_samples{{{WHOLE}}}))"
    columns = {
        "confidence": _pooled("calibration_bin_confidence_ratio"),
        "observed": _pooled("calibration_bin_observed_ratio"),
        "perfectly calibrated": _pooled("calibration_bin_confidence_ratio"),
        "labels": f"{weight} > 0",
    }
    renamed = {f"Value #{letter}": name for letter, name in zip(_letters(columns), columns, strict=True)}
    panel = (
        xychart.Panel()
        .targets([_cells(expression, name) for name, expression in _lettered(columns.values())])
        .with_transformation(
            model.DataTransformerConfig(id_val="joinByField", options={"byField": "bin", "mode": "inner"})
        )
        .with_transformation(_organised(renamed, ["bin", *columns]))
        .with_transformation(model.DataTransformerConfig(id_val="sortBy", options={"sort": [{"field": "confidence"}]}))
        .mapping(xychart_shapes.SeriesMapping.MANUAL)
        .series([_series("observed", size="labels"), _series("perfectly calibrated")])
        .unit("percentunit")
        .min(0)
        .max(1)
        .point_size(xychart.XychartFieldConfigPointSize().min(4).max(24))
        .legend(_legend())
        .override_by_name("confidence", [_property("custom.axisLabel", "mean confidence")])
        .override_by_name("observed", [_property("custom.axisLabel", "observed"), _color(BLUE)])
        .override_by_name("perfectly calibrated", [_property("custom.show", "lines"), _color(GREY)])
        .override_by_name("labels", [_property("unit", "short"), _property("max", None)])
    )
    return _described(
        panel,
        "Reliability",
        "One point per bin of confidence: below the line the model says more than happens, and answers are overconfident; above it "
        "less, and answers are underconfident. The larger the point, the more labels. It is of the model as a whole; several versions "
        "are pooled.",
        WIDTH // 2,
        12,
    )


def _pooled(metric: str) -> str:
    """Return the mean of a bin over the chosen versions, weighted by labels, which equals that of pooled sums."""
    value = f"max by (bin, model_version) ({metric}{{{WHOLE}}})"
    count = f"max by (bin, model_version) (calibration_bin_samples{{{WHOLE}}})"
    return f"sum by (bin) ({value} * {count}) / sum by (bin) ({count} > 0)"


def ece() -> Panel:
    """Return the calibration error, its lower bound, its null mean and the threshold."""
    panel = _lines(
        {
            "ECE {{model_version}}": f"{BY_VERSION} (calibration_ece_ratio{{{CHOSEN}}})",
            "at least {{model_version}}": f"{BY_VERSION} (calibration_ece_lower_bound_ratio{{{CHOSEN}}})",
            "of a calibrated model {{model_version}}": f"{BY_VERSION} (calibration_ece_null_mean_ratio{{{CHOSEN}}})",
            "threshold": f'max(calibration_threshold{{{MODEL}, metric="ece"}})',
        }
    )
    panel.unit("percentunit").axis_soft_min(0).override_by_name("threshold", _dashed(RED))
    panel.override_by_regexp("/^of a calibrated/", _dashed(GREY))
    return _described(
        panel,
        "Expected calibration error",
        "The alert fires when `at least`, the lower bound, is above the threshold. `of a calibrated model` is the error due to chance "
        "alone. Nothing is drawn with too few labels.",
        WIDTH // 2,
        12,
    )


def samples() -> Panel:
    """Return the number of predictions in the window."""
    panel = _lines({"{{model_version}} {{segment}}": f"{BY_VERSION} (calibration_window_samples{{{CHOSEN}}})"})
    panel.axis_soft_min(0)
    return _described(panel, "Predictions in the window", "In the newest window with matured labels.", 6)


def coverage() -> Panel:
    """Return the share of predictions that have a label."""
    panel = _lines({"{{model_version}} {{segment}}": f"{BY_VERSION} (calibration_window_labelled_ratio{{{CHOSEN}}})"})
    panel.unit("percentunit").min(0).max(1)
    return _described(
        panel,
        "Labelled",
        "The share of the window's predictions with a label. The alert `missing_labels` fires when it is significantly lower than usual.",
        6,
    )


def drift() -> Panel:
    """Return the drift of scores, which needs no labels."""
    panel = _lines(
        {
            "PSI {{model_version}} {{segment}}": f"{BY_VERSION} (calibration_drift_psi{{{CHOSEN}}})",
            "threshold": f'max(calibration_threshold{{{MODEL}, metric="psi"}})',
        }
    )
    panel.axis_soft_min(0).override_by_name("threshold", _dashed(RED))
    return _described(
        panel, "Score drift", "Population stability index of the model's own scores against the reference.", 6
    )


def losses() -> Panel:
    """Return the proper scores."""
    panel = _lines(
        {
            "Brier {{model_version}}": f"{BY_VERSION} (calibration_brier_score{{{CHOSEN}}})",
            "log loss {{model_version}}": f"{BY_VERSION} (calibration_log_loss{{{CHOSEN}}})",
            "largest gap {{model_version}}": f"{BY_VERSION} (calibration_mce_ratio{{{CHOSEN}}})",
        }
    )
    panel.axis_soft_min(0)
    return _described(panel, "Brier score, log loss, largest gap of a bin", "Lower is better.", 6)


def evidence() -> Panel:
    """Return the e-values of the sequential tests."""
    panel = _lines(
        {
            "e-value {{model_version}}": f"max by (model_version) (calibration_e_value_log{{{VERSIONS}}})",
            "alert {{model_version}}": f"max by (model_version) (calibration_e_value_log_threshold{{{VERSIONS}}})",
        }
    )
    panel.decimals(1).override_by_regexp("/^alert/", _dashed(RED))
    return _described(
        panel,
        "Evidence (natural logarithm of the e-value)",
        "The sequential test against an error within the threshold, of each version as a whole. It fires at its dashed line: a model "
        "within the threshold gets there no more often than its `guarantee` says, under continuous monitoring.",
        8,
    )


def expected_accuracy() -> Panel:
    """Return the estimated accuracy of the newest predictions beside the last observed one."""
    return _expected("Accuracy", "accuracy")


def expected_ece() -> Panel:
    """Return the estimated calibration error of the newest predictions beside the last observed one."""
    return _expected("ECE", "ece", limited=True)


def _expected(title: str, name: str, *, limited: bool = False) -> Panel:
    lines = {
        "expected {{model_version}}": f"max by (model_version) (calibration_expected_{name}_ratio{{{WHOLE}}})",
        "observed {{model_version}}": f"max by (model_version) (calibration_{name}_ratio{{{WHOLE}}})",
    }
    if limited:
        lines["threshold"] = f'max(calibration_threshold{{{MODEL}, metric="ece"}})'
    panel = _lines(lines)
    panel.unit("percentunit").override_by_regexp("/^expected/", [_property("custom.lineStyle", DASH)])
    if limited:
        panel.axis_soft_min(0).override_by_name("threshold", _dashed(RED))
    return _described(
        panel,
        f"{title}: expected and observed",
        "Expected in the newest window, before its labels, if the calibration map has not changed; observed in the newest window with "
        "matured labels.",
        8,
    )


def flagged() -> Panel:
    """Return the flagged segments."""
    place = f'{VERSIONS}, segment!="", window="$window"'
    expression = f"max by (segment, model_version) (calibration_segment_flagged{{{place}}})"
    panel = (
        statetimeline.Panel()
        .with_target(_range(expression, "A", "{{segment}} {{model_version}}"))
        .mappings([_named({"0": ("within chance", GREEN), "1": ("flagged", RED)})])
        .show_value(shapes.VisibilityMode.NEVER)
        .legend(_legend())
    )
    return _described(
        panel,
        "Flagged segments",
        "Segments with evidence of miscalibration; on average at most the share `false_alarm_rate` of them is calibrated.",
        16,
    )


def crps() -> Panel:
    """Return the proper score of regressions."""
    panel = _lines({"CRPS {{model_version}} {{segment}}": f"{BY_VERSION} (calibration_crps{{{CHOSEN}}})"})
    panel.axis_soft_min(0)
    return _described(
        panel,
        "CRPS (regressions)",
        "Mean continuous ranked probability score, in the unit of the label; lower is better.",
        8,
    )


def alerts() -> Panel:
    """Return the states of the model's alerts over time."""
    expression = f"max by (kind, model_version, window, segment) (calibration_alert_active{{{VERSIONS}}})"
    panel = (
        statetimeline.Panel()
        .with_target(_range(expression, "A", "{{kind}} {{model_version}} {{window}} {{segment}}"))
        .mappings([_named({"0": ("quiet", GREEN), "1": ("firing", RED)})])
        .show_value(shapes.VisibilityMode.NEVER)
        .legend(_legend())
    )
    return _described(panel, "Alerts", "All alerts that ever changed their state.", WIDTH // 2)


def calibrator_version() -> Panel:
    """Return the calibrator in service over time."""
    panel = _lines({"{{model}}": f"max by (model) (calibration_calibrator_version{{{MODEL}}})"})
    panel.decimals(0).axis_soft_min(0).line_interpolation(shapes.LineInterpolation.STEP_AFTER)
    return _described(panel, "Calibrator in service", "Its number; 0 is none. A step down is a rollback.", WIDTH // 4)


def calibrator() -> Panel:
    """Return the calibrator in service now."""
    serving = f"max by (calibrator_version, method, sha256) (calibration_calibrator_info{{{MODEL}}})"
    renamed = {"calibrator_version": "Version", "method": "Method", "sha256": "SHA-256"}
    panel = table.Panel().with_target(_cells(serving, "A")).no_value("none")
    panel.with_transformation(_organised(renamed, list(renamed.values()), hidden=("Time", "Value")))
    return _described(panel, "Serving now", "Clients apply the document with this hash.", WIDTH // 4)


def ingested() -> Panel:
    """Return the rate of events."""
    rate = "max by (event_type) (rate(calibration_events_ingested_total[$__rate_interval]))"
    panel = _lines({"{{event_type}}": rate})
    panel.unit("cps").axis_soft_min(0)
    return _described(panel, "Events", "Predictions and labels rolled up per second, repeats included.", 5)


def refused() -> Panel:
    """Return the rates of rejected, repeated and conflicting events."""
    panel = _lines(
        {
            "rejected: {{reason}}": "sum by (reason) (max by (model, reason) (rate(calibration_events_rejected_total[$__rate_interval])))",
            "repeated": "max(rate(calibration_events_duplicate_total[$__rate_interval]))",
            "label conflicts": "sum(max by (model) (rate(calibration_label_conflicts_total[$__rate_interval])))",
            "prediction conflicts": "sum(max by (model) (rate(calibration_prediction_conflicts_total[$__rate_interval])))",
        }
    )
    panel.unit("cps").axis_soft_min(0)
    return _described(
        panel, "Rejected, repeated, conflicting", "Events per second that were sent and did not count.", 5
    )


def behind() -> Panel:
    """Return the backlog of the roll-up."""
    panel = _lines(
        {
            "waiting": "max(calibration_journal_backlog_events)",
            "age of the oldest": "max(calibration_rollup_lag_seconds)",
        }
    )
    panel.axis_soft_min(0).override_by_name("age of the oldest", [_property("unit", "s"), *_on_the_right()])
    return _described(panel, "Waiting to be rolled up", "Accepted events that are not in the figures yet.", 5)


def job_ages() -> Panel:
    """Return the time since each job's last success."""
    # Prometheus keeps `job` for the name of the scrape; the metric's own label arrives under this name.
    age = "time() - max by (exported_job) (calibration_job_last_success_timestamp_seconds)"
    panel = _lines({"{{exported_job}}": age})
    panel.unit("s").axis_soft_min(0)
    return _described(panel, "Time since a job's last success", "Housekeeping runs every hour.", 5)


def trouble() -> Panel:
    """Return the counts that should be zero."""
    panel = stat.Panel()
    for name, expression in _lettered(
        (
            "max(calibration_quarantined_events)",
            "sum(max by (reason) (calibration_events_dropped_total)) or vector(0)",
            "sum(max by (exported_job) (increase(calibration_job_failures_total[$__range])))",
        )
    ):
        legend = {"A": "in quarantine", "B": "dropped", "C": "failed runs of jobs"}[name]
        panel.with_target(_cells(expression, name, form=PromQueryFormat.TIME_SERIES).legend_format(legend))
    steps = [model.Threshold(value=None, color=GREEN), model.Threshold(value=1, color=AMBER)]
    panel.thresholds(dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)).decimals(0)
    return _described(panel, "Should be zero", "Events quarantined or dropped after they were accepted; failures.", 4)


def _described(panel: Panel, title: str, description: str, width: int, height: int = 8) -> Panel:
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(height)


def _letters(columns: Sequence[Any] | Mapping[str, Any]) -> str:
    return "ABCDEFGHIJ"[: len(columns)]


def _lettered(expressions: Any) -> list[tuple[str, str]]:
    found = list(expressions)
    return list(zip(_letters(found), found, strict=True))


def _range(expression: str, letter: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(expression).legend_format(legend).range()


def _cells(expression: str, letter: str, form: PromQueryFormat = PromQueryFormat.TABLE) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(SOURCE).expr(expression).format(form).instant()


def _lines(expressions: Mapping[str, str]) -> timeseries.Panel:
    legends = list(expressions)
    targets = [
        _range(expressions[legend], letter, legend) for legend, letter in zip(legends, _letters(legends), strict=True)
    ]
    return timeseries.Panel().targets(list(targets)).legend(_legend()).line_width(2)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(shapes.LegendDisplayMode.LIST)
        .placement(shapes.LegendPlacement.BOTTOM)
    )


def _series(y: str, size: str | None = None) -> xychart.XYSeriesConfig:
    """Return points over mean confidence, taken from the one joined table."""
    found = (
        xychart.XYSeriesConfig()
        .name(xychart.XychartXYSeriesConfigName().fixed(y))
        .frame(xychart.XychartXYSeriesConfigFrame().matcher(xychart.MatcherConfig().id("byIndex").options(0)))
        .x(xychart.XychartXYSeriesConfigX().matcher(_by_name("confidence")))
        .y(xychart.XychartXYSeriesConfigY().matcher(_by_name(y)))
    )
    return found if size is None else found.size(xychart.XychartXYSeriesConfigSize().matcher(_by_name(size)))


def _by_name(name: str) -> xychart.MatcherConfig:
    return xychart.MatcherConfig().id("byName").options(name)


def _organised(
    renamed: Mapping[str, str], order: Sequence[str], hidden: Sequence[str] = ()
) -> model.DataTransformerConfig:
    """Return the step that names and orders columns; Grafana orders by the names from before."""
    earlier = {new: old for old, new in renamed.items()}
    options = {
        "renameByName": dict(renamed),
        "indexByName": {earlier.get(name, name): place for place, name in enumerate(order)},
        "excludeByName": dict.fromkeys(hidden or ("Time",), True),
    }
    return model.DataTransformerConfig(id_val="organize", options=options)


def _property(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(id_val=name, value=value)


def _color(color: str) -> model.DynamicConfigValue:
    return _property("color", {"mode": "fixed", "fixedColor": color})


def _dashed(color: str) -> list[model.DynamicConfigValue]:
    return [_property("custom.lineStyle", DASH), _property("custom.lineWidth", 1), _color(color)]


def _on_the_right() -> list[model.DynamicConfigValue]:
    return [_property("custom.axisPlacement", "right")]


def _named(names: Mapping[str, tuple[str, str]]) -> model.ValueMap:
    return model.ValueMap(
        options={
            value: model.ValueMappingResult(text=name, color=color, index=place)
            for place, (value, (name, color)) in enumerate(names.items())
        }
    )


if __name__ == "__main__":
    OUTPUT.write_text(text())
    sys.stdout.write(f"wrote {OUTPUT}\n")
