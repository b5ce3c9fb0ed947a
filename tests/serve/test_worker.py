"""The thread of the network: what is asked for goes before the view, and the view before the rest."""

import threading

import pytest

from atrous.errors import UserError
from atrous.serve.worker import WAITING, Busy, NetworkWorker

BOX, OTHER = (slice(0, 4), slice(0, 4)), (slice(9, 12), slice(9, 12))


class Steps:
    """An input whose work is steps that are written down; `gate` holds it back, `asked` is called in each step."""

    name, state, problem = "steps", "ready", ""

    def __init__(self):
        self.log, self.gate, self.parts, self.asked = [], threading.Event(), {}, {}

    def next_part(self, region):
        return region if self.parts.get(str(region), 0) else None

    def compute(self, part, between):
        for step in range(3):
            self.asked.get(("view", step), lambda: None)()
            between(step / 3)
            self.log.append(f"view {step}")
        self.parts[str(part)] -= 1

    def fill(self, between):
        self.gate.wait(10)
        for step in range(3):
            self.asked.get(("fill", step), lambda: None)()
            between(step / 3)
            self.log.append(f"fill {step}")


@pytest.fixture
def worker():
    worker = NetworkWorker()
    yield worker
    worker.close()


def finished(worker, labeled):
    for _ in range(1000):
        if not worker.fills(labeled):
            return worker.ask(lambda between: True).result(10)
        threading.Event().wait(0.01)
    return False


def test_long_work_gives_way_to_shorter_work(worker):
    steps = Steps()
    steps.parts[str(BOX)] = 1
    steps.asked["fill", 1] = lambda: worker.look(steps, BOX)
    steps.asked["view", 1] = lambda: worker.ask(lambda between: steps.log.append("wish"))
    worker.fill(steps)
    steps.gate.set()
    assert finished(worker, steps)
    assert steps.log == ["fill 0", "view 0", "wish", "view 1", "view 2", "fill 1", "fill 2"]


def test_a_view_that_moved_away_is_not_finished(worker):
    steps = Steps()
    steps.parts.update({str(BOX): 1, str(OTHER): 1})
    steps.asked["view", 1] = lambda: steps.asked.pop(("view", 1)) and worker.look(steps, OTHER)
    worker.look(steps, BOX)
    steps.gate.set()
    worker.fill(steps)
    assert finished(worker, steps)
    assert steps.log[:5] == ["view 0", "view 0", "view 1", "view 2", "fill 0"]
    assert steps.parts == {str(BOX): 1, str(OTHER): 0}


def test_the_rest_can_be_paused(worker):
    steps = Steps()
    steps.asked["fill", 1] = lambda: worker.pause(steps)
    worker.fill(steps)
    steps.gate.set()
    assert finished(worker, steps)
    assert steps.log == ["fill 0"]


def test_errors_go_to_who_asked_or_to_the_input(worker):
    def wrong(*arguments):
        raise UserError("wrong")

    with pytest.raises(UserError, match="wrong"):
        worker.ask(wrong).result(10)
    steps = Steps()
    steps.fill = wrong
    worker.fill(steps)
    assert finished(worker, steps)
    assert steps.problem == "wrong"


def test_a_bug_ends_neither_the_thread_nor_shows_its_text(worker, caplog):
    steps = Steps()
    steps.asked["fill", 0] = lambda: 1 // 0
    steps.gate.set()
    worker.fill(steps)
    assert finished(worker, steps)
    assert steps.problem == "an unexpected error (ZeroDivisionError): the terminal shows it"
    assert "ZeroDivisionError" in caplog.text


def test_too_many_wishes_are_refused_and_closing_forgets_them():
    worker, gate = NetworkWorker(), threading.Event()
    first = worker.ask(lambda between: gate.wait(10))
    while not first.running():
        threading.Event().wait(0.01)
    wishes = [worker.ask(lambda between: 0) for _ in range(WAITING)]
    with pytest.raises(Busy):
        worker.ask(lambda between: 0)
    threading.Timer(0.05, gate.set).start()
    worker.close()
    assert first.result(10)
    assert all(wish.cancelled() for wish in wishes)
    assert not worker._thread.is_alive()


def test_an_input_that_cannot_be_opened_now_is_opened_later():
    worker, gate, steps = NetworkWorker(), threading.Event(), Steps()
    steps.state, steps.ready = "new", lambda: None
    first = worker.ask(lambda between: gate.wait(10))
    while not first.running():
        threading.Event().wait(0.01)
    wishes = [worker.ask(lambda between: 0) for _ in range(WAITING)]
    with pytest.raises(Busy):
        worker.open(steps)
    assert steps.state == "new"
    gate.set()
    assert wishes[-1].result(10) == 0
    worker.open(steps)
    assert steps.state == "opening"
    worker.close()
