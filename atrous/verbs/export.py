"""`atrous export`: a trained network, or any other, as a file that runs without this package and proves itself."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.data.composite import CHANGE
from atrous.data.preprocess import to_channels
from atrous.data.sample import Sample
from atrous.data.source import Source
from atrous.errors import UserError
from atrous.exporting.crops import COUNT, made_images, odd_crop, odd_crops
from atrous.exporting.facts import describe, describe_bases, describe_input, describe_least
from atrous.exporting.formats import FileFormat, choose_format
from atrous.exporting.map_names import map_names
from atrous.exporting.pipeline import Answers, Pipeline, Preparing, answers_of
from atrous.exporting.program import ExportSizes, export_from_least
from atrous.exporting.quantize import quantized
from atrous.exporting.window_facts import window_facts
from atrous.exporting.write import Exported, ProofInputs, check_place, write_file
from atrous.extras import library
from atrous.geometry.exportable import one_line
from atrous.models.own import MULTIPLES
from atrous.prediction.inputs import Input, find_inputs, prepared
from atrous.prediction.pairs import find_pairs
from atrous.prediction.predictor import Predictor, load
from atrous.recipe.network import describe as describe_model
from atrous.recipe.run import Run
from atrous.surgery.certificate import first_channels
from atrous.tasks.custom import class_maps, least_lengths, output_size, without_least
from atrous.tasks.stranded import Stranded
from atrous.tasks.temperature import class_task
from atrous.verbs.network import is_run, load_network
from atrous.verbs.opened import open_data

STRIDE = 32
"""The stride of a network that does not say its own."""
CALIBRATED = 64
"""Training images on which 8-bit weights are calibrated, at most."""
TRIED = {1: 640, 2: 96, 3: 32}
"""Positions along each axis, about, on which it is tried which sizes a network takes."""


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export.

    Attributes:
        to: "onnx", "openvino", "torch" or "bioimageio"; None takes what the suffix of the file says.
        inputs: files, folders and globs to prove the file on; none takes samples of the run's data set, and made
            inputs where these are not there.
        shape: `(C, *S)` of an input, for networks that are no run.
        size: the only size that the file is for, for networks that cannot be exported for any size.
        half: store weights in float16.
        int8: quantize to 8 bits, calibrated on the training images; OpenVINO only.
        data: the data set whose training split calibrates and whose validation split proves, as `train` takes it; None
            for that of the training.
        description: its dataset.toml, if that lies elsewhere.
    """

    to: str | None = None
    inputs: Sequence[str | Path] = ()
    shape: tuple[int, ...] | None = None
    size: tuple[int, ...] | None = None
    half: bool = False
    int8: bool = False
    data: Any = None
    description: Path | str | None = None


@dataclass(frozen=True)
class _Subject:
    """What is exported, and what is known of it; the sizes are known when it has been exported."""

    network: nn.Module
    answers: Answers
    channels: int
    ndim: int
    sizes: ExportSizes
    facts: Callable[[ExportSizes, dict[str, Any]], dict[str, Any]]
    inputs: Callable[[ExportSizes], ProofInputs]
    calibration: Callable[[ExportSizes], list[np.ndarray]]
    prepare: Preparing | None = None


