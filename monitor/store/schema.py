"""Tables of the database. Times are integers: microseconds since 1970 in UTC.

Every unique key of a table that grows with traffic contains the model, so that it can be distributed by model. The
event rows have no unique key at all: one leader appends them, and it looks before it adds.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    true,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only for a column that is exactly INTEGER PRIMARY KEY.
Serial: Final = BigInteger().with_variant(Integer, "sqlite")


def _model_column() -> Column[int]:
    return Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), nullable=False)


secret = Table(
    "secret",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

model = Table(
    "model",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("task", Text),  # null until the first prediction or a declaration
    Column("classes", Text),  # JSON list, in the order of the vectors
    Column("settings", Text, nullable=False),  # JSON object of what was declared
    Column("revision", Integer, nullable=False),  # of the settings that the roll-up depends on
    Column("created_at", BigInteger, nullable=False),
    Column(
        "ordered", Boolean, nullable=False, server_default=true()
    ),  # whether the order of the classes means something
    Column("accepted", Boolean, nullable=False, server_default=false()),  # whether it has accepted any event
    Column(
        "former", Text, nullable=False, server_default="[]"
    ),  # JSON list of how labels were read under former revisions
    sqlite_autoincrement=True,  # the id of a deleted model is never given to another
)

revision = Table(
    "revision",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("segments", Text, nullable=False),  # JSON list of declared keys
    Column("label_delay", BigInteger),  # microseconds; null where it is learned
    Column(
        "classes", Text, nullable=False, server_default="[]"
    ),  # JSON list of the classes with thresholds of their own
)

progress = Table(
    "progress",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("watermark", BigInteger),  # newest time of a prediction or label
    Column("newest_prediction", BigInteger),
    Column("received_at", BigInteger),  # newest receipt of a prediction
    Column("minutes_from", BigInteger),  # minute rollups are complete from here on
    Column("predictions", BigInteger, nullable=False, default=0),
    Column("labels", BigInteger, nullable=False, default=0),
    Column("taken_until", BigInteger),  # the sequential tests have taken all cohorts that were due by then
    Column("takings", BigInteger, nullable=False, server_default="0"),  # transactions of the sequential tests so far
    Column(
        "starts", BigInteger, nullable=False, server_default="0"
    ),  # sequential tests of whole versions that have bet
    Column("segment_starts", BigInteger, nullable=False, server_default="0"),  # those of segments
)

delay = Table(
    "delay",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("bucket", SmallInteger, primary_key=True),  # on a logarithmic scale
    Column("count", BigInteger, nullable=False),
    Column("sy", BigInteger, nullable=False, server_default="0"),  # Σ outcomes of these labels
    Column("sp", BigInteger, nullable=False, server_default="0"),  # Σ confidences, fixed point
    Column("variance", BigInteger, nullable=False, server_default="0"),  # Σ (outcome - confidence)², fixed point
)

journal = Table(
    "journal",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("events", Integer, nullable=False),
    Column("rejected", Text),  # JSON of the refused items of the same request
    Column("batch", LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice, also after the newest row was deleted
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("quarantined_at", BigInteger, nullable=False),
    Column("events", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("batch", LargeBinary, nullable=False),
)

prediction = Table(
    "prediction",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key", BigInteger, nullable=False),
    _model_column(),
    Column("event_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("rolled_at", BigInteger, nullable=False),
    Column("version", Text, nullable=False),
    Column("calibrator", Integer),
    Column("segments", Text),  # JSON object, as sent
    Column("cluster", Text),
    Column("p", Double, nullable=False),  # served confidence
    Column("raw", Double),  # raw confidence, where one was sent
    Column("payload", LargeBinary),  # vectors and answers exactly as sent, and metadata
    Column("digest", BigInteger, nullable=False),  # of the whole event, to tell a repeat from a conflict
    Column("revision", Integer, nullable=False),
    Column(
        "reference", Boolean, nullable=False, server_default=false()
    ),  # part of the validation set, not of the traffic
    Column("unnamed", Text),  # JSON list of what it counts under `__other__`: empty its version, or declared segments
    Index(None, "key"),
    Index(  # few rows, found without reading all others
        "ix_prediction_reference",
        "model_id",
        "id",
        sqlite_where=literal_column("reference = 1"),
        postgresql_where=literal_column("reference"),
    ),
)

label = Table(
    "label",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key", BigInteger, nullable=False),
    _model_column(),
    Column("event_id", Text, nullable=False),
    Column("label", Text, nullable=False),  # JSON scalar
    Column("at", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Column("rolled_at", BigInteger, nullable=False),
    Column("source", Text),
    Column("supersedes", Boolean, nullable=False),
    Column("version", Text),  # whose answer it is about, where it names one
    Index(None, "key"),
)

conflict = Table(
    "conflict",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("key", BigInteger, nullable=False),
    _model_column(),
    Column("event_id", Text, nullable=False),
    Column("kind", Text, nullable=False),  # of conflict: a `ConflictKind`
    Column("received_at", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # JSON of the event, which did not count
    Index(None, "key"),
)

named = Table(
    "named",  # versions and segment values that have sums of their own; all others count as `__other__`
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),  # a declared segment; empty: the version
    Column("value", Text, primary_key=True),
    Column("place", Integer, nullable=False),  # in the order of their first roll-up
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True),
    _model_column(),
    Column("version", Text, nullable=False),
    Column("calibrator", Integer, nullable=False),  # 0: none
    Column("segment", Text, nullable=False),  # empty: the model as a whole
    UniqueConstraint("model_id", "version", "calibrator", "segment"),
    sqlite_autoincrement=True,
)

rollup = Table(
    "rollup",
    metadata,
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("level", SmallInteger, primary_key=True),  # 0 minute, 1 hour, 2 day
    Column("bucket", BigInteger, primary_key=True),  # its beginning
    Column("summary", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

cohort = Table(
    "cohort",  # sums of events without a cluster that wait for the sequential tests
    metadata,
    Column("series_id", Integer, ForeignKey("series.id", ondelete="CASCADE"), primary_key=True),
    Column("due", BigInteger, primary_key=True),  # its label delay counts from then on; 0: labels that came too late
    Column("bucket", BigInteger, primary_key=True),  # beginning of a minute or hour of event time
    Column("summary", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

cluster = Table(
    "cluster",  # events that share their luck, one bet of the sequential tests; never deleted, so that none opens twice
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("cluster", BigInteger, primary_key=True),  # a keyed hash of its name, by which it is found
    Column("version", Text, primary_key=True),
    Column("segment", Text, primary_key=True),  # a cluster is one bet in the test of each of its segments, too
    Column("opened", BigInteger, nullable=False),  # event time of its first prediction
    Column("closes", BigInteger, nullable=False),  # later events are not bet on
    Column("due", BigInteger, nullable=False),  # the label delay counts from then on
    Column("summary", LargeBinary, nullable=False),  # to be bet on; empty once it was
    Column("rest", LargeBinary, nullable=False),  # later events, and labels that came too late: to be learned from
    Column("waits", Boolean, nullable=False),  # whether the tests have anything left to do with it
    Index(  # few rows, found without reading all others
        "ix_cluster_waits",
        "model_id",
        "due",
        sqlite_where=literal_column("waits = 1"),
        postgresql_where=literal_column("waits"),
    ),
)

evidence = Table(
    "evidence",  # the sequential tests of a model version as a whole
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),  # predictions from here on count, in event time
    Column("basis", Text, nullable=False),  # JSON: the settings it depends on; a change restarts it
    Column("fields", Text, nullable=False),  # JSON: its figures
    Column("state", LargeBinary, nullable=False),
)

segment_evidence = Table(
    "segment_evidence",  # the sequential tests of declared segments
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),  # the other columns are those of `evidence`
    Column("basis", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

ratio_evidence = Table(
    "ratio_evidence",  # the tests of observed over expected outcomes of a model version as a whole
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),  # the other columns are those of `evidence`
    Column("basis", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

mapping = Table(
    "mapping",  # maps from values that are not probabilities to probabilities, one of a family per model version
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("family", Text, primary_key=True),  # agreement or score
    Column("until", BigInteger, nullable=False),  # fitted on predictions before this, in event time
    Column("created_at", BigInteger, nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
)

estimate = Table(
    "estimate",  # figures estimated for a window before its labels arrived, and the true ones
    metadata,
    Column("id", Serial, primary_key=True),
    _model_column(),
    Column("version", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("fields", Text, nullable=False),  # JSON
    Column("truth", Text),  # JSON; null until the window has matured
    UniqueConstraint("model_id", "window", "version", "end"),
)

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", Serial, primary_key=True),
    _model_column(),
    Column("version", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("end", BigInteger, nullable=False),
    Column("computed_at", BigInteger, nullable=False),
    Column("fields", Text, nullable=False),  # JSON
    UniqueConstraint("model_id", "window", "version", "segment", "end"),
)

latest = Table(
    "latest",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # calibration or drift
    Column("computed_at", BigInteger, nullable=False),
    Column("fields", Text, nullable=False),  # JSON
    Column("predictions", BigInteger, nullable=False, server_default="0"),  # in the window
    Column("enough", Boolean, nullable=False, server_default=false()),  # whether its figures mean something
)

alert = Table(
    "alert",
    metadata,
    Column("id", Serial, primary_key=True),
    _model_column(),
    Column("kind", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("segment", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", BigInteger, nullable=False),  # in event time: the end of the deciding window
    Column("recorded_at", BigInteger, nullable=False),
    Column("evidence", Text, nullable=False),  # JSON
    Index(None, "model_id", "id"),
)

alert_state = Table(
    "alert_state",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("window", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("segment", Text, primary_key=True),
    Column("firing", Boolean, nullable=False),
    Column("since", BigInteger, nullable=False),  # event time of the last transition
)

replay = Table(
    "replay",
    metadata,
    Column("id", Serial, primary_key=True),
    _model_column(),
    Column("state", Text, nullable=False),  # running, done, failed or cancelled
    Column("policy", Text, nullable=False),  # JSON object, as sent
    Column("done", Integer, nullable=False, server_default="0"),  # steps
    Column("total", Integer, nullable=False, server_default="0"),
    Column("created_at", BigInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),  # by the database's clock: when its process last told how far it is
    Column("finished_at", BigInteger),
    Column("reason", Text),  # of a failure
    Column("result", Text),  # JSON, as it is answered
    Index(None, "model_id", "id"),
    sqlite_autoincrement=True,  # the number of a replay that was deleted is never given to another
)

notification = Table(
    "notification",
    metadata,
    Column("id", Text, primary_key=True),  # a UUID that receivers can drop repeats by
    Column("alert_id", Serial, ForeignKey("alert.id", ondelete="CASCADE"), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("delivered_at", BigInteger),
    Column("given_up", Boolean, nullable=False),
    Column("error", Text),
    Index(None, "delivered_at", "next_at"),
)

calibrator = Table(
    "calibrator",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("document", Text, nullable=False),  # JSON; never changed once written
    Column("created_at", BigInteger, nullable=False),
)

alias = Table(
    "alias",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),  # champion or challenger
    Column("number", Integer),  # null: no calibrator
    Column("since", BigInteger, nullable=False),  # wall clock
    Column("since_event_time", BigInteger),  # the model's event time at that moment
    Column("share", Double),  # of traffic that a challenger serves as a canary; null: none
)

refit = Table(
    "refit",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("attempted_at", BigInteger, nullable=False),  # in event time
    Column("labels", BigInteger, nullable=False),  # of the model at that moment
    Column("waits_for_person", Boolean, nullable=False),
    Column("reference_labels", BigInteger, nullable=False, server_default="0"),  # of the validation set at that moment
)

trial = Table(
    "trial",  # two calibrators compared on live labels: the champion and its predecessor, or a challenger and the champion
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("role", Text, primary_key=True),  # watch, proposal, shadow or canary
    Column("number", Integer),  # on trial; null: no calibrator
    Column("against", Integer),  # compared with; null: no calibrator
    Column("since", BigInteger, nullable=False),  # predictions from here on count, in event time
    Column("until", BigInteger, nullable=False),  # predictions before this have been compared
    Column("fields", Text, nullable=False),  # JSON: its figures
    Column("state", LargeBinary, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("model_id", Integer, nullable=False),  # no foreign key: the log of a model outlives it
    Column("model", Text, nullable=False),  # its name
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    Index(None, "model_id", "id"),
    Index(None, "model", "id"),
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

model_counter = Table(
    "model_counter",
    metadata,
    Column("model_id", Integer, ForeignKey("model.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

refusal = Table(
    "refusal",  # the last events of each model that did not count
    metadata,
    Column("id", Serial, primary_key=True),
    _model_column(),
    Column("received_at", BigInteger, nullable=False),
    Column("event_id", Text),  # null where it had no usable one
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "model_id", "id"),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

job = Table(
    "job",
    metadata,
    Column("name", Text, primary_key=True),
    Column("last_success_at", BigInteger),
    Column("failures", BigInteger, nullable=False, default=0),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),  # SHA-256 of the key
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)
