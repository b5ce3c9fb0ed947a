"""The restore verb: deconvolution of files without a network, and how well it does beside clean images."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.data.formats import Header, is_video, read_header
from atrous.data.restoration import LARGEST_PSF
from atrous.errors import UserError
from atrous.geometry.plan import byte_count
from atrous.prediction.deconvolution import (
    AMOUNTS,
    LIMITS,
    PARAMETERS,
    USUAL,
    Blur,
    Deconvolution,
    Deconvolver,
    GivenValues,
    key_of,
    read_item,
)
from atrous.prediction.inputs import Input, find_inputs
from atrous.prediction.jobs import PredictionJob, Written, check_outputs, run_jobs
from atrous.prediction.labels import label_path
from atrous.prediction.output import Companions
from atrous.prediction.probabilities import SUFFIXES
from atrous.prediction.values import value_outputs
from atrous.tasks.measures import Measures, samples_text
from atrous.tasks.restoration import RestorationTask

LARGEST_SIGMA = LARGEST_PSF // 8
"""Of a Gaussian, which is cut off at four standard deviations to either side."""


@dataclass(frozen=True)
class RestoreOptions:
    """Options of a restoration.

    Attributes:
        method: `wiener` or `richardson-lucy`.
        psf: standard deviation of a Gaussian point spread function in positions, or a file that holds one.
        balance: of `wiener`; None for the best of the grid where results are compared, else 0.01.
        iterations: of `richardson-lucy`; None for the best of the grid where results are compared, else 50.
        compare: clean images of the same names, a folder, file or glob, with which results are compared.
        noise: the inputs are clean images: they are blurred, noise of this standard deviation is added, and results are
            compared with them.
        gray: 8-bit color pictures become gray.
        overlay: also draw before and after side by side.
        probabilities: "tiff" or "zarr": numbers of 8-bit pictures in place of the PNG.
        memory: bytes ("4GB") that restoring an input may take; None for as many as this process may use.
    """

    method: str
    psf: float | str | Path
    balance: float | None = None
    iterations: int | None = None
    compare: Path | str | None = None
    noise: float | None = None
    gray: bool = False
    overlay: bool = False
    probabilities: str | None = None
    memory: str | None = None


@dataclass(frozen=True)
class Compared:
    """How well a method does at each value of its parameter.

    Attributes:
        parameter: what it is called.
        grid: its values, each with the mean PSNR over the images.
        best: the value with the best PSNR.
        peak: of PSNR.
        degraded: mean PSNR of the inputs as they are.
        metrics: all metrics at the best value.
    """

    parameter: str
    grid: tuple[tuple[float, float], ...]
    best: float
    peak: float
    degraded: float
    metrics: Measures

    def text(self) -> str:
        """Return a table, and the metrics at the best value."""
        images = samples_text(self.metrics.images, "image")
        lines = [f"PSNR in dB for a peak of {self.peak:g}, the mean over {images}; before: {self.degraded:.2f}"]
        lines += [f"  {self.parameter} {amount:<8g}{psnr:.2f}" for amount, psnr in self.grid]
        values = [amount for amount, _ in self.grid]
        at_end = len(values) > 1 and self.best in (values[0], values[-1])
        lines.append(f"best: {self.parameter} {self.best:g}" + (", which is an end of the grid" if at_end else ""))
        return "\n".join([*lines, *(f"{name}  {value:.4g}" for name, value in self.metrics.values.items())])

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return {
            "parameter": self.parameter, "grid": [list(row) for row in self.grid], "best": self.best,
            "peak": self.peak, "degraded": self.degraded, **self.metrics.to_dict(),
        }  # fmt: skip


@dataclass(frozen=True)
class Restored:
    """What the verb did.

    Attributes:
        deconvolution: the method with the parameter that was used.
        written: what became of the files; None if none were wanted.
        compared: how good they are; None where there is nothing to compare with.
    """

    deconvolution: Deconvolution
    written: Written | None
    compared: Compared | None

    def text(self) -> str:
        """Return what was measured and written."""
        lines = [self.deconvolution.text()]
        if self.compared is not None:
            lines.append(self.compared.text())
        if (done := self.written) is not None:
            lines.append(f"{len(done.written)} written, {len(done.skipped)} existed already, {len(done.failed)} failed")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        facts: dict[str, Any] = {
            "method": self.deconvolution.method,
            PARAMETERS[self.deconvolution.method]: self.deconvolution.amount,
            "compared": None if self.compared is None else self.compared.to_dict(),
        }
        if (done := self.written) is not None:
            facts |= {
                "written": [str(path) for path in done.written],
                "skipped": [str(path) for path in done.skipped],
                "failed": {str(path): reason for path, reason in done.failed},
            }
        return facts


def restore(
    inputs: Sequence[str | Path],
    out: Path | str | None,
    options: RestoreOptions,
    *,
    begin: Callable[[int], None] = lambda count: None,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Restored:
    """Deconvolve files, folders and globs, compare the results with clean images, or both.

    Args:
        inputs: files, folders (searched with all their subfolders) and globs.
        out: folder of the outputs; None writes none, and only compares.
        options: the method, and what to compare with and write.
        begin: called with the number of inputs to be compared and written, before the first one.
        progress: called with the number of those that are done.
        tell: called with what of folders is left out.

    Raises:
        UserError: an option does not fit, nothing is found, clean images do not fit the inputs, or one of the latter
            is too large to be compared.
    """
    blur, memory = _checked(options, out), byte_count(options.memory)
    items = find_inputs(inputs, ndim=2, channels=1, out=None if out is None else Path(out), tell=tell)
    if (movie := next((item.path for item in items if is_video(item.path)), None)) is not None:
        raise UserError(f"{movie}: a video, and no point spread function reaches over time: give its frames as images")
    clean = _clean_of(items, options, tell)
    if (header := next(filter(None, map(_header, items)), None)) is not None:
        blur.kernel(len(header.size))  # a file that holds no point spread function is told before the work
    jobs = []
    if out is not None:
        jobs = [PredictionJob(item, tuple(_outputs(item, Path(out), options))) for item in items]
        check_outputs(jobs)
    begin(len(jobs) + (0 if clean is None else len(items)))
    amounts, compared = _amounts(options, clean is not None), None
    worker = Deconvolver(Deconvolution(options.method, amounts[0]), blur, options.gray, memory)
    if clean is not None:
        for item in items:
            worker.require_memory(item)
        read = partial(_pairs, items, clean, blur, options.gray)
        compared = _compare(read, options.method, amounts, blur, progress)
    chosen = Deconvolution(options.method, amounts[0] if compared is None else compared.best)
    if out is None:
        return Restored(chosen, None, compared)
    before = len(items) if clean is not None else 0
    written = run_jobs(
        replace(worker, deconvolution=chosen), jobs, Path(out), lambda done: progress(before + done), tell
    )
    return Restored(chosen, written, compared)


def _checked(options: RestoreOptions, out: Path | str | None) -> Blur:
    """Check the options before anything is read, and return what blurred the images."""
    if options.method not in AMOUNTS:
        raise UserError(f"--method {options.method}: choose {' or '.join(AMOUNTS)}")
    for method, parameter in PARAMETERS.items():
        value = getattr(options, parameter)
        if value is not None and method != options.method:
            raise UserError(f"--{parameter} is for --method {method}: leave it out")
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise UserError(f"--{parameter} {value:g}: give a number above 0")
    if options.noise is not None and not (options.noise >= 0 and math.isfinite(options.noise)):
        raise UserError(f"--noise {options.noise:g}: give a standard deviation of at least 0")
    if options.noise is not None and options.compare is not None:
        raise UserError("--noise takes the inputs as clean images and compares with them: leave --compare out")
    if options.probabilities not in (None, *SUFFIXES):
        raise UserError(f"--probabilities {options.probabilities}: choose {' or '.join(SUFFIXES)}")
    if out is None and options.noise is None and options.compare is None:
        raise UserError("-o FOLDER is missing: say where the images go, or what to --compare with")
    return Blur(_psf(options.psf), options.noise)


def _psf(given: float | str | Path) -> float | Path:
    """A standard deviation, or a file."""
    try:
        sigma = float(str(given))
    except ValueError:
        path = Path(str(given))
        if not path.exists():
            raise UserError(f"--psf {given}: no such file: give one, or the standard deviation of a Gaussian") from None
        return path
    if not 0 < sigma <= LARGEST_SIGMA:
        raise UserError(f"--psf {given}: give a standard deviation above 0 and up to {LARGEST_SIGMA}, or a file")
    return sigma


def _amounts(options: RestoreOptions, compares: bool) -> tuple[float, ...]:
    """The parameters to be tried, or the one to be used."""
    given = getattr(options, PARAMETERS[options.method])
    if given is not None:
        return (given,)
    return AMOUNTS[options.method] if compares else (USUAL[options.method],)


def _clean_of(items: Sequence[Input], options: RestoreOptions, tell: Callable[[str], None]) -> dict[str, Input] | None:
    """The clean image of each input by its name; None where there is nothing to compare with."""
    if options.noise is not None:
        return {key_of(item): item for item in items}
    if options.compare is None:
        return None
    found = {key_of(item): item for item in find_inputs([options.compare], ndim=2, channels=1, tell=tell)}
    for item in items:
        if key_of(item) not in found:
            raise UserError(f"{item.path}: no clean image of this name ({key_of(item)}) in {options.compare}: add it")
    return found


@dataclass(frozen=True)
class _DegradedPair:
    """A degraded image with its clean one, both `(C, *S)` in memory, and what is known of the latter."""

    name: str
    given: np.ndarray
    clean: np.ndarray
    dtype: str
    color: bool

    @property
    def limits(self) -> tuple[float, float] | None:
        """Least and greatest value of the clean image's type."""
        return LIMITS.get(self.dtype)


