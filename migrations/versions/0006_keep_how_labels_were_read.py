"""keep how labels were read."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MODEL = sa.table("model", *map(sa.column, ("id", "task", "classes", "revision", "former", "accepted")))


def upgrade() -> None:

    # Not in a batch, which on SQLite would make the table anew and take all rows that refer to it along.
    op.add_column("model", sa.Column("ordered", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("model", sa.Column("accepted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("model", sa.Column("former", sa.Text(), server_default="[]", nullable=False))
    _begin_revisions()


def _begin_revisions() -> None:
    """Begin a revision of each model's settings: rows of before are read as they were, those from now on by the new rules."""
    connection = op.get_bind()
    op.execute(
        "INSERT INTO revision (model_id, number, segments, label_delay, classes) SELECT r.model_id, r.number + 1, r.segments,"
        " r.label_delay, r.classes FROM revision r JOIN model m ON m.id = r.model_id AND m.revision = r.number"
    )
    for number, task, classes, revised in connection.execute(
        sa.select(MODEL.c.id, MODEL.c.task, MODEL.c.classes, MODEL.c.revision)
    ).all():
        names = None if classes is None else json.loads(classes)
        former = [{"until": revised, "rules": 0, "classes": names, "ordered": True}]
        connection.execute(
            sa.update(MODEL)
            .where(MODEL.c.id == number)
            .values(revision=revised + 1, former=json.dumps(former, ensure_ascii=False), accepted=task is not None)
        )


def downgrade() -> None:

    for name in ("former", "accepted", "ordered"):
        op.drop_column("model", name)
