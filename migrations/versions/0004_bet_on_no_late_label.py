"""bet on no late label, and on each cluster and segment by itself."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MODEL = sa.table("model", *map(sa.column, ("id", "revision", "settings")))
REVISION = sa.table("revision", *map(sa.column, ("model_id", "number", "classes")))
COUNTS = ("takings", "starts", "segment_starts")


def upgrade() -> None:

    op.create_table(
        "cohort",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_cohort_series_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("series_id", "due", "bucket", name=op.f("pk_cohort")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cluster",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("cluster", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closes", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("rest", sa.LargeBinary(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_cluster_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "cluster", "version", "segment", name=op.f("pk_cluster")),
    )
    op.create_index(
        "ix_cluster_waits",
        "cluster",
        ["model_id", "due"],
        sqlite_where=sa.literal_column("waits = 1"),
        postgresql_where=sa.literal_column("waits"),
    )
    op.create_table(
        "segment_evidence",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name=op.f("fk_segment_evidence_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "version", "segment", name=op.f("pk_segment_evidence")),
    )
    op.create_table(
        "ratio_evidence",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"], ["model.id"], name=op.f("fk_ratio_evidence_model_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("model_id", "version", name=op.f("pk_ratio_evidence")),
    )
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.add_column(sa.Column("version", sa.Text(), nullable=True))
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.add_column(sa.Column("classes", sa.Text(), server_default="[]", nullable=False))
    _declare_classes()
    op.drop_table("clustered")
    op.execute("DELETE FROM rollup WHERE level = 3")  # late labels
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.alter_column("consumed_until", new_column_name="taken_until")
        for name in COUNTS:
            batch_op.add_column(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))

    # Late labels were bet on, so the states of before are not read any more. The tests begin anew, with predictions from now on.
    op.execute("UPDATE progress SET taken_until = NULL")
    op.execute(
        "UPDATE progress SET taken_until = (CASE WHEN received_at > newest_prediction THEN received_at ELSE newest_prediction END"
        " / 10000000 + 1) * 10000000 WHERE newest_prediction IS NOT NULL"
    )
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.drop_column("until")


def _declare_classes() -> None:
    """Note the classes that have thresholds in the newest revision of each model."""
    connection = op.get_bind()
    for number, revised, settings in connection.execute(
        sa.select(MODEL.c.id, MODEL.c.revision, MODEL.c.settings)
    ).all():
        names = json.dumps(sorted(json.loads(settings).get("class_thresholds", {})), ensure_ascii=False)
        same = (REVISION.c.model_id == number, REVISION.c.number == revised)
        connection.execute(sa.update(REVISION).where(*same).values(classes=names))


def downgrade() -> None:

    op.execute("DELETE FROM evidence")
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.drop_column("version")
    with op.batch_alter_table("revision", schema=None) as batch_op:
        batch_op.drop_column("classes")
    with op.batch_alter_table("evidence", schema=None) as batch_op:
        batch_op.add_column(sa.Column("until", sa.BigInteger(), nullable=False))
    with op.batch_alter_table("progress", schema=None) as batch_op:
        for name in COUNTS:
            batch_op.drop_column(name)
        batch_op.alter_column("taken_until", new_column_name="consumed_until")
    op.execute("UPDATE progress SET consumed_until = (newest_prediction / 60000000 + 1) * 60000000")
    op.create_table(
        "clustered",
        sa.Column("series_id", sa.Integer(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name=op.f("fk_clustered_series_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("series_id", "level", "bucket", "cluster", name=op.f("pk_clustered")),
        sqlite_with_rowid=False,
    )
    for name in ("ratio_evidence", "segment_evidence", "cluster", "cohort"):
        op.drop_table(name)