def _pairs(items: Sequence[Input], clean: dict[str, Input], blur: Blur, gray: bool) -> Iterator[_DegradedPair]:
    """Read one pair after the other; NaN where the clean image has no data.

    Raises:
        UserError: a file cannot be read, the two have other sizes, or clean images are of several types.
    """
    from atrous.data.check.fingerprint import PICTURES

    first = ""
    for item in items:
        partner = clean[key_of(item)]
        opened, header = read_item(partner, gray), read_header(partner.path)
        source, first = opened.source, first or header.dtype
        assert isinstance(source, GivenValues)
        if header.dtype != first:
            raise UserError(f"{partner.path}: its values are {header.dtype}, those of others {first}: give one type")
        if blur.noise is not None:
            given = blur.degraded(key_of(item), source.values)
        else:
            given = np.asarray(read_item(item, gray).source[...])
        if given.shape != source.shape:
            sizes = [" x ".join(map(str, shape)) for shape in (given.shape, source.shape)]
            raise UserError(f"{item.path}: {sizes[0]}, but {partner.path} is {sizes[1]}: bring both to one grid")
        truth = source.values.astype(np.float32)
        if opened.valid is not None:
            truth[:, ~np.asarray(opened.valid[...])] = np.nan
        yield _DegradedPair(
            key_of(item), given, truth, header.dtype, header.dtype == "uint8" and header.kind in PICTURES
        )


