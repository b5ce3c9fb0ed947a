"""From inputs to files: labels, overlays and probabilities of each, in bounded memory; a killed run goes on."""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from PIL import Image

from atrous.data.formats import LabelSink, check_like, open_labels, stem, write_probabilities
from atrous.data.formats.ngff import is_group
from atrous.data.preprocess import resample_label, restore
from atrous.data.void import make_void, voided
from atrous.errors import UserError
from atrous.files import replacing
from atrous.labels import IGNORE
from atrous.prediction.clips import write_clip
from atrous.prediction.inputs import Input, Opened, find_inputs
from atrous.prediction.predictor import Predictor
from atrous.report.pictures import busiest, flat, overlay
from atrous.stream.pace import pace
from atrous.stream.resume import record_path

PICTURE = 2**24  # positions of an overlay, beyond which it is drawn smaller


@dataclass(frozen=True)
class Written:
    """What a prediction of files did: outputs written, outputs that were there already, and what failed, with why."""

    written: tuple[Path, ...]
    skipped: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Job:
    """One input and where its labels go."""

    source: Input
    target: Path


@dataclass(frozen=True)
class Wanted:
    """What is written for each input beside the labels; of videos, the overlay is a film."""

    overlay: bool = False
    probabilities: str | None = None
    palette: tuple[tuple[int, int, int], ...] = field(default=())


def find_jobs(predictor: Predictor, inputs: Sequence[str | Path], out: Path, wanted: Wanted | None = None) -> list[Job]:
    """Inputs to outputs: files, folders (searched through, structure kept) and globs; the name stays.

    A format that can hold labels gives the same format, every other a PNG. What lies in the output folder is no input.

    Raises:
        UserError: nothing is found, two outputs would be the same file, or one would be or hold an input.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file: give a folder with -o")
    model = predictor.run.recipe.model
    found = find_inputs(inputs, ndim=model.ndim, channels=model.in_channels, video=predictor.video, out=out)
    jobs = [Job(item, out / item.relative) for item in found]
    _check_outputs(jobs, wanted or Wanted(), predictor.video)
    return jobs


def _check_outputs(jobs: Sequence[Job], wanted: Wanted, video: bool) -> None:
    """Raise `UserError` where an output would meet an input or another output."""
    given = {path.resolve() for job in jobs for path in job.source.files}
    around = {parent for path in given for parent in path.parents}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for path in (job.target, *_paths(job, wanted, video)):
            if path is None:
                continue
            place = path.resolve()
            if place in given or place in around or any(parent in given for parent in place.parents):
                raise UserError(f"{path}: would be written over an input: give another folder with -o")
            if place in taken:
                raise UserError(f"{taken[place]} and {job.source.path} would both write {path}: predict them apart")
            taken[place] = job.source.path


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    wanted: Wanted,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Predict files one after the other.

    A file that fails does not stop the others: it is named in the result. Labels that exist stay as they are; an
    overlay or probabilities that are missing beside them are made.

    Args:
        predictor: the network.
        jobs: inputs and targets.
        wanted: what to write.
        progress: told how many jobs are done, parts of one included.
        tell: given the plan of each size before its work begins.
    """
    written, skipped, failed = [], [], []
    told: set[tuple[int, ...]] = set()
    for index, job in enumerate(jobs):
        if _is_done(job, wanted, predictor.video):
            skipped.append(job.target)
        else:
            try:
                opened = predictor.open(job.source)
                shape = tuple(opened.source.shape)
                plan = predictor.plan(shape)
                if plan is not None and shape not in told:
                    told.add(shape)
                    seconds = plan.macs / pace(predictor.dtype, torch.get_num_threads())
                    tell(f"{plan.text()}\n  about {_duration(seconds)} in {_name(predictor)}")
                _predict_one(predictor, job, opened, wanted, lambda share, at=index: progress(at + share))
                written.append(job.target)
            except UserError as error:
                failed.append((job.source.path, str(error)))
        progress(index + 1)
    return Written(tuple(written), tuple(skipped), tuple(failed))


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _name(predictor: Predictor) -> str:
    return f"{str(predictor.dtype).removeprefix('torch.')} by {predictor.engine}"


def _paths(job: Job, wanted: Wanted, video: bool) -> tuple[Path | None, Path | None]:
    """Where overlay and probabilities go."""
    name = job.target.name if video else stem(job.target)
    picture = job.target.with_name(f"{name}_overlay.{'mp4' if video else 'png'}") if wanted.overlay else None
    suffix = {"zarr": ".zarr", "tiff": ".tif", None: None}[wanted.probabilities]
    return picture, None if suffix is None else job.target.with_name(name + "_probabilities" + suffix)


