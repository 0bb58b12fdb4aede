"""export segments by traffic."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:

    with op.batch_alter_table("latest", schema=None) as batch_op:
        batch_op.add_column(sa.Column("predictions", sa.BigInteger(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("enough", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:

    with op.batch_alter_table("latest", schema=None) as batch_op:
        batch_op.drop_column("enough")
        batch_op.drop_column("predictions")
