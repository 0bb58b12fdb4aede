"""What is exported is what the library's parser reads, and what its writer writes."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from monitor.api.exposition import Family, exposition

words = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters='\n"\\'), max_size=8)
places = st.dictionaries(st.tuples(words, words), st.floats(), max_size=5)
names = ("model", "country")


@given(text=words, samples=places)
def test_the_parser_reads_what_was_written(text, samples):
    family = Family("m", text, names)
    for place, value in samples.items():
        family.add(place, value)
    (read,) = text_string_to_metric_families(exposition([family]).decode())
    assert (read.name, read.type) == ("m", "gauge")
    found = {tuple(sample.labels[name] for name in names): sample.value for sample in read.samples}
    assert found.keys() == samples.keys()
    assert all(found[key] == value or (math.isnan(found[key]) and math.isnan(value)) for key, value in samples.items())


class Given(Collector):
    """The same families for the library's writer."""

    def __init__(self, samples):
        self.samples = samples

    def collect(self):
        gauge = GaugeMetricFamily("size", "How large.", labels=names)
        counter = CounterMetricFamily("seen", "How many.", labels=names)
        for place, value in self.samples.items():
            gauge.add_metric(place, value)
            counter.add_metric(place, abs(value))
        yield from (gauge, counter)


@given(samples=places)
def test_it_is_written_as_the_library_writes_it(samples):
    gauge, counter = Family("size", "How large.", names), Family("seen_total", "How many.", names, "counter")
    for place, value in samples.items():
        gauge.add(place, value)
        counter.add(place, abs(value))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Given(samples))
    assert exposition([gauge, counter]) == generate_latest(registry)


def test_a_sample_without_a_value_is_none():
    family = Family("m", "")
    family.add((), None)
    assert exposition([family]) == b"# HELP m \n# TYPE m gauge\n"
