"""A trained network on frames that come: each is labelled as the prediction of the whole video labels it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.background import RunningBackground
from atrous.data.formats.base import in_words, require_bytes
from atrous.data.preprocess import to_channels
from atrous.errors import UserError
from atrous.geometry.axis import period
from atrous.geometry.plan import byte_count
from atrous.machine import memory_limit
from atrous.prediction.inputs import prepared
from atrous.prediction.predictor import Predictor
from atrous.recipe.run import Run
from atrous.stream.engines import ENGINES
from atrous.stream.session import Session
from atrous.stream.stream import plan
from atrous.tasks.task import FoundTask

VIDEO_KINDS = ("videos", "scenes")
"""Kinds of data whose inputs are frames."""


def require_frames(run: Run) -> None:
    """Check that a run labels frames, and needs nothing of a video but what has come.

    Raises:
        UserError: it does not.
    """
    recipe, folder = run.recipe, run.folder
    if recipe.data.kind not in VIDEO_KINDS or isinstance(run.task(), FoundTask):
        what = "does not label the frames of a video, which live input consists of"
        raise UserError(f"{folder}: {what}: give a run of motion or of videos, or leave --live out")
    if set(recipe.input.intensity) - {"keep", "clip"}:
        what = "its recipe scales each video by its own mean and deviation (zscore), which are unknown while it comes"
        raise UserError(f"{folder}: {what}: train with --set input.intensity='[\"keep\"]'")
    if recipe.input.spacing:
        raise UserError(f"{folder}: its recipe resamples inputs: train without input.spacing")


class LiveLabeler:
    """Labels frames as they come. All labels together are those of the whole video.

    The background of a frame is that of the frames before it, and the network runs as in a stream (`Session`). The
    session is opened with the first frame, whose size all others must have.

    Args:
        predictor: the network.
        title: names the input in messages.
        tell: called with what is unlike the training data.

    Raises:
        UserError: the run does not label frames (`require_frames`), or another engine than torch is wanted.
    """

    def __init__(self, predictor: Predictor, title: str, tell: Callable[[str], None] = lambda text: None) -> None:
        require_frames(predictor.run)
        if predictor.engine != ENGINES[0]:
            raise UserError(f"--engine {predictor.engine}: frames that come are labelled by {ENGINES[0]}: leave it out")
        background = predictor.expected.background
        self._background = None if background is None else RunningBackground(background)
        self._held = 0 if background is None else background.frames
        self._predictor, self._title, self._tell = predictor, title, tell
        self._session: Session | None = None
        self._first: tuple[tuple[int, ...], Any] = ((), None)
        self._pushed = self._returned = 0

    @property
    def latency(self) -> int:
        """Later frames that the network reads of a frame's labels; known when the first frame has been pushed."""
        return 0 if self._session is None else self._session.latency

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Take the next frame `(C, H, W)`, and return the labels `(n, H, W)` that no later frame can change.

        Raises:
            UserError: its size or its type is not that of the first, or it does not fit the network or the memory; or
                the network needs the whole video (`Refused`, which names the layer).
        """
        if self._session is None:
            values = self._begin(frame)
        else:
            self._require_alike(frame)
            values = self._values(frame)
        assert self._session is not None
        self._pushed += 1
        return self._counted(self._session.push(values))

    def close(self) -> np.ndarray:
        """End the video, and return the labels `(n, H, W)` that are left.

        Raises:
            UserError: with an end here, labels that were returned would have been others.
        """
        if self._session is None or self._returned == self._pushed:
            return np.empty((0, *self._first[0][1:]), np.uint8)
        return self._counted(self._session.close())

    def _counted(self, labels: np.ndarray) -> np.ndarray:
        self._returned += len(labels)
        return labels

    def _begin(self, frame: np.ndarray) -> np.ndarray:
        """Open the session, and return the values of the first frame."""
        predictor, expected = self._predictor, self._predictor.expected
        self._first = frame.shape, frame.dtype
        for difference in expected.differences(frame[:, None], None, predictor.preparation):
            self._tell(f"{self._title}: {difference}")
        # the frames that are held, and as many rows of the network that sorts them
        require_bytes(Path(self._title), 2 * self._held * frame.nbytes, "the background of its frames", "shrink them")
        values = self._values(frame)
        shape = (predictor.run.recipe.model.in_channels, None, *frame.shape[1:])
        session = Session(predictor.inner, shape, post=predictor.task.decode, dtype=predictor.dtype)
        self._require_room(session)
        self._session = session
        return values

    def _require_room(self, session: Session) -> None:
        """Raise `UserError` unless the network has room for one frame: of a session, frames are not cut into blocks."""
        predictor, shape = self._predictor, session.ready.graph.shape
        limit = byte_count(predictor.memory) or memory_limit() / 2
        needed = plan(
            session.ready, shape, blocks=1, strip=period(session.axis), axis=0, strategy="strips", dtype=predictor.dtype
        ).peak_bytes
        if needed > limit:
            what = f"frames of {shape[2]} x {shape[3]} need {in_words(needed)}, and {in_words(int(limit))} are allowed"
            raise UserError(f"{self._title}: {what}: give --memory, or send smaller frames")

    def _values(self, frame: np.ndarray) -> np.ndarray:
        """What the network reads of a frame, `(C, 1, H, W)` float32."""
        predictor, expected = self._predictor, self._predictor.expected
        clip = np.asarray(to_channels(frame[:, None], expected.of_file, Path(self._title))[...])
        if self._background is not None:
            clip = self._background.push(clip[:, 0])[:, None]
        opened = prepared(clip, expected.preparation(predictor.preparation, None))
        return predictor.standardized(np.asarray(opened.source[...]))[...]

    def _require_alike(self, frame: np.ndarray) -> None:
        shape, dtype = self._first
        if frame.shape == shape and frame.dtype == dtype:
            return
        now, first = (
            "{} x {} ({} channels, {})".format(*size[1:], size[0], kind)
            for size, kind in ((frame.shape, frame.dtype), self._first)
        )
        what = f"frame {self._pushed} is {now}, the first {first}"
        raise UserError(f"{self._title}: {what}: a network labels frames of one size: start again")
