"""The training as the server sees it: started, told, listened to, stopped, and not missed when it crashes."""

import sys
import threading

import pytest

from atrous.errors import UserError
from atrous.serve.paint_trainer import KEPT, Curve, PaintTrainer, training_command

TALKS = """
import json, sys
def tell(**facts): print(json.dumps(facts), flush=True)
tell(kind="plan", samples={"train": 2, "held_out": 1})
tell(kind="step", step=1, seconds=0.5, loss=1.25, rate=8.0)
tell(kind="validation", step=2, seconds=1.0, loss=1.0, miou=0.5, pixel_accuracy=0.75)
tell(kind="validation", step=3, seconds=1.5, loss=None, miou=None, pixel_accuracy=None)
tell(kind="weights", version=1)
for line in sys.stdin:
    if line.strip() == "stop": break
    tell(kind="step", step=9, seconds=2.0, loss=0.5, rate=8.0)
tell(kind="weights", version=2)
"""


def trainer_of(program, tmp_path, on_weights=lambda: None):
    return PaintTrainer([sys.executable, "-c", program], tmp_path / "training.log", on_weights)


def ended(trainer):
    """Wait until the thread that listens has ended."""
    for thread in threading.enumerate():
        if thread.name == "training":
            thread.join(60)
    assert trainer.state == "off"


def test_a_training_is_started_told_and_stopped(tmp_path):
    came = threading.Semaphore(0)
    trainer = trainer_of(TALKS, tmp_path, came.release)
    trainer.changed()  # nothing runs: nothing happens
    trainer.stop()
    trainer.start()
    trainer.start()
    assert came.acquire(timeout=60)
    assert (trainer.state, trainer.step, trainer.samples) == ("training", 3, {"train": 2, "held_out": 1})
    assert trainer.loss.points == [(0.5, 1.25)]
    assert trainer.accuracy.points == [(1.0, 0.75)]
    trainer.changed()
    trainer.stop()
    ended(trainer)
    assert came.acquire(timeout=60)
    assert (trainer.step, trainer.problem) == (9, "")
    trainer.close()


def test_a_mistake_is_said_and_a_crash_leads_to_the_log(tmp_path):
    trainer = trainer_of('print(\'{"kind": "problem", "text": "paint more"}\'); raise SystemExit(2)', tmp_path)
    trainer.start()
    ended(trainer)
    assert trainer.problem == "paint more"
    trainer = trainer_of("1 / 0", tmp_path)
    trainer.start()
    ended(trainer)
    assert trainer.problem == f"the training has ended unexpectedly: {tmp_path / 'training.log'} shows why"
    assert "ZeroDivisionError" in (tmp_path / "training.log").read_text()


def test_a_training_that_cannot_start_is_said_and_is_off(tmp_path):
    (tmp_path / "file").write_text("")
    trainer = PaintTrainer([sys.executable], tmp_path / "file" / "training.log", lambda: None)
    with pytest.raises(UserError, match="the training cannot start"):
        trainer.start()
    assert trainer.state == "off"
    trainer = PaintTrainer([str(tmp_path / "nothing")], tmp_path / "training.log", lambda: None)
    with pytest.raises(UserError, match="the training cannot start"):
        trainer.start()
    assert trainer.state == "off"
    trainer.close()


def test_what_is_no_json_ends_it(tmp_path):
    trainer = trainer_of("import sys; print('hello', flush=True); sys.stdin.read()", tmp_path)
    trainer.start()
    ended(trainer)
    assert trainer.problem == "the training has said what is no JSON: hello"


def test_closing_ends_the_process(tmp_path):
    trainer = trainer_of("import sys; sys.stdin.read()", tmp_path)
    trainer.start()
    process = trainer._process
    trainer._process.stdin.close()
    trainer.close()
    assert process.poll() is not None


def test_a_long_curve_is_thinned_out():
    curve = Curve()
    for number in range(10 * KEPT):
        curve.add(float(number), 1.0)
    assert KEPT // 2 <= len(curve.points) <= KEPT
    seconds = [point[0] for point in curve.points]
    assert seconds == sorted(seconds)
    assert seconds[0] == 0
    assert seconds[-1] > 9 * KEPT


@pytest.mark.parametrize("start", [True, False])
def test_the_command_names_folders_that_hold_everywhere(tmp_path, start):
    words = training_command(tmp_path / "a", "cpu", tmp_path / "run" if start else None)
    assert words[1:4] == ["-m", "atrous.serve.paint_training", str(tmp_path / "a")]
    assert ("--start" in words) == start