def export(
    model: Run | Path | str | nn.Module,
    out: Path | str,
    options: ExportOptions | None = None,
    *,
    network: nn.Module | None = None,
    **choices: Any,
) -> Exported:
    """Write a trained network, with all that belongs to it, as a file that runs without this package.

    The file reads raw values `(N, C, *S)` float32 of any batch and any size, and gives labels and probabilities
    (numbers, dense maps; `atrous.exporting.pipeline.answers_of`). Before it is put in its place, its runtime and the
    network are compared on three inputs of odd sizes.

    Args:
        model: the folder of a run, or the name of a model; `package.module:callable(arguments)`, or the module itself,
            for any network.
        out: the file: `.onnx`, `.xml` (OpenVINO, with a `.bin`), `.pt2` (torch) or `.zip` (bioimage.io). A `.json` with
            the facts is written beside.
        options: the choices that `ExportOptions` documents; the defaults when None.
        network: your own network, if the run was trained with one.
        choices: single options by name, which go before those in `options`.

    Returns:
        What was written, and its proof.

    Raises:
        UserError: the network cannot be exported (the layer is named), an option does not fit, a library is missing, or
            the file's answers are not those of the network. Nothing is left behind then.
    """
    out, options = Path(out), replace(options or ExportOptions(), **choices)
    to, kind = choose_format(options.to, out)
    check_place(out, kind)
    _check(to, kind, options)
    subject = _run(model, options, network) if _names_run(model) else _any(model, options)
    pipeline = Pipeline(subject.network, subject.answers, subject.prepare)
    program, sizes = export_from_least(pipeline, subject.channels, subject.sizes)
    if subject.prepare is not None and subject.prepare.scales:
        windows: dict[str, Any] = {"refused": "the z-score needs the mean and deviation of the whole input"}
    else:
        windows = window_facts(pipeline.network, subject.channels, subject.ndim, sizes.multiple)
    facts, inputs = subject.facts(sizes, windows), subject.inputs(sizes)
    change = None if not options.int8 else partial(quantized, images=subject.calibration(sizes))
    return write_file(program, kind, out, facts, inputs, half=options.half, change=change)


def parse_size(text: str) -> tuple[int, ...]:
    """Return sizes `(*S)` from text.

    Raises:
        UserError: the text is not one to three sizes.

    >>> parse_size("512,512"), parse_size("20000")
    ((512, 512), (20000,))
    """
    try:
        size = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        size = ()
    if not 1 <= len(size) <= 3 or min(size) < 1:
        raise UserError(f"{text!r} is not a size: write one to three numbers, as in 512,512")
    return size


def _check(to: str, kind: FileFormat, options: ExportOptions) -> None:
    """Reject options that do not go together, before anything is loaded."""
    if options.half and not kind.half:
        raise UserError(f"--half: weights of {to} stay float32: leave it out, or give another --to")
    if options.int8:
        if to != "openvino" or options.half:
            raise UserError("--int8 is for --to openvino, without --half")
        library("nncf", "int8", "--int8")


def _names_run(model: Any) -> bool:
    return isinstance(model, Run | Path) or (isinstance(model, str) and is_run(model))


