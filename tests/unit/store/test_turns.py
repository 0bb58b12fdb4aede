import threading
import time
from contextlib import suppress

from monitor.store.engine import Turns


def started(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    time.sleep(0.05)  # until it waits
    return thread


def test_a_patient_taker_lets_one_that_came_later_go_first():
    turns, order = Turns(patience=60), []

    def take(*, patient):
        with turns.take(patient=patient):
            order.append("patient" if patient else "urgent")

    with turns.take(patient=False):
        waiting = [started(lambda: take(patient=True)), started(lambda: take(patient=False))]
    for thread in waiting:
        thread.join(10)
    assert order == ["urgent", "patient"]


def test_patience_ends_however_busy_the_urgent_ones_are():
    turns, stop, got = Turns(patience=0.02), threading.Event(), threading.Event()

    def hurry():
        while not stop.is_set():
            with turns.take(patient=False):
                time.sleep(0.001)

    def wait():
        with turns.take(patient=True):
            got.set()

    hurrying = [started(hurry) for _ in range(2)]
    started(wait)
    in_time = got.wait(10)
    stop.set()
    for thread in hurrying:
        thread.join(10)
    assert in_time


def test_a_taker_that_fails_lets_go():
    turns, got = Turns(), threading.Event()
    for patient in (True, False):
        with suppress(KeyError), turns.take(patient=patient):
            raise KeyError

    def take():
        with turns.take(patient=True):
            got.set()

    started(take)
    assert got.wait(10)
