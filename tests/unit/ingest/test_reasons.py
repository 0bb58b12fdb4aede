"""Every way in which one item can be wrong, and what is said about it."""

from datetime import UTC, datetime

import pytest

from monitor.domain.events import LabelEvent, PredictionEvent, Rejection
from monitor.ingest.decode import decode_events
from monitor.ingest.explain import FIELDS, REQUIRED

NOW = datetime(2026, 7, 1, tzinfo=UTC)
PREDICTION = '{"type":"prediction","event_id":"a","model":"m","timestamp":"2026-01-05T12:00:00Z",%s}'
FIELDS_OF_LABELS = "type, event_id, model, label, timestamp, source, supersedes, model_version"
LABEL = '{"type":"label","event_id":"a","model":"m",%s}'
PAIR = '"probability":0.5,%s'
LONGEST = "x" * 200
FORMS = "probability, probabilities, logits, confidence, score, mean, quantiles"
TIMELY = "must be from 1970 to five minutes ahead of the server's clock, which says 2026-07-01T00:00:00+00:00"


def rejections(item: bytes) -> list[Rejection]:
    """Return what is said about an item, which must be the same in either way of sending it."""
    in_array = decode_events(b'{"events":[' + item + b"]}", "application/json", now=NOW).rejected
    assert decode_events(item, "application/x-ndjson", now=NOW).rejected == in_array
    return in_array


def refusal(item: str | bytes) -> tuple[str, str]:
    (rejection,) = rejections(item if isinstance(item, bytes) else item.encode())
    assert rejection.event_id in ("a", None)
    return rejection.code, rejection.reason


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def members(count: int) -> str:
    return "{" + ",".join(f'"{i}":1' for i in range(count)) + "}"


def long_text(length: int) -> str:
    return '{"x":"' + "y" * length + '"}'