def _is_done(job: Job, wanted: Wanted, video: bool) -> bool:
    return all(path is None or path.exists() for path in (job.target, *_paths(job, wanted, video)))


def _predict_one(
    predictor: Predictor, job: Job, opened: Opened, wanted: Wanted, progress: Callable[[float], None]
) -> None:
    check_like(job.target, job.source.path)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    picture, probabilities = _paths(job, wanted, predictor.video)
    if predictor.video:
        write_clip(predictor, opened.source, job.source.path, job.target, picture, progress)
        return
    streamed = not predictor.whole(tuple(opened.source.shape))
    size = tuple(opened.source.shape[1:])
    sink = open_labels(job.target, size, on_disk=streamed and not opened.resampled)
    if streamed and sink.part is not None and not sink.begun:
        record_path(sink.array).unlink(missing_ok=True)
    void = None if opened.resampled else opened.valid
    labels = voided(sink.array, void)
    if probabilities is None:
        predictor.label(opened.source, labels, resume=streamed and sink.part is not None, progress=progress)
    else:
        stored = _Probabilities(probabilities, (len(predictor.classes), *size), streamed)
        predictor.label(opened.source, labels, voided(stored.array, void, np.nan), progress=progress)
        stored.finish(predictor.classes, opened, job.source.path)
    if opened.resampled:
        coarse, sink = sink, LabelSink(job.target, resample_label(np.asarray(sink.array[...]), opened.size), None)
        coarse.discard()
        make_void(sink.array, opened.valid)
    if picture is not None:
        with replacing(picture) as beside:
            Image.fromarray(_picture(opened, sink.array, wanted)).save(beside, "PNG")
    ignored = None if opened.valid is None else IGNORE
    palette = wanted.palette or None
    if job.target.exists():
        sink.discard()
        return
    # last: its presence says that all of it is done
    sink.finish(like=job.source.path, classes=predictor.classes, palette=palette, void=ignored)


def _picture(opened: Opened, labels: Any, wanted: Wanted) -> np.ndarray:
    """The overlay, of every k-th position where the input is large; of a volume three planes through its labels."""
    size = tuple(labels.shape)
    every = max(1, math.ceil((math.prod(size) / PICTURE) ** (1 / len(size))))
    place = (slice(None, None, every),) * len(size)
    image = opened.source if not opened.resampled else _restored(opened)
    shown = np.asarray(labels[place])
    painted = overlay(np.asarray(image[(slice(None), *place)]), shown, wanted.palette)
    return flat(painted, busiest(shown), opened.spacing if len(size) == 3 else None)


def _restored(opened: Opened) -> np.ndarray:
    """The image on the grid of its file."""
    return restore(torch.from_numpy(np.asarray(opened.source[...], dtype=np.float32)), opened.size).numpy()


class _Probabilities:
    """Probabilities of one input on their way to a file."""

    def __init__(self, path: Path, shape: tuple[int, ...], streamed: bool) -> None:
        self.path, self.part = path, None
        self.array: Any = None
        if streamed and path.suffix == ".zarr":
            self.part = path.with_name(f".{path.name}.part")
            shutil.rmtree(self.part, ignore_errors=True)
            chunks = (1, *(min(512, n) for n in shape[1:]))
            self.array = zarr.create_array(self.part, shape=shape, dtype="float32", chunks=chunks)
        elif streamed:
            self.part = path.with_name(f".{path.name}.part")
            self.array = np.lib.format.open_memmap(self.part, mode="w+", dtype=np.float32, shape=shape)
        else:
            self.array = np.empty(shape, np.float32)

    def finish(self, classes: Sequence[str], opened: Opened, like: Path) -> None:
        """Put the file in its place, on the grid of the file `like`."""
        if self.part is not None and self.path.suffix == ".zarr" and not opened.resampled and not is_group(like):
            self.array.attrs["classes"] = list(classes)
            os.replace(self.part, self.path)
            return
        values = self.array
        if opened.resampled:
            values = restore(torch.from_numpy(np.asarray(values[...])), opened.size).numpy()
            make_void(values, opened.valid, np.nan)
        write_probabilities(self.path, values, classes, like)
        if self.part is not None and self.part.is_dir():
            shutil.rmtree(self.part)
        elif self.part is not None:
            self.part.unlink()
