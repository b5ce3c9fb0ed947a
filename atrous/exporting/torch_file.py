"""A program as a `.pt2` file, which `torch.export.load` runs without this package."""

from pathlib import Path

import torch
from torch.export import ExportedProgram

from atrous.extras import quiet

NAME = "atrous.json"
"""The extra file inside that holds the facts."""


def write_torch(program: ExportedProgram, path: Path, facts: str) -> None:
    """Write a program, with its facts (JSON) as the extra file `atrous.json`."""
    with quiet():
        torch.export.save(program, path, extra_files={NAME: facts})


def read_torch(path: Path) -> tuple[ExportedProgram, str]:
    """Return the program of a file, and its facts (JSON; "" where it has none)."""
    extra = {NAME: ""}
    with quiet():
        program = torch.export.load(path, extra_files=extra)
    return program, extra[NAME]
