"""The training on strokes as the server sees it: a process that is started, told of changes, and listened to."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from atrous.errors import UserError

KEPT = 600
"""Points of each curve that are kept; beyond, every other one is dropped."""
STOPPED_AFTER = 10.0
"""Seconds that a process has to stop when the server stops."""

Point = tuple[float, float]
"""Seconds of training, and a value."""


class Curve:
    """Points of a curve, thinned out when there are many."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._every, self._count = 1, 0

    def add(self, seconds: float, value: float) -> None:
        """Add a point at the end; where points were dropped, most that come are dropped too."""
        if self._count % self._every == 0:
            self.points.append((seconds, value))
        self._count += 1
        if len(self.points) > KEPT:
            self.points, self._every = self.points[::2], 2 * self._every


class PaintTrainer:
    """Starts and stops the process, and keeps what it says.

    Args:
        command: of the process; see `training_command`.
        log: file for what else it prints.
        on_weights: called in a thread of its own whenever there are new weights.

    Attributes:
        state: "off", "starting", "training" or "stopping".
        problem: why it stopped by itself; "" if nothing is wrong.
        step: steps taken.
        seconds: time of training.
        loss: of the batches.
        held_out_loss: of the held-out pieces.
        accuracy: share of the positions of the held-out pieces that are labeled right. (A mean IoU of few pieces says
            little: of a class that none of them has it counts every false position as a class that is all wrong.)
        samples: how many parts of images are learned from (`train`), and how many have `held_out` pieces; where none
            has, the curves of held-out pieces are those of the pieces that are learned.
    """

    def __init__(self, command: Sequence[str], log: Path, on_weights: Callable[[], None]) -> None:
        self._command, self._log, self._on_weights = list(command), log, on_weights
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.state, self.problem = "off", ""
        self.step, self.seconds = 0, 0.0
        self.loss, self.held_out_loss, self.accuracy = Curve(), Curve(), Curve()
        self.samples: dict[str, int] = {}

    def start(self) -> None:
        """Start the process, unless it runs.

        Raises:
            UserError: the system does not start it, or does not take its log.
        """
        with self._lock:
            if self._process is not None:
                return
            try:
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with self._log.open("w", encoding="utf-8") as log:
                    self._process = subprocess.Popen(
                        self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                        encoding="utf-8",
                    )  # fmt: skip
            except OSError as error:
                what = f"the training cannot start ({error.strerror or error}): make room, or allow it"
                raise UserError(f"{error.filename or self._log}: {what}") from error
            self.state, self.problem = "starting", ""
            threading.Thread(target=self._listen, args=(self._process,), name="training", daemon=True).start()

    def stop(self) -> None:
        """Have the process stop after its step; its last weights follow."""
        with self._lock:
            if self._process is not None:
                self.state = "stopping"
                self._say("stop")

    def changed(self) -> None:
        """Say that strokes or classes have changed."""
        with self._lock:
            self._say("changed")

    def close(self) -> None:
        """Stop the process, and wait until it has."""
        self.stop()
        process = self._process
        if process is None:
            return
        try:
            process.wait(STOPPED_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _say(self, word: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # it has ended: `_listen` notes why
            return

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                try:
                    said = json.loads(line)
                except ValueError:
                    self.problem = f"the training has said what is no JSON: {line.strip()[:80]}"
                    process.kill()
                    break
                self.note(said)
        code = process.wait()
        if process.stdin is not None:
            process.stdin.close()
        with self._lock:
            if code not in (0, 2) and self.state != "stopping" and not self.problem:
                self.problem = f"the training has ended unexpectedly: {self._log} shows why"
            self.state, self._process = "off", None

    def note(self, said: dict[str, Any]) -> None:
        """Keep what the process has said."""
        kind = said["kind"]
        if kind == "problem":
            self.problem = str(said["text"])
        elif kind == "plan":
            self.samples = dict(said["samples"])
            if self.state == "starting":
                self.state = "training"
        elif kind == "step":
            self.step, self.seconds = int(said["step"]), float(said["seconds"])
            self.loss.add(self.seconds, float(said["loss"]))
        elif kind == "validation":
            self.step, self.seconds = int(said["step"]), float(said["seconds"])
            for curve, name in ((self.held_out_loss, "loss"), (self.accuracy, "pixel_accuracy")):
                if said[name] is not None:
                    curve.add(self.seconds, float(said[name]))
        elif kind == "weights":
            self._on_weights()


def training_command(root: Path, device: str, start: Path | None) -> list[str]:
    """Return the command of the process that trains on a painted data set.

    Args:
        root: its folder.
        device: where to train.
        start: folder of a run from whose weights the first training starts.
    """
    words = [sys.executable, "-m", "atrous.serve.paint_training", str(root.absolute()), "--device", device]
    return words if start is None else [*words, "--start", str(start.absolute())]
