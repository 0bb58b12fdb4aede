"""The client: log predictions and labels, and apply the calibrator in service."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, SupportsFloat, Unpack

from . import items
from .batches import Columns, LabelColumns, batch_of, longest
from .cache import Cache, place, stem
from .calibration import Calibration
from .champion import Calibrated
from .champions import Champions
from .distributions import CalibratedDistribution
from .ids import EventId
from .lifecycle import exit_on_sigterm
from .limited import LimitedWarnings
from .memory import Memory
from .parameters import check
from .plain import is_missing
from .spool import Spool
from .transport import Transport


class ArrayLike(Protocol):
    """An array of NumPy, pandas, PyTorch and others."""

    def tolist(self) -> Any:
        """Return the values as numbers in nested lists."""


Score = SupportsFloat | Calibrated[Any]
Scores = Sequence[float] | Mapping[str, float] | ArrayLike


class Client(Calibration):
    """Logs predictions and labels of one model, and applies its calibrator in service.

    `log` and `label` put an event into a bounded queue and return; a background thread sends it. They neither block nor raise, whatever
    their arguments: an event that cannot be queued is counted as dropped (`stats`) and reported through the logger `calwatch.client`.
    The thread starts with the first call, and again in a forked child, whose queue starts empty: the parent sends what it had queued
    before. When the process ends, the queue is flushed for a bounded time: at exit, by an exception, by Ctrl-C, and in the children of
    `multiprocessing`, joblib and Celery. A death that runs no code, such as SIGKILL or an unhandled SIGTERM, loses what was logged since
    the last flush. Close the client where a server ends itself so, with `with`, `async with` or `lifespan`.

    Parameters
    ----------
    url : address of the server
    model : name of the model
    key : API key, if the server requires one
    model_version : version stored with every prediction
    queue_size, queue_bytes : limits of the queue; events beyond them are counted as dropped
    batch_size, flush_seconds : largest number of events per request, and longest wait for a full batch
    timeout : seconds for each request
    refresh_seconds : seconds between requests for the calibrator in service, varied by up to a fifth
    cache : directory, or file ending in .json, for the last calibrator in service, used at the next start; None: no cache
    bootstrap : file with a calibrator's document, in service until the cache or the server provides one
    pin : number of the calibrator to apply, whatever is promoted
    spool : directory for queued events, which then survive any death of the process, and are sent by the next one; None: memory
    spool_bytes : limit of one process's queue on disk, instead of that in memory; the oldest events beyond it are counted as dropped
    handle_sigterm : SIGTERM ends the process as `sys.exit` does, unless the application handles it
    block_seconds : longest wait for room in a full queue, for batch jobs; 0: an event beyond the queue is dropped at once
    strict : True: raise BadInput for what would be dropped, served uncalibrated or refused by the server, for tests

    A pickled client is made anew with the same parameters, its key among them: it has a queue and a connection of its own.

    Examples
    --------
    >>> with Client("http://127.0.0.1:9", "churn", timeout=0.1) as client:  # nobody listens there
    ...     served = client.calibrate(0.9)
    ...     event_id = client.log(probability=served, raw_probability=0.9)
    ...     client.label(event_id, 1)
    ...     client.stats().queued
    2

    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        model_version: str | None = None,
        queue_size: int = 100_000,
        queue_bytes: int = 64 << 20,
        batch_size: int = 1000,
        flush_seconds: float = 1.0,
        timeout: float = 5.0,
        refresh_seconds: float = 30.0,
        cache: str | os.PathLike[str] | None = None,
        bootstrap: str | os.PathLike[str] | None = None,
        pin: int | None = None,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = 64 << 20,
        handle_sigterm: bool = False,
        block_seconds: float = 0.0,
        strict: bool = False,
    ) -> None:
        self._parameters = {
            name: value for name, value in locals().items() if name not in {"self", "__class__"}
        }  # there are no others yet
        check(self._parameters)
        self._model_version = model_version
        warnings = LimitedWarnings()
        transport = Transport(url, key=key, timeout=timeout)
        champions = Champions(
            transport,
            warnings,
            model=model,
            refresh_seconds=refresh_seconds,
            cache=None if cache is None else Cache(place(cache, url=url, model=model, pin=pin), warnings, model=model),
            bootstrap=None if bootstrap is None else Path(bootstrap),
            pin=pin,
        )
        memory = Memory(size=queue_size, largest=queue_bytes)
        waiting: Memory | Spool = memory
        if spool is not None:
            waiting = Spool(Path(spool), name=stem(url, model), largest=spool_bytes, instead=memory, warnings=warnings)
        super().__init__(
            champions,
            model,
            waiting,
            transport,
            warnings,
            batch_size=batch_size,
            flush_seconds=flush_seconds,
            patience=timeout,
            block_seconds=block_seconds,
            strict=strict,
        )
        if handle_sigterm:
            exit_on_sigterm()

    def log(
        self,
        event_id: EventId | None = None,
        *,
        probability: Score | None = None,
        probabilities: Scores | Calibrated[Any] | None = None,
        logits: Scores | None = None,
        confidence: Score | None = None,
        prediction: Any = None,
        confidence_source: str | None = None,
        agreeing: int | None = None,
        samples: int | None = None,
        score: SupportsFloat | None = None,
        mean: SupportsFloat | None = None,
        std: SupportsFloat | None = None,
        quantiles: Mapping[str, SupportsFloat] | Mapping[float, SupportsFloat] | None = None,
        timestamp: datetime | str | None = None,
        segments: Mapping[str, str | int | bool] | None = None,
        cluster: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        raw_probability: SupportsFloat | None = None,
        raw_probabilities: Scores | None = None,
        raw_confidence: SupportsFloat | None = None,
        raw_mean: SupportsFloat | None = None,
        raw_std: SupportsFloat | None = None,
        raw_quantiles: Mapping[str, SupportsFloat] | Mapping[float, SupportsFloat] | None = None,
        distribution: CalibratedDistribution | None = None,
        members: Sequence[SupportsFloat] | Sequence[Scores] | ArrayLike | None = None,
        calibrator_version: int | None = None,
        reference: bool = False,
    ) -> str:
        """Queue a prediction and return its id, which `label` takes.

        Without `event_id`, the id is that of the result of `calibrated`, or a new one. An event counts once: one result of `calibrated`
        is one event, however often it is logged.

        An unusable `event_id` gives an empty id: it must be text of 1 to 200 characters, a UUID or an integer.

        Parameters
        ----------
        probability : served P(class 1) of a binary model, or the result of `calibrated`
        probabilities, logits : one number per class, in the order of the model's classes, or by class: a mapping or a labelled series
        confidence, prediction : an answer and the model's confidence in it
        confidence_source : `verbalized`, `self_consistency`, `logprob`, `judge` or `other`
        agreeing, samples : with `self_consistency`, the numbers of agreeing and of all sampled answers, which give the confidence
        score : instead of a confidence, a score on a scale of its own, such as a log-probability or an entropy
        mean, std : mean and standard deviation of a regression's prediction
        quantiles : quantiles of a regression's prediction by level, `{0.05: 1.2, 0.5: 3.4, 0.95: 7.8}`
        timestamp : time of the prediction, with a zone; now by default
        segments : values by which parts of the traffic are compared, `{"country": "CH"}`
        cluster : a user, session or game whose events are not independent
        raw_probability, raw_probabilities, raw_confidence : the model's own value, if a calibrated one was served
        raw_mean, raw_std, raw_quantiles : the model's own distribution, if a calibrated one was served
        distribution : the result of `calibrated_distribution`, instead of all other fields of a regression
        members : probability or vector of each member of an ensemble, whose average is the model's own value
        calibrator_version : number of the calibrator; by default, with a raw value, the one now in service
        reference : the event belongs to the validation set, not to the traffic

        """
        text = ""
        try:
            if event_id is None:
                event_id = _event_of(probability, probabilities, confidence, distribution)
            text = self._ids.new() if event_id is None else items.text_id(event_id)
            if isinstance(probability, Calibrated):
                probability, raw_probability, calibrator_version = _apart(probability)
            elif isinstance(probabilities, Calibrated):
                probabilities, raw_probabilities, calibrator_version = _apart(probabilities)
            elif isinstance(confidence, Calibrated):
                confidence, raw_confidence, calibrator_version = _apart(confidence)
            elif distribution is not None:
                calibrator_version, own = distribution.version, distribution.apart()
                mean, std, quantiles = own["mean"], own["std"], own["quantiles"]
                raw_mean, raw_std, raw_quantiles = own.get("raw_mean"), own.get("raw_std"), own.get("raw_quantiles")
            elif calibrator_version is None and self._champions.serving.champion.number is not None:
                raw_values = (raw_probability, raw_probabilities, raw_confidence, raw_mean, raw_quantiles)
                has_raw = any(value is not None for value in raw_values)
                calibrator_version = self._version_in_force(raw=has_raw, logits=logits is not None)
            # Most events of binary models: to name all fields costs more than all else together.
            if (
                probabilities is None
                and logits is None
                and confidence is None
                and prediction is None
                and confidence_source is None
                and agreeing is None
                and samples is None
                and score is None
                and mean is None
                and std is None
                and quantiles is None
                and members is None
                and raw_probabilities is None
                and raw_confidence is None
                and raw_mean is None
                and raw_std is None
                and raw_quantiles is None
                and segments is None
                and cluster is None
                and metadata is None
                and not reference
            ):
                item = items.prediction(
                    event_id=text,
                    model=self._model,
                    model_version=self._model_version,
                    timestamp=datetime.now(UTC) if timestamp is None or is_missing(timestamp) else timestamp,
                    probability=probability,
                    raw_probability=raw_probability,
                    calibrator_version=calibrator_version,
                )
            else:
                item = items.prediction(
                    event_id=text,
                    model=self._model,
                    model_version=self._model_version,
                    timestamp=datetime.now(UTC) if timestamp is None or is_missing(timestamp) else timestamp,
                    probability=probability,
                    probabilities=probabilities if probabilities is None else items.by_class(probabilities),
                    logits=logits if logits is None else items.by_class(logits),
                    confidence=confidence,
                    prediction=prediction,
                    confidence_source=confidence_source,
                    agreeing=agreeing,
                    samples=samples,
                    score=score,
                    mean=mean,
                    std=std,
                    quantiles=None if quantiles is None else items.by_level(quantiles),
                    raw_probability=raw_probability,
                    raw_probabilities=raw_probabilities
                    if raw_probabilities is None
                    else items.by_class(raw_probabilities),
                    raw_confidence=raw_confidence,
                    raw_mean=raw_mean,
                    raw_std=raw_std,
                    raw_quantiles=None if raw_quantiles is None else items.by_level(raw_quantiles),
                    members=members,
                    calibrator_version=calibrator_version,
                    segments=items.beside(segments),
                    cluster=cluster,
                    metadata=items.beside(metadata),
                    reference=reference,
                )
            self._put(items.encode(item))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error)
        return text

    def label(
        self,
        event_id: EventId,
        label: Any,
        *,
        timestamp: datetime | str | None = None,
        source: str | None = None,
        supersedes: bool = False,
        model_version: str | None = None,
    ) -> None:
        """Queue the label of a prediction: its class, 0 or 1, or for a `confidence` event the true answer or whether it was right.

        Parameters
        ----------
        timestamp : time when the label became known, with a zone; by default the time of receipt counts
        source : origin of the label
        supersedes : the label corrects an earlier one
        model_version : whose answer was right or not, where several versions answered; by default the label is about all that agree

        """
        try:
            item = items.label(
                event_id=items.text_id(event_id),
                model=self._model,
                label=label,
                timestamp=timestamp,
                source=source,
                supersedes=supersedes,
                model_version=model_version,
            )
            self._put(items.encode(item))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error)

    def log_many(self, event_ids: Any = None, **fields: Unpack[Columns]) -> list[str]:
        """Queue the predictions of a batch and return their ids, in their order; empty where one was unusable.

        Each field is a column with one entry per event, as a list, an array or a series, or one value for all. `probabilities`, `logits`,
        `segments` and `quantiles` may be data frames, or mappings to columns by class, segment or level. Results of `calibrated` and
        `calibrated_distribution` for arrays are taken too.

        Columns of several lengths are counted as dropped, whole. A batch larger than the queue needs `block_seconds`.

        Parameters
        ----------
        event_ids : column of ids, as `log` takes them; by default new ones
        fields : columns by the names of `log`

        Examples
        --------
        >>> with Client("http://127.0.0.1:9", "animals", timeout=0.1) as client:  # nobody listens there
        ...     client.log_many(["a", "b"], probabilities={"cat": [0.9, 0.2], "dog": [0.1, 0.8]}, segments={"country": "CH"})
        ...     client.label_many(["a", "b"], ["cat", "cat"])
        ['a', 'b']

        """
        columns = {"event_id": event_ids, **fields}
        try:
            batch = batch_of(columns)
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error, longest(columns))
            return [""] * longest(columns)
        return [self.log(**row) for row in batch.rows()]

    def label_many(self, event_ids: Any, labels: Any, **fields: Unpack[LabelColumns]) -> None:
        """Queue the labels of a batch; columns are as in `log_many`.

        Parameters
        ----------
        event_ids : column of ids
        labels : column of labels; a row whose truth is not known yet is to be left out
        fields : columns by the names of `label`

        """
        columns = {"event_id": event_ids, "label": labels, **fields}
        try:
            batch = batch_of(columns, needed=("event_id", "label"))
        except Exception as error:  # noqa: BLE001  nothing raises into serving code
            self._drop(error, longest(columns))
            return
        for row in batch.rows():
            self.label(**row)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (type(self), self._parameters)


def _made(client: type[Client], parameters: Mapping[str, Any]) -> Client:
    return client(**parameters)


def _apart(calibrated: Calibrated[Any]) -> tuple[Any, Any, int | None]:
    """Return the served value, the raw value and the version; without a calibrator the raw value is None."""
    return calibrated.value, None if calibrated.version is None else calibrated.raw, calibrated.version


def _event_of(*values: Any) -> str | None:
    """Return the id under which a value was calibrated, or None."""
    for value in values:
        if isinstance(value, Calibrated | CalibratedDistribution):
            return value.event_id
    return None
