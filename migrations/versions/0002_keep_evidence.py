"""keep evidence."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "estimate",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("truth", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_estimate_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_estimate")),
        sa.UniqueConstraint(
            "model_id", "window", "version", "end", name=op.f("uq_estimate_model_id_window_version_end")
        ),
    )
    op.create_table(
        "evidence",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_evidence_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "version", name=op.f("pk_evidence")),
    )
    op.create_table(
        "mapping",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_mapping_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "version", "family", name=op.f("pk_mapping")),
    )
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
    with op.batch_alter_table("delay", schema=None) as batch_op:
        batch_op.add_column(sa.Column("sy", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("sp", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("variance", sa.BigInteger(), server_default="0", nullable=False))

    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.add_column(sa.Column("consumed_until", sa.BigInteger(), nullable=True))

    # The sequential tests begin with predictions from now on: of earlier ones it was not kept what clusters add up to.
    op.execute("UPDATE progress SET consumed_until = (newest_prediction / 60000000 + 1) * 60000000")


def downgrade() -> None:

    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.drop_column("consumed_until")

    with op.batch_alter_table("delay", schema=None) as batch_op:
        batch_op.drop_column("variance")
        batch_op.drop_column("sp")
        batch_op.drop_column("sy")

    op.drop_table("clustered")
    op.drop_table("mapping")
    op.drop_table("evidence")
    op.drop_table("estimate")
