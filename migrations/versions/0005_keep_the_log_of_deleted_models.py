"""keep the audit log of a model that is deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:

    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_audit_model_id"), type_="foreignkey")
        batch_op.add_column(sa.Column("model", sa.Text(), nullable=True))
    op.execute("UPDATE audit SET model = (SELECT name FROM model WHERE model.id = audit.model_id)")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.alter_column("model", existing_type=sa.Text(), nullable=False)
        batch_op.create_index(batch_op.f("ix_audit_model_id"), ["model", "id"])


def downgrade() -> None:

    op.execute("DELETE FROM audit WHERE model_id NOT IN (SELECT id FROM model) OR action = 'delete'")
    with op.batch_alter_table("audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_model_id"))
        batch_op.drop_column("model")
        batch_op.create_foreign_key(batch_op.f("fk_audit_model_id"), "model", ["model_id"], ["id"], ondelete="CASCADE")
