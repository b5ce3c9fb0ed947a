"""`atrous predict RUN SOURCE --live`: label the frames of a video as they come, and write what they show."""

import os
import re
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from atrous.data.formats import frame_files
from atrous.data.formats.remote import shown
from atrous.data.formats.table import is_url, local_path, stem
from atrous.data.layouts.scenes import sequence_of
from atrous.data.live_folder import GrowingFolder
from atrous.data.live_frames import RATE, FrameReader, LiveFrame, LiveSource
from atrous.data.live_stream import PROTOCOLS, LiveStream
from atrous.errors import UserError
from atrous.prediction.live_files import LiveFiles, LivePlaces
from atrous.prediction.live_report import EVERY, LiveReport
from atrous.prediction.live_video import LiveLabeler, require_frames
from atrous.prediction.zones import FollowOptions
from atrous.recipe.run import Run
from atrous.verbs.predict import load_predictor
from atrous.verbs.predict_options import DEFAULTS, PredictOptions, checked_run

STDIN = "-"


def predict_frames(
    run: Run | Path | str,
    source: str | Path,
    out: Path | str | None = None,
    options: PredictOptions = DEFAULTS,
    *,
    stop: Event | None = None,
    tell: Callable[[str], None] = lambda text: None,
    stdin: Any = None,
    stdout: Any = None,
    every: float = EVERY,
) -> dict[str, Any]:
    """Label frames as they come, with the labels that `predict` gives the whole video, until there are no more.

    Every frame is labelled. What was labelled is written, however the video ends.

    Args:
        run: folder of the run, of motion or of videos, or the name of a model.
        source: a video file, a folder that grows, `-` for a video on standard input, or an `rtsp://` or `http://`
            address.
        out: folder of what is written; None writes the rows of the tracks to standard output.
        options: what to write (`tracks`, `zone`, `overlay`, `masks`; if none of them, the tracks), and how to compute
            it.
        stop: ends the work when it is set: frames that have come are labelled, and everything is written. It is set at
            the end in any case.
        tell: called with the latency, at intervals and at the end with how long frames take, and with what is left out.
        stdin: bytes; those of the process if None.
        stdout: text; that of the process if None.
        every: seconds between two reports.

    Returns:
        What was `written`, and the facts of `LiveReport`.

    Raises:
        UserError: an option does not apply, the run does not label frames, nothing can be read there, or the stream
            breaks off or changes the size of its frames; what was labelled before is written then, too.
    """
    options = replace(options, live=True)
    if out is not None and is_url(out):
        raise UserError(f"{shown(str(out))}: live frames are written to this machine: give a folder of it with -o")
    opened = checked_run(run, options, live=False)
    require_frames(opened)
    stop, target = stop or Event(), stdout or sys.stdout
    frames, name = _source(str(source), options, tell, stdin)
    places = _places(None if out is None else Path(local_path(str(out))), name, options, target)
    follow = FollowOptions(options.least_area, places.tracks is not None, options.zone)
    predictor = load_predictor(opened, options)
    files = LiveFiles(places, follow, predictor.palette)
    labeler, report = LiveLabeler(predictor, frames.title, tell), LiveReport(tell, frames.hurries, every)
    try:
        _label(frames, labeler, files, report, stop, tell)
    except BrokenPipeError:
        # The reader has gone. What Python flushes at exit must not raise again, so it is sent to the null device.
        with suppress(OSError):  # a text without a file
            number = target.fileno()
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    tell(report.text())
    return {"written": [str(path) for path in places.paths if path.exists()], **report.facts()}