def _sizes(ndim: int, stride: Sequence[int], multiple: Sequence[int], size: tuple[int, ...] | None) -> ExportSizes:
    """Which sizes a file is for; below twice the stride a network's coarsest map is a single position."""
    if size is not None and (len(size) != ndim or any(n % m or n < 1 for n, m in zip(size, multiple, strict=False))):
        wanted = f"{ndim} sizes" + (f", multiples of {multiple[0]}" if max(multiple) > 1 else "")
        raise UserError(f"--size {','.join(map(str, size))}: give {wanted}")
    least = tuple(-(-(2 * s + 1) // m) * m for s, m in zip(stride, multiple, strict=True))
    return ExportSizes(least, tuple(multiple), size)


# ---- runs


def _run(model: Any, options: ExportOptions, network: nn.Module | None) -> _Subject:
    """A run: its network with the preprocessing of its recipe and the answers of its task."""
    if options.shape is not None:
        raise UserError("--shape is for networks that are no run: leave it out")
    predictor = load(model, network=network, dtype=torch.float32)
    recipe, task = predictor.run.recipe, predictor.task
    if recipe.model.motion:
        raise UserError(
            f"{predictor.run.folder}: sees how the camera moves, which only atrous computes, so that it cannot be "
            "exported: train with --set model.motion=false"
        )
    ndim, channels = recipe.model.ndim, recipe.model.in_channels
    stride = getattr(predictor.network, "stride", None) or (STRIDE,) * ndim
    sizes = _sizes(ndim, stride, (1,) * ndim, options.size)
    whole_numbers = recipe.input.dtype in ("uint8", "uint16")
    prepare = Preparing(predictor.preparation, channels, ndim, gaps=not whole_numbers)
    answers, least = answers_of(task), least_lengths(task)
    # the graph decodes each sample by itself, and is compared with that
    pointwise = replace(predictor, task=without_least(task)) if least else predictor

    def facts(sizes: ExportSizes, windows: dict[str, Any]) -> dict[str, Any]:
        image = describe_input(channels, ndim, predictor.preparation, predictor.expected, sizes)
        image = describe_bases(image, recipe.input.tracks) if predictor.kind == "genomes" else image
        named = describe_model(recipe.model)
        classes, colors = predictor.classes, predictor.palette
        said = describe(named, recipe.task.kind, classes, colors, list(answers), image, windows, predictor.kind)
        said = describe_least(said, least) if least else said
        return said if "maps" not in answers else {**said, "map channels": map_names(task)}

    def inputs(sizes: ExportSizes) -> ProofInputs:
        crops, origin = _proof_crops(predictor, options, sizes)
        inner = class_task(task)
        threshold = inner.level if isinstance(inner, Stranded) else None
        return ProofInputs(crops, origin, lambda x: _answers(pointwise, answers, x), threshold)

    def calibration(sizes: ExportSizes) -> list[np.ndarray]:
        images, _ = _samples(predictor, options, recipe.data.train, CALIBRATED)
        return [odd_crop(image, 0, sizes) for image in images]

    return _Subject(predictor.network, answers, channels, ndim, sizes, facts, inputs, calibration, prepare)


def _answers(predictor: Predictor, answers: Answers, image: np.ndarray) -> dict[str, np.ndarray]:
    """What `predict` computes for raw values `(C, *S)` on the grid of the network, by the name of each output."""
    grid = replace(predictor.preparation, spacing=())
    source, task = prepared(np.asarray(image), grid).source, predictor.task
    size = output_size(task, image.shape[1:])
    several = "labels" in answers
    maps = np.empty((class_maps(task, predictor.classes) if several else task.out_channels, *size), np.float32)
    labels = np.empty(size, np.uint8) if "labels" in answers else None
    predictor.write(source, labels, maps)
    numbers = {name: maps[: len(predictor.classes)] if several else maps for name in answers if name != "labels"}
    return {**({} if labels is None else {"labels": labels}), **numbers}


def _proof_crops(predictor: Predictor, options: ExportOptions, sizes: ExportSizes) -> tuple[list[np.ndarray], str]:
    """Raw values `(C, *S)` of crops of up to three inputs, and where they come from."""
    recipe, given = predictor.run.recipe, options.inputs
    if given:
        ndim, channels = recipe.model.ndim, recipe.model.in_channels
        if recipe.task.kind == CHANGE:
            found = find_pairs(given, ndim=ndim, channels=channels)[:COUNT]
        else:
            found = find_inputs(given, ndim=ndim, channels=channels, kind=predictor.kind)[:COUNT]
        return odd_crops([_raw(predictor, item) for item in found], sizes), f"{len(found)} given inputs"
    try:
        samples, name = _samples(predictor, options, recipe.data.val, COUNT)
        images = list(samples)
        return odd_crops(images, sizes), f"{len(images)} {recipe.data.val} samples of {name}"
    except UserError:
        if options.data is not None or options.description is not None:
            raise
        # the data were moved, or lay in memory: the proof says that its inputs are made
        return _made(predictor, sizes), "made inputs (blobs and noise in the range of the training data)"


def _samples(predictor: Predictor, options: ExportOptions, split: str, count: int) -> tuple[Iterator[Source], str]:
    """Raw values `(C, *S)` of samples of the given data set, or of the run's; and the name of its folder.

    Raises:
        UserError: the data are not there, have other axes than the run, or a file cannot be read.
    """
    data, described = options.data, options.description
    if data is None:
        try:
            data, own = predictor.run.data()
        except UserError as error:
            raise UserError(f"{error} with --data") from error
        described = described or own
    task, channels = predictor.run.recipe.task, predictor.expected.channels
    opened = open_data(data, described, task=task.kind, settings=task.model_dump())
    splits = opened.layout.splits
    samples = (splits.get(split) or next(iter(splits.values())))[:count]
    ndim = predictor.run.recipe.model.ndim

    def values(sample: Sample) -> Source:
        stored = sample.image.load()
        if len(stored.shape) != ndim + 1:
            raise UserError(f"{sample.image.path}: has {len(stored.shape) - 1} axes, but the run labels data of {ndim}")
        return to_channels(stored, channels, sample.image.path, sample.image.channel_names)

    return map(values, samples), opened.name


def _raw(predictor: Predictor, item: Input) -> Source:
    """The values of an input with the channels that the network reads, on the grid of the file."""
    opened = next(iter(predictor.parts(item)))
    return opened.source if opened.stored is None else predictor.expected.composed(opened.stored)


def _made(predictor: Predictor, sizes: ExportSizes) -> list[np.ndarray]:
    """Made inputs in the range of the training data."""
    model = predictor.run.recipe.model
    mean, std = np.asarray(model.mean, np.float64), np.asarray(model.std, np.float64)
    low, high = mean - 2 * std, mean + 2 * std
    if predictor.expected.range is not None:
        low, high = (np.full(model.in_channels, bound) for bound in predictor.expected.range)
    return made_images(model.in_channels, sizes, low, high)


# ---- any network


def _any(model: Any, options: ExportOptions) -> _Subject:
    """Any network: its output as it is, of values as they are."""
    network = model if isinstance(model, nn.Module) else load_network(model)
    if options.inputs:
        raise UserError("--inputs is for runs: other networks are proved on made inputs")
    if options.data is not None or options.description is not None:
        raise UserError("--data and --dataset are for runs: other networks have no data set")
    shape = _shape(network, options.shape)
    channels, ndim = shape[0], len(shape) - 1
    multiple = (_multiple(network, channels, ndim, options.size),) * ndim
    sizes = _sizes(ndim, (max(multiple[0], STRIDE),) * ndim, multiple, options.size)
    named, answers = type(network).__name__, answers_of(None)

    def facts(sizes: ExportSizes, windows: dict[str, Any]) -> dict[str, Any]:
        image = describe_input(channels, ndim, None, None, sizes)
        return describe(named, "network", (), (), list(answers), image, windows)

    def inputs(sizes: ExportSizes) -> ProofInputs:
        images = made_images(channels, sizes, np.full(channels, -2.0), np.full(channels, 2.0))
        whole = Pipeline(network, answers)

        def ours(image: np.ndarray) -> dict[str, np.ndarray]:
            with torch.inference_mode():
                return {name: value[0].numpy() for name, value in whole(torch.from_numpy(image)[None]).items()}

        return ProofInputs(images, "made inputs (blobs and noise from -2 to 2)", ours)

    def calibration(sizes: ExportSizes) -> list[np.ndarray]:
        raise UserError("--int8 is calibrated on training images, which only a run has: leave it out")

    return _Subject(network, answers, channels, ndim, sizes, facts, inputs, calibration)


def _shape(network: nn.Module, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape `(C, *S)` of an input; a batch of one before it, `1x3x256x256`, is left out."""
    if shape is None:
        channels, ndim = first_channels(network)
        return (channels, *[64] * ndim)
    if shape[0] == 1 and len(shape) > 2 and first_channels(network) == (shape[1], len(shape) - 2):
        return shape[1:]
    return shape


def _multiple(network: nn.Module, channels: int, ndim: int, wanted: tuple[int, ...] | None) -> int:
    """The least number of which sizes must be multiples, found by trying; 1 for a network of the wanted size alone.

    Raises:
        UserError: the network runs at no size that was tried, or returns several results.
    """
    copied = Pipeline(network, answers_of(None))

    def failure(size: Sequence[int]) -> Exception | None:
        try:
            with torch.inference_mode():
                copied(torch.zeros(1, channels, *size))
        except UserError:
            raise
        except Exception as raised:  # the network may raise anything
            return raised
        return None

    error: Exception | None = None
    for multiple in MULTIPLES:
        size = [(-(-TRIED[ndim] // multiple) + 2 * axis) * multiple for axis in range(ndim)]
        size = [n + multiple if n // multiple % 2 == 0 else n for n in size]  # odd multiples
        error = failure(size)
        if error is None:
            return multiple
    if wanted is not None and len(wanted) == ndim:
        error = failure(wanted)
        if error is None:
            return 1
    assert error is not None
    also = "give --size for a network of one size" if wanted is None else f"nor at {','.join(map(str, wanted))}"
    raise UserError(
        f"{type(network).__name__}: runs at no size that was tried (multiples of up to {MULTIPLES[-1]}: "
        f"{one_line(error)}): {also}"
    )
