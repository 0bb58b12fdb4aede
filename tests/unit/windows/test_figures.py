"""The tables of figures, from which API, Prometheus, documentation and page follow."""

from typing import Any

import numpy as np
import pytest

from monitor.api.evaluations import METRICS, RegressionEvaluation, Stored, StoredRegression
from monitor.api.schemas import components
from monitor.api.score_metrics import exported
from monitor.domain.evaluations import Evaluation
from monitor.windows import regression, scores
from monitor.windows.figures import RATIO, Figure, computed

FIGURES: list[Figure[Any]] = [*scores.FIGURES, *regression.FIGURES]


def row(name: str, values: Any) -> Figure[None]:
    return Figure(name=name, title=name, of=lambda _: values, unit=RATIO, sentence="", worry="", action="")


def test_names_are_those_of_one_figure_and_of_no_other_field() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names)
    assert not {*names} & {*Evaluation.__struct_fields__}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_says_what_it_is_when_to_worry_and_what_to_do(figure: Figure[Any]) -> None:
    for text in (figure.sentence, figure.worry, figure.action):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert figure.title
    assert len(figure.sentence) <= 140


def test_what_can_not_be_computed_is_none() -> None:
    table = [row("array", np.array([0.5, np.nan, np.inf])), row("list", [None, 1.0, -np.inf])]
    assert computed(table, None) == [
        {"array": 0.5, "list": None},
        {"array": None, "list": 1.0},
        {"array": None, "list": None},
    ]


def test_counts_stay_whole_numbers() -> None:
    (figures,) = computed([row("count", np.array([3]))], None)
    assert isinstance(figures["count"], int)


def test_every_figure_is_a_field_of_the_answer_with_its_sentence_and_can_be_asked_for() -> None:
    described: dict[str, Any] = dict(components([Stored, RegressionEvaluation]))
    for struct, table in ((Stored, scores.FIGURES), (StoredRegression, regression.FIGURES)):
        assert {figure.name for figure in table} < {*struct.__struct_fields__} <= {*METRICS}
    for name, table in (("Stored", scores.FIGURES), ("RegressionEvaluation", regression.FIGURES)):
        fields = described[name]["properties"]
        assert [fields[figure.name]["description"] for figure in table] == [figure.sentence for figure in table]


def test_a_name_in_prometheus_says_what_it_is_of_every_task() -> None:
    names = exported()
    assert set(names) == {figure.exported for figure in FIGURES if figure.exported is not None}
    sentences = [figure.sentence for figure in FIGURES if figure.exported == "ece_ratio"]
    assert len(sentences) == 2
    assert names["ece_ratio"] == " ".join(sentences)
    assert "`" not in "".join(names.values())