def long(count: int, value: str = "0") -> str:
    return f"[{','.join([value] * count)}]"


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ('"probability":1.2', "out_of_range", "probability is 1.2: must be between 0 and 1"),
        ('"probability":-2e-6', "out_of_range", "probability is -2e-06: must be between 0 and 1"),
        ('"probability":true', "wrong_type", "probability is true: must be a number, not a boolean"),
        ('"probability":"half"', "wrong_type", 'probability is "half": must be a number, not a string'),
        ('"probability":[0.5]', "wrong_type", "probability is an array of 1: must be a number"),
        ('"probability":NaN', "not_finite", "probability is NaN: must be a finite number"),
        ('"probability":-Infinity', "not_finite", "probability is -Infinity: must be a finite number"),
        ('"probability":1e400', "not_finite", "probability is 1e400: must be a finite number"),
        (f'"probability":{10**400}', "not_finite", f"probability is {10**79}: must be a finite number"),
        (
            '"probability":0.5,"probability":0.5',
            "duplicate_key",
            '"probability" occurs twice: must occur once in an object',
        ),
        (
            '"probability":0.5,"metadata":{"a":1,"b":{"c":1,"c":1}}',
            "duplicate_key",
            '"c" occurs twice: must occur once in an object',
        ),
        (
            '"probability":0.5,"segments":{"a":"x","\\u0061":"x"}',
            "duplicate_key",
            '"a" occurs twice: must occur once in an object',
        ),
        (
            '"probability":0.5,"probabilities":[0.5,0.5]',
            "wrong_form",
            f"probability and probabilities given: must have exactly one of {FORMS}",
        ),
        (
            '"model_version":"1"',
            "missing_field",
            f"no score given: must have exactly one of {FORMS}",
        ),
        (
            '"probability":null',
            "missing_field",
            f"no score given: must have exactly one of {FORMS}",
        ),
        ('"mean":0.5', "missing_field", "std is missing: a mean must come with its standard deviation, above 0"),
        ('"mean":"0.5 m","std":1', "wrong_type", 'mean is "0.5 m": must be a number, not a string'),
        ('"mean":1e61,"std":1', "out_of_range", "mean is 1e+61: must be between -1e+60 and 1e+60"),
        ('"mean":1,"std":0', "out_of_range", "std is 0: must be above 0"),
        ('"mean":1,"std":-0.5', "out_of_range", "std is -0.5: must be above 0"),
        ('"mean":1,"std":1e61', "out_of_range", "std is 1e+61: must be between -1e+60 and 1e+60"),
        ('"mean":1,"std":NaN', "not_finite", "std is NaN: must be a finite number"),
        ('"std":1', "wrong_form", "std is given without mean: must come with it"),
        (
            '"quantiles":{"0.1":1,"0.9":2},"std":1',
            "wrong_form",
            "std is given without mean: must come with it",
        ),
        (
            '"mean":1,"std":1,"quantiles":{"0.1":1,"0.9":2}',
            "wrong_form",
            f"mean and quantiles given: must have exactly one of {FORMS}",
        ),
        (
            '"mean":1,"std":1,"probability":0.5',
            "wrong_form",
            f"probability and mean given: must have exactly one of {FORMS}",
        ),
        (
            '"mean":1,"std":1,"prediction":"x"',
            "wrong_form",
            "prediction is given without confidence or score: must come with it",
        ),
        (
            '"mean":1,"std":1,"raw_meen":1',
            "unknown_field",
            '"raw_meen" is not a field of a prediction: did you mean "raw_mean"?',
        ),
        ('"quantiles":[1,2]', "wrong_type", "quantiles is an array of 2: must be an object by level"),
        ('"quantiles":{"0.5":1}', "wrong_length", "quantiles has 1 levels: must have 2 to 199"),
        (
            f'"quantiles":{{{",".join(f"{chr(34)}{i / 1000}{chr(34)}:1" for i in range(1, 201))}}}',
            "wrong_length",
            "quantiles has 200 levels: must have 2 to 199",
        ),
        (
            '"quantiles":{"0.5":1,"1":2}',
            "out_of_range",
            'quantiles has the level "1": must have decimals such as 0.05, from 0.001 to 0.999',
        ),
        (
            '"quantiles":{"0.0":1,"0.5":2}',
            "out_of_range",
            'quantiles has the level "0.0": must have decimals such as 0.05, from 0.001 to 0.999',
        ),
        (
            '"quantiles":{"0.0005":1,"0.5":2}',
            "out_of_range",
            'quantiles has the level "0.0005": must have decimals such as 0.05, from 0.001 to 0.999',
        ),
        (
            '"quantiles":{"q\\u0000":1,"0.5":2}',
            "out_of_range",
            'quantiles has the level "q\\u0000": must have decimals such as 0.05, from 0.001 to 0.999',
        ),
        (
            '"quantiles":{"0.50":1,"0.9":2,"0.5":1}',
            "duplicate_key",
            'quantiles has "0.5" and "0.50": must have each level once',
        ),
        (
            '"quantiles":{"0.9":1,"0.1":2}',
            "bad_order",
            'quantiles["0.9"] is 1.0, under 2.0 at "0.1": must not fall as levels rise',
        ),
        (
            '"quantiles":{"0.1":true,"0.9":2}',
            "wrong_type",
            'quantiles["0.1"] is true: must be a number, not a boolean',
        ),
        (
            '"quantiles":{"0.1":-1e61,"0.9":2}',
            "out_of_range",
            'quantiles["0.1"] is -1e+61: must be between -1e+60 and 1e+60',
        ),
        ('"mean":1,"std":1,"raw_mean":1', "missing_field", "raw_std is missing: raw_mean must come with it"),
        ('"mean":1,"std":1,"raw_std":1', "missing_field", "raw_mean is missing: raw_std must come with it"),
        ('"mean":1,"std":1,"raw_mean":1,"raw_std":0', "out_of_range", "raw_std is 0: must be above 0"),
        (
            '"mean":1,"std":1,"raw_quantiles":{"0.1":1,"0.9":2}',
            "wrong_form",
            "raw_quantiles is given without quantiles: must come with it",
        ),
        (
            '"quantiles":{"0.1":1,"0.9":2},"raw_quantiles":{"0.1":1,"0.9":2},"raw_mean":1,"raw_std":1',
            "wrong_form",
            "raw_mean and raw_quantiles given: must have only the one that the model gave",
        ),
        (
            '"quantiles":{"0.1":1,"0.9":2},"raw_quantiles":{"0.1":3,"0.9":2}',
            "bad_order",
            'raw_quantiles["0.9"] is 2.0, under 3.0 at "0.1": must not fall as levels rise',
        ),
        (
            '"quantiles":{"0.1":1,"0.9":2},"raw_quantiles":{"0.1":3,"1":2}',
            "out_of_range",
            'raw_quantiles has the level "1": must have decimals such as 0.05, from 0.001 to 0.999',
        ),
        (
            '"quantiles":{"0.1":1,"0.9":2},"raw_mean":1',
            "missing_field",
            "raw_std is missing: raw_mean must come with it",
        ),
        (
            '"probability":0.5,"raw_mean":1,"raw_std":1',
            "wrong_form",
            "raw_mean is given without mean or quantiles: must come with it",
        ),
        (
            '"confidence":0.5,"prediction":"x","confidence_source":"verbalised"',
            "out_of_range",
            'confidence_source is "verbalised": must be one of verbalized, self_consistency, logprob, judge, other',
        ),
        (
            '"confidence":0.5,"prediction":"x","confidence_source":1',
            "wrong_type",
            "confidence_source is 1: must be one of verbalized, self_consistency, logprob, judge, other",
        ),
        (
            '"probability":0.5,"confidence_source":"verbalized"',
            "wrong_form",
            "confidence_source is given without confidence or score: must come with it",
        ),
        (
            '"prediction":"x","confidence_source":"verbalized"',
            "missing_field",
            "confidence is missing although confidence_source is verbalized: send no event without a confidence",
        ),
        (
            '"prediction":"x","confidence_source":"verbalized","confidence":null',
            "missing_field",
            "confidence is missing although confidence_source is verbalized: send no event without a confidence",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency"',
            "missing_field",
            "agreeing is missing: self_consistency must come with agreeing and samples",
        ),
        (
            '"prediction":"x","confidence":0.5,"confidence_source":"self_consistency"',
            "missing_field",
            "agreeing is missing: self_consistency must come with agreeing and samples",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":3',
            "missing_field",
            "samples is missing: self_consistency must come with agreeing and samples",
        ),
        (
            '"confidence_source":"self_consistency","agreeing":3,"samples":5',
            "missing_field",
            "prediction is missing: a confidence must come with the answer it belongs to",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":6,"samples":5',
            "out_of_range",
            "agreeing is 6: must be at most samples, which is 5",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":-1,"samples":5',
            "out_of_range",
            "agreeing is -1: must be from 0 to 50",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":0,"samples":0',
            "out_of_range",
            "samples is 0: must be from 1 to 50",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":0,"samples":51',
            "out_of_range",
            "samples is 51: must be from 1 to 50",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":1.5,"samples":5',
            "wrong_type",
            "agreeing is 1.5: must be an integer",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":3,"samples":5,"confidence":0.61',
            "out_of_range",
            (
                "confidence is 0.61: must be agreeing over samples, 0.6, or absent"
                "; send a calibrated confidence with this as raw_confidence"
            ),
        ),
        (
            (
                '"prediction":"x","confidence_source":"self_consistency","agreeing":1,"samples":3,"confidence":0.5,'
                '"raw_confidence":0.3'
            ),
            "out_of_range",
            "raw_confidence is 0.3: must be agreeing over samples, 0.333333, or absent",
        ),
        (
            '"prediction":"x","confidence_source":"self_consistency","agreeing":3,"samples":5,"raw_confidence":0.6',
            "wrong_form",
            "raw_confidence is given without confidence: must come with it",
        ),
        (
            '"prediction":"x","confidence":0.6,"agreeing":3,"samples":5',
            "wrong_form",
            "confidence_source is null: must be self_consistency where agreeing and samples are given",
        ),
        (
            '"prediction":"x","confidence":0.6,"samples":5,"confidence_source":"judge"',
            "wrong_form",
            'confidence_source is "judge": must be self_consistency where agreeing and samples are given',
        ),
        ('"prediction":"x","score":"a"', "wrong_type", 'score is "a": must be a number, not a string'),
        (
            '"prediction":"x","score":-1073741825',
            "out_of_range",
            "score is -1073741825: must be between -1073741824 and 1073741824",
        ),
        ('"prediction":"x","score":-Infinity', "not_finite", "score is -Infinity: must be a finite number"),
        ('"score":-2', "missing_field", "prediction is missing: a score must come with the answer it belongs to"),
        (
            '"prediction":"x","score":-2,"confidence":0.5',
            "wrong_form",
            f"confidence and score given: must have exactly one of {FORMS}",
        ),
        (
            '"prediction":"x","score":-2,"raw_confidence":0.5',
            "wrong_form",
            "raw_confidence is given without confidence: must come with it",
        ),
        (
            '"prediction":"x","score":0.8,"confidence_source":"verbalized"',
            "wrong_form",
            (
                "confidence_source is verbalized: must be logprob, judge or other beside a score;"
                " send this value as confidence"
            ),
        ),
        (
            '"prediction":"x","score":0.8,"agreeing":1,"samples":2',
            "wrong_form",
            "agreeing is given without confidence: must come with it",
        ),
        (
            '"probability":0.5,"modelversion":"1"',
            "unknown_field",
            '"modelversion" is not a field of a prediction: did you mean "model_version"?',
        ),
        (
            '"probability":0.5,"raw_confidence":0.5',
            "wrong_form",
            "raw_confidence is given without confidence: must come with it",
        ),
        (
            '"confidence":0.5,"prediction":"x","raw_probability":0.5',
            "wrong_form",
            "raw_probability is given without probability: must come with it",
        ),
        (
            '"logits":[1,2],"raw_probabilities":[0.5,0.5]',
            "wrong_form",
            "raw_probabilities is given without probabilities: must come with it",
        ),
        (
            '"logits":[1,2],"raw_logits":[1,2]',
            "unknown_field",
            '"raw_logits" is not a field of a prediction: did you mean "logits"?',
        ),
        (
            '"probability":0.5,"prediction":"x"',
            "wrong_form",
            "prediction is given without confidence or score: must come with it",
        ),
        (
            '"confidence":0.5',
            "missing_field",
            "prediction is missing: a confidence must come with the answer it belongs to",
        ),
        (
            '"confidence":0.5,"prediction":true',
            "wrong_type",
            (
                "prediction is true: must be a string or a number; where answers are true or false, send both answer and label as text,"
                " since a boolean label may also say that the answer was right, and is refused beside them"
            ),
        ),
        (
            '"confidence":0.5,"prediction":""',
            "bad_name",
            "prediction is empty: must have at least one character",
        ),
        (
            '"confidence":0.5,"prediction":"a\\u0000"',
            "bad_name",
            'prediction is "a\\u0000": must not have control characters other than tabs and line ends',
        ),
        ('"probabilities":[0.5,0.43]', "bad_sum", "probabilities sums to 0.93: must sum to 1 within 0.001"),
        (
            '"probabilities":{"a":0.5,"b":0.522}',
            "bad_sum",
            "probabilities sums to 1.022: must sum to 1 within 0.001",
        ),
        (
            '"probabilities":[0.5,0.5],"raw_probabilities":[0.5,0.4]',
            "bad_sum",
            "raw_probabilities sums to 0.9: must sum to 1 within 0.001",
        ),
        (
            '"probabilities":[1]',
            "wrong_length",
            "probabilities has 1 values: must have 2 to 1000, one per class",
        ),
        (
            f'"logits":{long(1001)}',
            "wrong_length",
            "logits has 1001 values: must have 2 to 1000, one per class",
        ),
        ('"probabilities":["0.5","nan"]', "wrong_type", 'probabilities[1] is "nan": must be a number, not a string'),
        ('"probabilities":{"a":2,"b":-1}', "out_of_range", 'probabilities["a"] is 2: must be between 0 and 1'),
        ('"logits":[1,true]', "wrong_type", "logits[1] is true: must be a number, not a boolean"),
        ('"logits":[1,-1e999]', "not_finite", "logits[1] is -1e999: must be a finite number"),
        ('"logits":"1"', "wrong_type", 'logits is "1": must be an array, or an object by class'),
        (
            '"logits":{"a":1,"":2}',
            "bad_name",
            'a key of logits is "" of 0 characters: must have 1 to 200',
        ),
        (
            '"logits":{"a":1,"b\\u001f":2}',
            "bad_name",
            'logits has "b\\u001f": must not have control characters',
        ),
        (
            '"probabilities":[0.5,0.5],"raw_probabilities":[0.2,0.3,0.5]',
            "wrong_length",
            "raw_probabilities has 3 values: must have 2, as probabilities",
        ),
        (
            '"probabilities":[0.5,0.5],"raw_probabilities":{"a":0.5,"b":0.5}',
            "wrong_type",
            "raw_probabilities and probabilities differ in kind: must both be arrays or both be objects",
        ),
        (
            '"probabilities":{"a":0.5,"c":0.5},"raw_probabilities":{"a":0.5,"b":0.5}',
            "unknown_class",
            '"b" is in one of raw_probabilities and probabilities: must be in both',
        ),
        (
            '"probability":0.5,"calibrator_version":0',
            "out_of_range",
            "calibrator_version is 0: must be from 1 to 2147483647",
        ),
        ('"probability":0.5,"calibrator_version":1.5', "wrong_type", "calibrator_version is 1.5: must be an integer"),
        ('"probability":0.5,"cluster":5', "wrong_type", "cluster is 5: must be a string"),
        (
            '"probability":0.5,"cluster":"\\u009f"',
            "bad_name",
            'cluster has "\\u009f": must not have control characters',
        ),
        ('"probability":0.5,"segments":[]', "wrong_type", "segments is an array of 0: must be an object"),
        (
            '"probability":0.5,"segments":{"a:b":"x"}',
            "bad_name",
            'segments has the key "a:b": must not have a colon',
        ),
        (
            '"probability":0.5,"segments":{"a":"\\u007f"}',
            "bad_name",
            'segments has "\\u007f": must not have control characters',
        ),
        (
            PAIR % f'"segments":{members(51)}',
            "wrong_length",
            "segments has 51 keys: must have at most 50",
        ),
        ('"probability":0.5,"metadata":[]', "wrong_type", "metadata is an array of 0: must be an object"),
        (
            '"probability":0.5,"metadata":{"x":"\\udc00"}',
            "bad_text",
            'metadata["x"] is "\\udc00": must be Unicode text, without lone surrogates, in UTF-8',
        ),
        (
            PAIR % f'"metadata":{long_text(16_384)}',
            "too_large",
            "metadata is 16392 bytes long: must be at most 16384",
        ),
        (
            PAIR % '"metadata":{"id":18446744073709551616}',
            "out_of_range",
            "metadata holds an integer beyond 64 bits: send it as text",
        ),
        (
            PAIR % f'"metadata":{nested(21)}',
            "too_deep",
            "item is nested too deeply: metadata may be 20 levels deep",
        ),
        (
            PAIR % f'"metadata":{nested(50_000)}',
            "too_deep",
            "item is nested too deeply: metadata may be 20 levels deep",
        ),
    ],
)
def test_prediction_refused_with_its_reason(fields: str, code: str, reason: str) -> None:
    assert refusal(PREDICTION % fields) == (code, reason)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ('"source":"x"', "missing_field", "label is missing: a label must have type, event_id, model, label"),
        ('"label":null', "wrong_type", "label is null: must be a string or a number"),
        ('"label":[1]', "wrong_type", "label is an array of 1: must be a string or a number"),
        ('"label":""', "bad_name", "label is empty: must have at least one character"),
        (
            '"label":"\\u0000"',
            "bad_name",
            'label is "\\u0000": must not have control characters other than tabs and line ends',
        ),
        (
            f'"label":{2**63}',
            "out_of_range",
            "label is 9223372036854775808: must be from -9223372036854775808 to 9223372036854775807",
        ),
        ('"label":1,"supersedes":1', "wrong_type", "supersedes is 1: must be true or false"),
        (
            '"label":1,"probability":0.5',
            "unknown_field",
            f'"probability" is not a field of a label: must be among {FIELDS_OF_LABELS}',
        ),
        (
            '"label":1,"timestamp":"2026-07-01T00:05:00.000001Z"',
            "bad_time",
            f"timestamp is 2026-07-01T00:05:00.000001+00:00: {TIMELY}",
        ),
        (
            '"label":1,"timestamp":"0001-01-01T00:00:00+14:00"',
            "bad_time",
            f"timestamp is 0001-01-01T00:00:00+14:00: {TIMELY}",
        ),
        (
            '"label":1,"timestamp":"2026-01-05T12:00:00"',
            "bad_time",
            'timestamp is "2026-01-05T12:00:00", without a zone: must be RFC 3339 with a zone, such as 2026-01-05T12:00:00Z',
        ),
        (
            '"label":1,"timestamp":"yesterday"',
            "bad_time",
            'timestamp is "yesterday": must be RFC 3339 with a zone, such as 2026-01-05T12:00:00Z',
        ),
        (
            '"label":1,"timestamp":1767614400',
            "wrong_type",
            "timestamp is 1767614400: must be RFC 3339 with a zone, such as 2026-01-05T12:00:00Z",
        ),
    ],
)
def test_label_refused_with_its_reason(fields: str, code: str, reason: str) -> None:
    assert refusal(LABEL % fields) == (code, reason)