def _label(
    source: LiveSource,
    labeler: LiveLabeler,
    files: LiveFiles,
    report: LiveReport,
    stop: Event,
    tell: Callable[[str], None],
) -> None:
    """Label and write all frames; where that ends with an error of the user's, what was labelled is written first."""
    reader, waiting = FrameReader(source, stop), deque[LiveFrame]()
    fault: UserError | None = None
    try:
        try:
            for frame in reader:
                begun, crowded = report.begin(), reader.crowded
                labels = labeler.push(frame.pixels)
                if not report.frames and not waiting:
                    files.begin(frame.pixels.shape[1:], source.rate)
                    tell(_latency_text(labeler.latency, files.delay))
                waiting.append(frame)
                for label in labels:
                    files.add(waiting.popleft(), label)
                report.add(frame.arrived, begun, crowded, frame.missing)
        except UserError as error:
            fault = error
        try:
            rest = labeler.close()
        except UserError as error:
            fault, rest = fault or error, ()
        for frame, label in zip(waiting, rest, strict=False):  # a frame that was refused waits for none
            files.add(frame, label)
        files.close()
    except BaseException:
        files.abandon()
        raise
    finally:
        reader.close()
    if fault is not None:
        if report.frames:
            tell(report.text())
        raise fault


def _latency_text(latency: int, delay: int) -> str:
    text = f"latency {latency} frames: a frame is labelled when so many after it have come"
    if latency == 0:
        text = "latency 0 frames: a frame is labelled as soon as it has come"
    return f"{text}; rows of tables come {delay} frames later" if delay else text


def _source(source: str, options: PredictOptions, tell: Callable[[str], None], stdin: Any) -> tuple[LiveSource, str]:
    """Where the frames come from, and the name of what is written of them."""
    idle = options.idle
    rate = None if options.frame_rate is None else Fraction(str(options.frame_rate))
    if source == STDIN:
        return LiveStream(stdin or sys.stdin.buffer, "standard input", idle, rate, tell), "stdin"
    if is_url(source):
        if source.split(":", maxsplit=1)[0].lower() not in PROTOCOLS:
            known = ", ".join(f"{scheme}://" for scheme in PROTOCOLS)
            raise UserError(f"{shown(source)}: live input comes from {known}, a file, a folder or -")
        return LiveStream(source, shown(source), idle, rate, tell), _name_of(source)
    path = Path(local_path(source))
    if path.is_dir():
        folder, name = path, path.resolve().name
        if not frame_files(path) and (inside := _frames_of_sequence(path)) is not None:
            folder = inside
        return GrowingFolder(folder, idle, rate or RATE, tell), name
    if not path.is_file():
        raise UserError(f"{source}: no such file or folder: give a video, a folder of frames, an address or -")
    return LiveStream(path, source, idle, rate, tell), stem(path)


def _frames_of_sequence(folder: Path) -> Path | None:
    """The folder of the frames in that of a sequence, which has masks beside them; None if it is no sequence."""
    inside = next((path for path in folder.iterdir() if path.is_dir()), None)
    return None if inside is None else sequence_of(inside)[0]


def _name_of(address: str) -> str:
    """The name of what is written of an address: the last part of its path, or its host.

    Raises:
        UserError: it is no address.

    >>> _name_of("rtsp://me:secret@10.0.0.7:554/live/door.sdp"), _name_of("http://camera:8080")
    ('door', 'camera')
    """
    try:
        parts = urlsplit(shown(address))
    except ValueError as error:
        raise UserError(f"{address}: is no address ({error}): write it as rtsp://HOST:PORT/PATH") from None
    last = Path(parts.path).stem or parts.hostname or ""
    return re.sub(r"[^\w.-]", "_", last).strip(".") or "live"


def _places(out: Path | None, name: str, options: PredictOptions, target: Any) -> LivePlaces:
    """Where things are written.

    Raises:
        UserError: files are wanted, but no folder is given; or the folder is a file.
    """
    files = {"--zone": options.zone is not None, "--overlay": options.overlay, "--masks": options.masks}
    if out is None:
        for option in (option for option, wanted in files.items() if wanted):
            raise UserError(f"{option} writes a file: say into which folder with -o")
        return LivePlaces(tracks=target)
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file: give a folder with -o")
    tracks = options.tracks or not any(files.values())
    return LivePlaces(
        out / f"{name}_tracks.csv" if tracks else None,
        out / f"{name}_zones.csv" if options.zone is not None else None,
        out / name if options.masks else None,
        out / f"{name}_overlay.mp4" if options.overlay else None,
    )
