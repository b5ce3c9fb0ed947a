"""The one table of formats: how a program becomes a file of each, and what runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from torch.export import ExportedProgram

from atrous.errors import UserError
from atrous.exporting import bioimageio_file, onnx_file, openvino_file, runtimes, torch_file
from atrous.exporting.facts import KEY, properties


@dataclass(frozen=True)
class Content:
    """What a file holds beside the model.

    Attributes:
        facts: what the file says about itself.
        half: whether weights are stored in float16.
        image: raw values `(1, C, *S)` of an input that was tried.
        answers: what the network answers for it, by name, with a batch axis of one.
    """

    facts: dict[str, Any]
    half: bool
    image: np.ndarray
    answers: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class FileFormat:
    """One format.

    Attributes:
        suffix: of the file.
        beside: suffixes of further files with the same stem.
        half: whether weights can be stored in float16.
        make: `(program, names of the outputs, half) -> model`.
        write: `(model, path, content)` writes the file.
        run: `(path) -> function` that runs the file.
        runtime: what runs it, in words, and the distribution whose version is told.
        check: says what a program that reads this format says of the file; raises `UserError` where it refuses it.
    """

    suffix: str
    make: Callable[[ExportedProgram, Sequence[str], bool], Any]
    write: Callable[[Any, Path, Content], None]
    run: Callable[[Path], runtimes.Run]
    runtime: tuple[str, str]
    check: Callable[[Path], str] = lambda path: ""
    beside: tuple[str, ...] = ()
    half: bool = True

    @property
    def runner(self) -> str:
        """Name and version of what runs the file."""
        name, module = self.runtime
        try:
            number = version(module)
        except PackageNotFoundError:  # another distribution of the same module, such as onnxruntime-gpu
            number = str(import_module(module).__version__)
        return f"{name} {number}"


def _onnx(program: ExportedProgram, outputs: Sequence[str], half: bool) -> Any:
    return onnx_file.onnx_model(program, outputs, half=half)


def _write_onnx(model: Any, path: Path, content: Content) -> None:
    onnx_file.write_onnx(model, path, properties(content.facts))


def _openvino(program: ExportedProgram, outputs: Sequence[str], half: bool) -> Any:
    return openvino_file.openvino_model(onnx_file.onnx_model(program, outputs))


def _write_openvino(model: Any, path: Path, content: Content) -> None:
    openvino_file.write_openvino(model, path, content.facts, properties(content.facts), content.half)


def _torch(program: ExportedProgram, outputs: Sequence[str], half: bool) -> Any:
    return program


def _write_torch(model: Any, path: Path, content: Content) -> None:
    torch_file.write_torch(model, path, properties(content.facts)[KEY])


def _write_bioimageio(model: Any, path: Path, content: Content) -> None:
    bioimageio_file.write_bioimageio(model, path, content.facts, content.image, content.answers)


FORMATS: dict[str, FileFormat] = {
    "onnx": FileFormat(".onnx", _onnx, _write_onnx, runtimes.run_onnx, ("ONNX Runtime", "onnxruntime")),
    "openvino": FileFormat(
        ".xml", _openvino, _write_openvino, runtimes.run_openvino, ("OpenVINO", "openvino"), beside=(".bin",)
    ),
    "torch": FileFormat(
        ".pt2", _torch, _write_torch, runtimes.run_torch, ("torch.export of torch", "torch"), half=False
    ),
    "bioimageio": FileFormat(
        ".zip",
        _onnx,
        _write_bioimageio,
        bioimageio_file.run_bioimageio,
        ("ONNX Runtime", "onnxruntime"),
        check=bioimageio_file.check_bioimageio,
    ),
}
"""By the name that `--to` takes."""


def choose_format(to: str | None, out: Path) -> tuple[str, FileFormat]:
    """Return the format of a name, or of the suffix of the file where none is given.

    Raises:
        UserError: there is no such format, or the file has another suffix.

    >>> choose_format(None, Path("model.onnx"))[0]
    'onnx'
    """
    listed = ", ".join(f"{name} ({kind.suffix})" for name, kind in FORMATS.items())
    if to is None:
        to = next((name for name, kind in FORMATS.items() if kind.suffix == out.suffix), None)
        if to is None:
            raise UserError(f"{out}: its suffix names no format: give --to, one of {listed}")
    if to not in FORMATS:
        raise UserError(f"--to {to}: choose one of {listed}")
    if out.suffix != FORMATS[to].suffix:
        raise UserError(f"{out}: a file for {to} ends in {FORMATS[to].suffix}: give another -o")
    return to, FORMATS[to]