@pytest.mark.parametrize(
    ("item", "code", "reason"),
    [
        ("5", "wrong_type", "item is 5: must be an object"),
        ('"x,y]"', "wrong_type", 'item is "x,y]": must be an object'),
        ("NaN", "wrong_type", "item is NaN: must be an object"),
        ("[[],[1,2]]", "wrong_type", "item is an array of 2: must be an object"),
        ("{}", "missing_field", 'type is missing: must be "prediction" or "label"'),
        ('{"type":"lable"}', "unknown_type", 'type is "lable": must be "prediction" or "label"'),
        ('{"type":1}', "unknown_type", 'type is 1: must be "prediction" or "label"'),
        ("nope", "not_json", "item is not JSON: Expecting value at its character 1"),
        ('{"type":}', "not_json", "item is not JSON: Expecting value at its character 9"),
        (
            b'{"type":"label","event_id":"\xff","model":"m","label":1}',
            "bad_text",
            'event_id is "\\udcff": must be Unicode text, without lone surrogates, in UTF-8',
        ),
        (
            '{"type":"label","model":"m","label":1}',
            "missing_field",
            "event_id is missing: a label must have type, event_id, model, label",
        ),
        (
            '{"type":"prediction","event_id":"a","model":"m","probability":1}',
            "missing_field",
            "timestamp is missing: a prediction must have type, event_id, model, timestamp",
        ),
        ('{"type":"label","event_id":7,"model":"m","label":1}', "wrong_type", "event_id is 7: must be a string"),
        (
            f'{{"type":"label","event_id":"i{LONGEST}","model":"m","label":1}}',
            "bad_name",
            f'event_id is "i{LONGEST[:79]}…" of 201 characters: must have 1 to 200',
        ),
        (
            '{"type":"label","event_id":"a\\n","model":"m","label":1}',
            "bad_name",
            'event_id has "a\\u000a": must not have control characters',
        ),
        (
            '{"type":"label","event_id":"a","model":"","label":1}',
            "bad_name",
            'model is "" of 0 characters: must have 1 to 200',
        ),
    ],
)
def test_item_refused_with_its_reason(item: str | bytes, code: str, reason: str) -> None:
    assert refusal(item) == (code, reason)


