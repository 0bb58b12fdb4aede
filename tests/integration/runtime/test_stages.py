"""The loop over models: one that fails is counted and stops no other."""

from datetime import timedelta

from sqlalchemy import select, update

from monitor.domain.times import moment
from monitor.runtime.config import Settings
from monitor.runtime.stages import EVALUATE, jobs_of
from monitor.store import jobs
from monitor.store.schema import evaluation, rollup, series


def test_an_evaluation_of_one_model_that_fails_is_counted_and_stops_no_other(feed_on, database, clock, make):
    feed = feed_on(database)
    broken, sound = (feed.model(name, minimum_labels=5, label_delay=0, windows=("1h",)) for name in ("broken", "sound"))
    begin = moment(clock())
    for name in ("broken", "sound"):
        feed.send(*(make.prediction(f"{name}{i}", 0.5, model=name, at=begin) for i in range(20)))
        feed.send(*(make.label(f"{name}{i}", i % 2, model=name) for i in range(20)))
    clock.advance(timedelta(minutes=5))
    feed.roll_up()
    _, evaluate = jobs_of(Settings(), database, now=clock, send=lambda _url, _body, _notice: None)[EVALUATE]
    its_series = select(series.c.id).where(series.c.model_id == broken.id)
    with database.write() as connection:
        connection.execute(update(rollup).where(rollup.c.series_id.in_(its_series)).values(summary=b"no sums"))

    evaluate(feed.token)

    with database.read() as connection:
        assert jobs.read(connection)[EVALUATE] == (None, 1)
        assert set(connection.scalars(select(evaluation.c.model_id))) == {sound.id}
    with database.write() as connection:
        connection.execute(rollup.delete().where(rollup.c.series_id.in_(its_series)))
    evaluate(feed.token)
    with database.read() as connection:
        assert jobs.read(connection)[EVALUATE] == (None, 1)
