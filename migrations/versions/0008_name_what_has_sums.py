"""name the versions and segment values that have sums of their own."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MODEL = sa.table("model", *map(sa.column, ("id", "settings")))
SERIES = sa.table("series", *map(sa.column, ("id", "model_id", "version", "segment")))


def upgrade() -> None:

    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unnamed", sa.Text(), nullable=True))
    named = op.create_table(
        "named",
        sa.Column("model_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_named_model_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "key", "value", name=op.f("pk_named")),
    )
    rows = list(_named(op.get_bind()))
    if rows:
        op.get_bind().execute(sa.insert(named), rows)


def _named(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Yield what had sums so far, in the order of its first roll-up: all of it keeps them."""
    declared = {
        number: json.loads(settings)["segments"]
        for number, settings in connection.execute(sa.select(MODEL.c.id, MODEL.c.settings))
    }
    places: dict[tuple[int, str], dict[str, int]] = {}
    query = sa.select(SERIES.c.model_id, SERIES.c.version, SERIES.c.segment).order_by(SERIES.c.id)
    for number, version, segment in connection.execute(query):
        of_segment = [(key, segment[len(key) + 1 :]) for key in declared[number] if segment.startswith(f"{key}:")]
        for key, value in [("", version), *of_segment]:
            known = places.setdefault((number, key), {})
            if value not in known:
                known[value] = len(known)
                yield {"model_id": number, "key": key, "value": value, "place": known[value]}


def downgrade() -> None:

    op.drop_table("named")
    with op.batch_alter_table("prediction", schema=None) as batch_op:
        batch_op.drop_column("unnamed")