@pytest.mark.parametrize(
    "item",
    [
        PREDICTION % '"probability":0',
        PREDICTION % '"probability":1.0,"raw_probability":0.5,"calibrator_version":1',
        PREDICTION % '"probability":0.5,"cluster":null,"metadata":null,"segments":null,"model_version":null',
        PREDICTION % '"probabilities":[0.499,0.5]',
        PREDICTION % '"probabilities":[0.501,0.5]',
        PREDICTION % '"probabilities":{"a":0.5,"b":0.5},"raw_probabilities":{"b":0.5,"a":0.5}',
        PREDICTION % f'"logits":{long(1000, "-1e300")}',
        PREDICTION % '"confidence":0.5,"prediction":"two\\nlines\\tand \\"quotes\\""',
        PREDICTION % '"confidence":0.5,"prediction":-3.5,"raw_confidence":0.9',
        PREDICTION % '"probability":0.5,"segments":{"a":"x:y","b":3,"c":true}',
        PREDICTION % PAIR % f'"metadata":{nested(20)}',
        PREDICTION % PAIR % f'"metadata":{long_text(16_376)}',
        PREDICTION % PAIR % f'"metadata":{{"x":{10**18}}}',
        PREDICTION % '"mean":-1e60,"std":5e-324',
        PREDICTION % '"mean":0,"std":1,"metadata":{"a":1}',
        PREDICTION % '"quantiles":{"0.9":2,"0.1":1,".5":2}',
        PREDICTION % '"quantiles":{"0.001":1,"0.999":1}',
        PREDICTION % f'"quantiles":{{{",".join(f"{chr(34)}{i / 1000}{chr(34)}:1" for i in range(1, 200))}}}',
        PREDICTION % '"score":-1073741824,"prediction":"x"',
        PREDICTION % '"score":0,"prediction":"x","confidence_source":"logprob"',
        PREDICTION % '"confidence":0.5,"prediction":"x","confidence_source":"judge"',
        PREDICTION % '"prediction":"x","confidence_source":"self_consistency","agreeing":0,"samples":1',
        PREDICTION
        % '"prediction":"x","confidence_source":"self_consistency","agreeing":50,"samples":50,"confidence":1',
        LABEL % '"label":"caf\u00e9","timestamp":"1970-01-01T00:00:00Z","source":"s","supersedes":true',
        LABEL % '"label":0.0,"timestamp":"2026-07-01T00:05:00Z","supersedes":false',
        LABEL % '"label":-9223372036854775808,"timestamp":"2026-07-01T02:05:00+02:00"',
        LABEL % f'"label":"{LONGEST}"',
        LABEL.replace('"m"', '"org/model"') % '"label":true',
    ],
)
def test_good_item_taken(item: str) -> None:
    assert rejections(item.encode()) == []


