"""A tiny installed package that brings one model, made of a run."""

import shutil
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import torch

from atrous.training.checkpoint import read_tensors, write_tensors

CARD = """
summary = "Labels handwritten digits."
task = "semantic"
input = "color pictures"
trained_on = "scenes that were made"
data_license = "CC0-1.0"
source = "atrous demo"
license = "Apache-2.0"
command = "atrous train digits"
fails = ["on letters"]

[[measured]]
on = "three scenes"
command = "atrous evaluate tiny digits"
values = { miou = 0.25, images = 3 }
"""


def write_model(folder: Path, run: Path) -> Path:
    """Write a model as `packages/atrous-models` has them: weights in float16, recipe, card with digests."""
    folder.mkdir(parents=True)
    tensors, facts = read_tensors(run / "model.safetensors")
    narrow = {name: v.half() if v.dtype == torch.float32 and v.ndim > 1 else v for name, v in tensors.items()}
    write_tensors(folder / "model.safetensors", narrow, facts)
    for name in ("recipe.toml", "calibration.json"):
        shutil.copyfile(run / name, folder / name)
    write_card(folder)
    return folder


def write_card(folder: Path) -> None:
    """Write the card of a model with the digests of the files that lie there."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "card.toml")
    digests = "\n".join(f'"{name}" = "{sha256((folder / name).read_bytes()).hexdigest()}"' for name in names)
    (folder / "card.toml").write_text(f"{CARD}\n[sha256]\n{digests}\n")


def write_package(site: Path, run: Path, names: Iterable[str] = ("tiny",), package: str = "tiny-models") -> Path:
    """Write what an installer leaves in `site`; return the folder of the package.

    Importing it fails: models are read, and no code of their package runs.
    """
    module = package.replace("-", "_")
    for name in names:
        write_model(site / module / name, run)
    (site / module / "__init__.py").write_text("raise RuntimeError('the code of a package of models was run')\n")
    facts = site / f"{module}-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (facts / "entry_points.txt").write_text(f"[atrous.models]\n{package} = {module}\n")
    return site / module
