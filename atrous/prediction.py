"""From file to labels: load a run, predict arrays and paths, write what was predicted."""

import glob
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from atrous.color import default_palette
from atrous.data.dataset import to_channels
from atrous.data.formats import read_image, write_beside, write_label
from atrous.data.formats.probabilities import write_probabilities
from atrous.errors import UserError
from atrous.models.network import DenseNetwork
from atrous.recipe.run import Run, open_run
from atrous.report.pictures import overlay
from atrous.tasks.task import Task

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".npy", ".zarr"}
"""Files that are taken for images when a folder is given."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one input.

    Attributes:
        labels: `(*S)` uint8 class numbers.
        probabilities: `(K, *S)` float32, or None when not asked for.
        classes: names, in label order.
    """

    labels: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Predictor:
    """A trained network with its task: raw values in, labels out.

    Attributes:
        run: where it comes from.
        network: in eval mode, on `device`.
        task: decodes its output.
        device: where it runs.
        dtype: arithmetic of the convolutions.
        flips: axes to mirror for test-time augmentation; the probabilities of all mirror images are averaged.
    """

    run: Run
    network: DenseNetwork
    task: Task
    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    flips: tuple[int, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return tuple(self.run.recipe.task.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """A color per class."""
        chosen = self.run.recipe.task.palette
        return tuple(chosen) or default_palette(len(self.classes))

    def predict(self, source: np.ndarray | Path | str, *, probabilities: bool = False) -> Prediction:
        """Predict one input of any size.

        Args:
            source: raw values `(C, *S)` (or `(*S)` for one channel), or the path of an image.
            probabilities: whether they are wanted beside the labels.

        Raises:
            UserError: the file cannot be read, or has other channels than the network.
        """
        image = self._read(source)
        output = self.output(image)
        labels = self.task.decode(output)[0].cpu().numpy()
        found = self.task.probabilities(output)[0].cpu().numpy() if probabilities else None
        return Prediction(labels, found, self.classes)

    def _read(self, source: np.ndarray | Path | str) -> np.ndarray:
        model = self.run.recipe.model
        name = Path("the array") if isinstance(source, np.ndarray) else Path(source)
        image = source if isinstance(source, np.ndarray) else read_image(name)
        if image.ndim == model.ndim:
            image = image[None]
        if image.ndim != model.ndim + 1:
            raise UserError(f"{name}: shape {image.shape}, but the network reads (channels, {model.ndim} axes)")
        return to_channels(image, model.in_channels, name)

    @torch.inference_mode()
    def output(self, image: np.ndarray) -> torch.Tensor:
        """Logits `(1, K, *S)` float32 of raw values `(C, *S)`; with flips, logarithms of the mean probabilities."""
        torch.set_flush_denormal(True)
        x = torch.from_numpy(np.asarray(image).astype(np.float32))[None].to(self.device)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype != torch.float32):
            if not self.flips:
                return self.network(x).float()
            ways = [()] + [(axis + 2,) for axis in self.flips]
            total = sum(self.task.probabilities(self.network(x.flip(w))).flip(w) for w in ways)
        return (total / len(ways)).log()  # type: ignore[operator]


def load(
    run: Run | Path | str, *, device: str = "cpu", dtype: torch.dtype | None = None, flip: bool = False
) -> Predictor:
    """Load the folder of a run.

    Args:
        run: the folder.
        device: where to run, "cpu" or "cuda".
        dtype: arithmetic; that of the training when None.
        flip: average over the mirror images that the training knew.

    Raises:
        UserError: it is not a run, or its weights are missing or damaged.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    trained = torch.bfloat16 if opened.recipe.train.precision == "bf16-mixed" else torch.float32
    network = opened.network().to(device)
    if network.ndim == 2:
        network = network.to(memory_format=torch.channels_last)
    flips = tuple(axis for axis, on in enumerate(opened.recipe.augment.flip) if on) if flip else ()
    return Predictor(opened, network, opened.task(), device, dtype or trained, flips)


@dataclass(frozen=True)
class Written:
    """What a prediction of files did: outputs written, outputs that were there already, and what failed, with why."""

    written: tuple[Path, ...]
    skipped: tuple[Path, ...]
    failed: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class Job:
    """One input and where its labels go."""

    source: Path
    target: Path


def find_jobs(inputs: Sequence[str | Path], out: Path) -> list[Job]:
    """Inputs to outputs: files, folders (searched through, structure kept) and globs.

    A TIFF gives a TIFF, everything else a PNG; the name stays.

    Raises:
        UserError: nothing is found, or two inputs would write the same output.
    """
    jobs: dict[Path, Path] = {}
    for given in inputs:
        for source, relative in _expand(str(given)):
            suffix = source.suffix.lower() if source.suffix.lower() in {".tif", ".tiff"} else ".png"
            target = (out / relative).with_suffix(suffix)
            if jobs.get(target, source) != source:
                raise UserError(f"{jobs[target]} and {source} would both be written to {target}: predict them apart")
            jobs[target] = source
    return [Job(source, target) for target, source in jobs.items()]


def _expand(given: str) -> Iterator[tuple[Path, Path]]:
    path = Path(given)
    if path.is_dir() and path.suffix != ".zarr":
        found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.suffix]
        if not found:
            raise UserError(f"{path}: no images in it (looked for {', '.join(sorted(SUFFIXES))})")
        yield from ((p, p.relative_to(path)) for p in found)
    elif path.exists():
        yield path, Path(path.name)
    else:
        matches = sorted(glob.glob(given, recursive=True))
        if not matches:
            raise UserError(f"{given}: no such file, folder or matching glob")
        yield from ((Path(m), Path(m).relative_to(Path(m).parent)) for m in matches)


@dataclass(frozen=True)
class Wanted:
    """What is written for each input beside the labels."""

    overlay: bool = False
    probabilities: str | None = None
    palette: tuple[tuple[int, int, int], ...] = field(default=())


def predict_files(
    predictor: Predictor,
    jobs: Sequence[Job],
    wanted: Wanted,
    progress: Callable[[Job], None] = lambda job: None,
) -> Written:
    """Predict files one after the other; the next is read while one is computed.

    A file that fails does not stop the others: it is named in the result. Outputs that exist are skipped.
    """
    written, skipped, failed = [], [], []
    waiting = []
    for job in jobs:
        (skipped if _is_done(job, wanted) else waiting).append(job)
    with ThreadPoolExecutor(1) as pool:
        reading = [pool.submit(predictor._read, job.source) for job in waiting[:1]]
        for index, job in enumerate(waiting):
            if index + 1 < len(waiting):
                reading.append(pool.submit(predictor._read, waiting[index + 1].source))
            try:
                _predict_one(predictor, job, reading.pop(0).result(), wanted)
                written.append(job.target)
            except UserError as error:
                failed.append((job.source, str(error)))
            progress(job)
    return Written(tuple(written), tuple(job.target for job in skipped), tuple(failed))


def _paths(job: Job, wanted: Wanted) -> tuple[Path | None, Path | None]:
    """Where overlay and probabilities go."""
    picture = job.target.with_name(job.target.stem + "_overlay.png") if wanted.overlay else None
    suffix = {"zarr": ".zarr", "tiff": ".tif", None: None}[wanted.probabilities]
    return picture, None if suffix is None else job.target.with_name(job.target.stem + "_probabilities" + suffix)


def _is_done(job: Job, wanted: Wanted) -> bool:
    return all(path is None or path.exists() for path in (job.target, *_paths(job, wanted)))


def _predict_one(predictor: Predictor, job: Job, image: np.ndarray, wanted: Wanted) -> None:
    found = predictor.predict(image, probabilities=wanted.probabilities is not None)
    job.target.parent.mkdir(parents=True, exist_ok=True)
    picture, probabilities = _paths(job, wanted)
    if picture is not None:
        drawn = io.BytesIO()
        Image.fromarray(overlay(image, found.labels, wanted.palette)).save(drawn, "PNG")
        write_beside(picture, drawn.getvalue())
    if probabilities is not None:
        assert found.probabilities is not None
        write_probabilities(probabilities, found.probabilities, predictor.classes)
    write_label(job.target, found.labels)  # last: its presence says that all of it is done