def test_rejection_names_the_event_where_its_id_is_usable() -> None:
    assert [r.event_id for r in rejections((PREDICTION % '"probability":2').encode())] == ["a"]
    assert [r.event_id for r in rejections((PREDICTION % '"probability":1,"probability":1').encode())] == ["a"]
    assert [r.event_id for r in rejections((PREDICTION % '"probability":1,"cluster":"\\u0000"').encode())] == ["a"]
    assert [r.event_id for r in rejections(b'{"type":"label","event_id":"\\ud800","model":"m","label":1}')] == [None]
    assert [r.event_id for r in rejections(b'{"type":"label","event_id":"\\u0000","model":"m","label":1}')] == [None]
    assert [r.event_id for r in rejections(b'{"type":"label","event_id":"\\u0000","model":"m","label":[]}')] == [None]


def test_segments_become_text() -> None:
    item = (PREDICTION % '"probability":0.5,"segments":{"a":"x","b":-3,"c":true,"d":false}').encode()
    (event,) = decode_events(item, "application/x-ndjson", now=NOW).accepted
    assert isinstance(event, PredictionEvent)
    assert event.segments == {"a": "x", "b": "-3", "c": "true", "d": "false"}


def taken(fields: str) -> PredictionEvent:
    (event,) = decode_events((PREDICTION % fields).encode(), "application/x-ndjson", now=NOW).accepted
    assert isinstance(event, PredictionEvent)
    return event


