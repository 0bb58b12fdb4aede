"""test segments."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:

    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.add_column(sa.Column("segment_starts", sa.BigInteger(), server_default="0", nullable=False))
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
    op.drop_table("cluster")  # which no release has filled
    _create_clusters(segments=True)


def downgrade() -> None:

    op.drop_table("cluster")
    _create_clusters(segments=False)
    op.drop_table("segment_evidence")
    with op.batch_alter_table("progress", schema=None) as batch_op:
        batch_op.drop_column("segment_starts")


def _create_clusters(*, segments: bool) -> None:
    key = ["model_id", "version", *(["segment"] if segments else []), "cluster"]
    op.create_table(
        "cluster",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        *([sa.Column("segment", sa.Text(), nullable=False)] if segments else []),
        sa.Column("cluster", sa.BigInteger(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("closes", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("rest", sa.LargeBinary(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_cluster_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_cluster")),
    )
    op.create_index(
        "ix_cluster_waits",
        "cluster",
        ["model_id", "due"],
        sqlite_where=sa.literal_column("waits = 1"),
        postgresql_where=sa.literal_column("waits"),
    )
