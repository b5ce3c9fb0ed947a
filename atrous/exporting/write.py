"""Write an exported file, prove it, and only then put it in its place."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.export import ExportedProgram

from atrous.errors import UserError
from atrous.exporting.formats import Content, FileFormat
from atrous.exporting.proof import HALF_TOLERANCE, TOLERANCE, Ours, Proof, prove
from atrous.files import remove, rename, write_text


@dataclass(frozen=True)
class ProofInputs:
    """On what a file is compared with the network.

    Attributes:
        images: raw values, each `(C, *S)`.
        origin: where they come from, in words.
        ours: what the network answers.
        threshold: probability from which a position has a class, where it may have several.
    """

    images: Sequence[np.ndarray]
    origin: str
    ours: Ours
    threshold: float | None = None


@dataclass(frozen=True)
class Exported:
    """An exported file.

    Attributes:
        path: the file.
        files: all files that were written, the `.json` with the facts among them.
        facts: what the file says about itself.
        proof: how far its answers are from the network's.
    """

    path: Path
    files: tuple[Path, ...]
    facts: dict[str, Any]
    proof: Proof

    def text(self) -> str:
        """Return what was written, in a few lines."""
        image = self.facts["input"]
        lines = [
            f"wrote       {', '.join(file.name for file in self.files)} to {self.path.parent}",
            f"input       {image['name']} {image['layout']}: {image['channels']} channels, {image['sizes']}, any batch",
            *(f"output      {name}: {what}" for name, what in self.facts["outputs"].items()),
        ]
        if "to do before" in image:
            lines.append(f"note        {image['to do before']}")
        lines.append(self.proof.text())
        if before := self.facts.get("before quantization"):
            lines.append(f"            {before['milliseconds']:.1f} ms in float32, before the quantization")
        if "checked" in self.facts:
            lines.append(f"            {self.facts['checked']}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts, the proof among them, and the files, for JSON."""
        return {**self.facts, "files": [str(file) for file in self.files]}


def check_place(out: Path, kind: FileFormat) -> tuple[Path, ...]:
    """Return all files that an export will write, the main one last.

    Raises:
        UserError: one of them exists, or the folder does not.
    """
    files = (*(out.with_suffix(suffix) for suffix in kind.beside), out.with_name(f"{out.name}.json"), out)
    if not out.parent.is_dir():
        raise UserError(f"{out}: its folder does not exist: give another -o")
    there = next((file for file in files if file.exists()), None)
    if there is not None:
        raise UserError(f"{there}: exists already, and nothing is overwritten: give another -o")
    return files


def write_file(
    program: ExportedProgram,
    kind: FileFormat,
    out: Path,
    facts: dict[str, Any],
    inputs: ProofInputs,
    *,
    half: bool = False,
    change: Callable[[Any], Any] | None = None,
) -> Exported:
    """Write a program as a file, compare what its runtime computes with the network, and put it in its place.

    The file is made in a hidden folder beside its place. Where the proof fails, nothing is left.

    Args:
        program: the exported pipeline.
        kind: the format.
        out: the file.
        facts: what the file says about itself; the proof is added.
        inputs: on what it is proved.
        half: whether weights are stored in float16.
        change: what is done to the model of the format before it is written (quantization); the proof then measures
            what it costs, and accepts it.

    Raises:
        UserError: the file cannot be made, or its answers are not those of the network.
    """
    files, outputs = check_place(out, kind), list(facts["outputs"])
    model = kind.make(program, outputs, half)
    first = np.ascontiguousarray(inputs.images[0], dtype=np.float32)
    answers = {name: value[None] for name, value in inputs.ours(first).items()}
    tolerance = None if change is not None else HALF_TOLERANCE if half else TOLERANCE
    folder = out.with_name(f".{os.getpid()}.part.{out.name}.folder")
    remove(folder)
    folder.mkdir()
    try:
        made = folder / out.name
        if change is not None:  # the model that is changed must be right, and the cost is told beside its figures
            _write(kind, model, made, Content(facts, half, first[None], answers))
            facts = {**facts, "before quantization": _proof(kind, made, inputs, TOLERANCE).to_dict()}
            model = change(model)
        _write(kind, model, made, Content(facts, half, first[None], answers))
        proof = _proof(kind, made, inputs, tolerance)
        facts = {**facts, "proof": proof.to_dict()}
        _write(kind, model, made, Content(facts, half, first[None], answers))
        if said := kind.check(made):
            facts = {**facts, "checked": said}
        write_text(folder / f"{out.name}.json", json.dumps(facts, indent=1))
        for file in files:
            rename(folder / file.name, file)
    finally:
        remove(folder)
    return Exported(out, files, facts, proof)


def _write(kind: FileFormat, model: Any, path: Path, content: Content) -> None:
    """Write the model anew; a runtime may still read the old file, which is not written over but taken away."""
    for file in path.parent.iterdir():
        file.unlink()
    kind.write(model, path, content)


def _proof(kind: FileFormat, path: Path, inputs: ProofInputs, tolerance: float | None) -> Proof:
    """Compare what the file's runtime computes with the network."""
    return prove(
        kind.run(path), inputs.ours, inputs.images, runtime=kind.runner, inputs=inputs.origin, tolerance=tolerance,
        threshold=inputs.threshold,
    )  # fmt: skip