def test_verbalized_confidence_is_rounded_to_millionths() -> None:
    event = taken('"confidence":0.85000049,"prediction":"x","confidence_source":"verbalized"')
    assert event.confidence == 0.85
    assert taken('"confidence":0.85000049,"prediction":"x","confidence_source":"other"').confidence == 0.85000049


def test_verbalized_confidence_that_was_calibrated_is_rounded_where_it_is_raw() -> None:
    fields = '"confidence":0.12345678,"raw_confidence":0.90000012,"prediction":"x","confidence_source":"verbalized"'
    assert (taken(fields).confidence, taken(fields).raw_confidence) == (0.12345678, 0.9)


def test_answers_that_agree_give_the_confidence() -> None:
    fields = '"prediction":"x","confidence_source":"self_consistency","agreeing":1,"samples":3'
    assert taken(fields).confidence == 1 / 3
    assert taken(fields + ',"confidence":0.333333').confidence == 1 / 3


def test_answers_that_agree_are_the_raw_value_of_a_calibrated_confidence() -> None:
    fields = '"prediction":"x","confidence_source":"self_consistency","agreeing":1,"samples":3,"confidence":0.2'
    event = taken(fields + ',"raw_confidence":0.3333333')
    assert (event.confidence, event.raw_confidence) == (0.2, 1 / 3)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        (
            '"probability":0.5,"members":0.5',
            "wrong_type",
            "members is 0.5: must be an array of one probability or vector per member",
        ),
        ('"members":[0.5]', "wrong_length", "members has 1 values: must have 2 to 100, one per member"),
        (f'"members":{long(101)}', "wrong_length", "members has 101 values: must have 2 to 100, one per member"),
        ('"members":[0.5,1.5]', "out_of_range", "members[1] is 1.5: must be between 0 and 1"),
        ('"members":[0.5,null]', "wrong_type", "members[1] is null: must be a number"),
        (
            '"members":[0.5,[0.5,0.5]]',
            "wrong_type",
            "members holds both numbers and arrays: must be all probabilities, or all vectors",
        ),
        (
            '"members":[[0.5,0.5],[1.0,0.0,0.0]]',
            "wrong_length",
            "members[1] has 3 values: must have 2, as the first member",
        ),
        ('"members":[[0.5,0.5],[0.5,0.4]]', "bad_sum", "members[1] sums to 0.9: must sum to 1 within 0.001"),
        (
            '"probability":0.61,"members":[0.5,0.7]',
            "out_of_range",
            (
                "probability is 0.61: must be the average of members, 0.6, or absent"
                "; send a calibrated value with this as raw_probability"
            ),
        ),
        (
            '"probability":0.3,"raw_probability":0.3,"members":[0.5,0.7]',
            "out_of_range",
            "raw_probability is 0.3: must be the average of members, 0.6, or absent",
        ),
        (
            '"probabilities":[0.4,0.6],"members":[[0.5,0.5],[0.7,0.3]]',
            "out_of_range",
            (
                "probabilities[0] is 0.4: must be the average of members, 0.6, or absent"
                "; send a calibrated value with this as raw_probabilities"
            ),
        ),
        (
            '"probabilities":[0.2,0.3,0.5],"members":[[0.5,0.5],[0.7,0.3]]',
            "wrong_length",
            "probabilities has 3 values: must have 2, as each of members",
        ),
        (
            '"probabilities":{"a":0.6,"b":0.4},"members":[[0.5,0.5],[0.7,0.3]]',
            "wrong_type",
            "probabilities is an object: must be an array, as each of members is",
        ),
        (
            '"probabilities":[0.5,0.5],"members":[0.5,0.5]',
            "wrong_form",
            "members are probabilities beside probabilities: must come with probability",
        ),
        (
            '"probability":0.5,"members":[[0.5,0.5],[0.5,0.5]]',
            "wrong_form",
            "members are vectors beside probability: must come with probabilities",
        ),
        (
            '"confidence":0.5,"prediction":"x","members":[0.5,0.5]',
            "wrong_form",
            "members is given without probability or probabilities: must come with it",
        ),
        (
            '"raw_probability":0.5,"members":[0.5,0.5]',
            "wrong_form",
            "raw_probability is given without probability: must come with it",
        ),
    ],
)
def test_members_refused_with_their_reason(fields: str, code: str, reason: str) -> None:
    assert refusal(PREDICTION % fields) == (code, reason)