def _compare(
    read: Callable[[], Iterator[_DegradedPair]], method: str, amounts: Sequence[float], blur: Blur,
    progress: Callable[[float], None],
) -> Compared:  # fmt: skip
    """Measure a method at each value of its parameter, and with all metrics at the best one.

    Args:
        read: begins to read the pairs; they are read twice.
        method: the method.
        amounts: values of its parameter.
        blur: what blurred the images.
        progress: called with the number of pairs that are done.

    Raises:
        UserError: as `_pairs`.
    """
    start, errors, peaks, colors = time.monotonic(), [], [], []
    workers = [Deconvolver(Deconvolution(method, amount), blur) for amount in amounts]
    for pair in read():
        known = np.isfinite(pair.clean)
        before = pair.given if pair.limits is None else np.clip(pair.given, *pair.limits)
        row = [_squared_error(before, pair, known)]
        for worker in workers:  # one result at a time is held
            row.append(_squared_error(worker.restored(pair.given, pair.limits), pair, known))
        errors.append(row)
        peaks.append(pair.limits or (float(pair.clean[known].min()), float(pair.clean[known].max())))
        colors.append(pair.color)
        progress(len(errors) - 0.5)
    low, high = np.array(peaks).T
    peak = float(high.max() - low.min()) or 1.0
    means = [_mean_psnr(column, peak) for column in np.array(errors).T]
    best = int(np.argmax(means[1:]))
    metrics = None
    for pair in read():
        if metrics is None:
            metrics = _task(len(pair.clean), all(colors), pair.limits, peak).metrics()
        found = workers[best].restored(pair.given, pair.limits)
        metrics.update(pair.name, torch.from_numpy(found), torch.from_numpy(pair.clean))
    assert metrics is not None
    progress(len(errors))
    measured = metrics.result(time.monotonic() - start)
    grid = tuple(zip(map(float, amounts), means[1:], strict=True))
    return Compared(PARAMETERS[method], grid, amounts[best], peak, means[0], measured)


def _squared_error(found: np.ndarray, pair: _DegradedPair, known: np.ndarray) -> float:
    """The mean squared error over the values that are known."""
    return float(np.square(found[known].astype(np.float64) - pair.clean[known]).mean())


def _mean_psnr(errors: np.ndarray, peak: float) -> float:
    """Mean PSNR over the images, from their mean squared errors; those without error have none."""
    values = 10 * np.log10(peak**2 / errors[errors > 0])
    return float(values.mean()) if values.size else math.inf


def _task(
    channels: int, color: bool = False, limits: tuple[float, float] | None = None, peak: float = 255.0
) -> RestorationTask:
    names = tuple(f"channel {number}" for number in range(1, channels + 1))
    return RestorationTask(names, (0.0,) * channels, (1.0,) * channels, limits=limits, peak=peak, color=color)


def _outputs(item: Input, out: Path, options: RestoreOptions) -> list[Any]:
    """Outputs of one input, as `atrous predict` writes those of a restoration."""
    header = _header(item)
    dtype, channels = ("", 1) if header is None else (header.dtype, 1 if options.gray else header.channels)
    task, companions = _task(channels), Companions(options.overlay, options.probabilities)
    if header is not None and len(header.names) == channels and all(header.names):
        task = replace(task, names=header.names)
    return value_outputs(item, label_path(item, out), task, companions, dtype)


def _header(item: Input) -> Header | None:
    """The header of an input; None for a damaged file, of which the job loop tells when it opens it."""
    try:
        return read_header(item.path)
    except UserError:
        return None
