"""put calibrators on trial."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "trial",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("against", sa.Integer(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_trial_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "role", name=op.f("pk_trial")),
    )
    # Columns are added in place: to copy the table of predictions, as batch mode may, would take minutes and its space again.
    op.add_column("alias", sa.Column("share", sa.Double(), nullable=True))
    op.add_column("prediction", sa.Column("reference", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_prediction_reference",
        "prediction",
        ["model_id", "id"],
        sqlite_where=sa.literal_column("reference = 1"),
        postgresql_where=sa.literal_column("reference"),
    )
    op.add_column("refit", sa.Column("reference_labels", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:

    with op.batch_alter_table("refit", schema=None) as batch_op:
        batch_op.drop_column("reference_labels")

    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.drop_index("ix_prediction_reference")
        batch_op.drop_column("reference")

    with op.batch_alter_table("alias", schema=None) as batch_op:
        batch_op.drop_column("share")

    op.drop_table("trial")