def test_members_give_the_value_that_is_left_out() -> None:
    assert taken('"members":[0.5,0.75]').probability == 0.625
    assert taken('"members":[1,1,1]').probability == 1.0
    assert taken('"members":[[0.5,0.25,0.25],[1.0,0,0]]').probabilities == [0.75, 0.125, 0.125]


def test_members_stand_beside_what_they_average_to_as_rounded_by_the_client() -> None:
    assert taken('"probability":0.601,"members":[0.5,0.7]').probability == 0.601
    assert taken('"probability":0.1,"raw_probability":0.599,"members":[0.5,0.7]').probability == 0.1
    vectors = '"probabilities":[0.1,0.9],"raw_probabilities":[0.6,0.4],"members":[[0.5,0.5],[0.7,0.3]]'
    assert taken(vectors).members == [[0.5, 0.5], [0.7, 0.3]]


def test_explanations_know_every_field() -> None:
    assert set(FIELDS["prediction"]) == {"type", *PredictionEvent.__struct_fields__}
    assert set(FIELDS["label"]) == {"type", *LabelEvent.__struct_fields__}


def test_explanations_know_what_is_required() -> None:
    optional = len(PredictionEvent.__struct_defaults__)
    assert REQUIRED["prediction"] == ("type", *PredictionEvent.__struct_fields__[:-optional])
