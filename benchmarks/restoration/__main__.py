"""Print the tables of restoration: ours, plain networks trained the same minutes, and methods that do not learn.

    python -m benchmarks.restoration denoise --train TRAIN --images VAL --names a,b,c --minutes 30 --keep rows.jsonl
    python -m benchmarks.restoration super-resolution ... --scale 2 3 4
    python -m benchmarks.restoration deblur ...
    python -m benchmarks.restoration selfsupervised ...
    python -m benchmarks.restoration seams --runs runs/restoration/denoise-25 --image FILE

All methods are measured on the same degraded images: gray (luma of colors), noise of a fixed seed, neither clipped nor
rounded. PSNR is the mean over the images, of results cut off at 0 and 255 and not rounded. Of super-resolution it is
that of Y (BT.601, 16 to 235) without `scale` pixels at each border; images are made coarse as MATLAB's `imresize` does.

- ours: `atrous train`; the minutes are those of the whole run, check, evaluation and report included. Some training
  images are held out to choose the weights. `--set` changes the recipe.
- dncnn, fsrcnn: the networks of the papers, float32, both on squared error with Adam, whose rate falls from 1e-3 to
  1e-5; the minutes are those of the training alone. Batches are smaller than in the papers (`--peer-batch`): in so
  few minutes more steps give better networks.
- classic: non-local means and wavelets, Wiener and Richardson-Lucy of scikit-image, with the true noise or blur, at
  the parameters (of a grid, see `classic.py`) that are best on the very images that are measured; bicubic
  interpolation.

`--only` measures some of them. Rows that the file `--keep` has are not measured again, so that long runs can be queued,
and the same command without `--only` prints the joined table at last. Needs the extra `peers`.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from atrous.data.restoration import Degradation
from benchmarks.restoration import classic, ours, peer_training
from benchmarks.restoration.images import Picture, files, gray, pictures, quality
from benchmarks.restoration.seams import seam_picture
from benchmarks.rows import measure


@dataclass(frozen=True)
class Cell:
    """A number of the table.

    Attributes:
        method: its column of the table.
        group: what `--only` calls it.
        measure: returns the rest of the row.
        learns: whether it is trained for the minutes.
    """

    method: str
    group: str
    measure: Callable[[], dict[str, Any]]
    learns: bool = False


def denoise(options: argparse.Namespace, sigma: float) -> list[Cell]:
    """All methods at one strength of the noise."""
    shown = partial(_shown, options, Degradation(noise=sigma))
    return [
        Cell("noisy", "classic", lambda: _classic(classic.unchanged, {}, shown())),
        *(
            Cell(name, "classic", partial(lambda method, grid: _classic(method, grid, shown()), method, grid))
            for name, (method, grid) in classic.denoisers(sigma).items()
        ),
        Cell("dncnn", "dncnn", lambda: _peer(options, partial(peer_training.train_dncnn, sigma=sigma), shown()), True),
        _ours(options, "denoise", f"denoise-{sigma:g}", (f"task.noise={sigma:g}",), shown),
    ]


def super_resolution(options: argparse.Namespace, scale: int) -> list[Cell]:
    """All methods at one scale."""
    shown = partial(_shown, options, Degradation(scale=scale, greatest=255.0))
    train = partial(peer_training.train_fsrcnn, factor=scale)
    return [
        Cell("bicubic", "classic", lambda: _classic(partial(classic.bicubic, factor=scale), {}, shown(), scale)),
        Cell("fsrcnn", "fsrcnn", lambda: _peer(options, train, shown(), scale), True),
        _ours(options, "super-resolution", f"super-resolution-{scale}", (f"task.scale={scale}",), shown, scale),
    ]


def deblur(options: argparse.Namespace, blur: float) -> list[Cell]:
    """All methods at one blur."""
    shown = partial(_shown, options, Degradation(noise=options.noise, blur=blur))
    settings = (f"task.psf={blur:g}", f"task.noise={options.noise:g}")
    return [
        Cell("blurred", "classic", lambda: _classic(classic.unchanged, {}, shown())),
        *(
            Cell(name, "classic", partial(lambda method, grid: _classic(method, grid, shown()), method, grid))
            for name, (method, grid) in classic.deblurrers(blur).items()
        ),
        _ours(options, "deblur", f"deblur-{blur:g}-{options.noise:g}", settings, shown),
    ]


def self_supervised(options: argparse.Namespace, sigma: float) -> list[Cell]:
    """Ours from noisy images alone, and from clean ones."""
    shown = partial(_shown, options, Degradation(noise=sigma))
    settings = (f"task.noise={sigma:g}", "task.self_supervised=true")
    alone = _ours(options, "denoise", f"selfsupervised-{sigma:g}", settings, shown)
    supervised = _ours(options, "denoise", f"denoise-{sigma:g}", settings[:1], shown)
    return [Cell("ours", "supervised", supervised.measure, True), Cell("self-supervised", "ours", alone.measure, True)]


SUBCOMMANDS: dict[str, tuple[Callable[[argparse.Namespace, Any], list[Cell]], str, str, tuple[str, ...]]] = {
    "denoise": (denoise, "denoise", "sigma", ("ours", "dncnn", "classic")),
    "super-resolution": (super_resolution, "super-resolution", "scale", ("ours", "fsrcnn", "classic")),
    "deblur": (deblur, "deblur", "blur", ("ours", "classic")),
    "selfsupervised": (self_supervised, "denoise", "sigma", ("ours", "supervised")),
}
"""Of each subcommand: its cells at one strength, its name in the rows, the option of the strengths, names for `--only`.

`selfsupervised` shares its supervised rows with `denoise`.
"""


def _measured(options: argparse.Namespace) -> list[Path]:
    return files(options.images, [name for name in options.names.split(",") if name])


def _shown(options: argparse.Namespace, degradation: Degradation) -> list[Picture]:
    return pictures(_measured(options), degradation)


def _training(options: argparse.Namespace) -> list[Path]:
    return [path for folder in options.train for path in files(folder)]


def _classic(method: classic.Method, grid: classic.Grid, shown: list[Picture], factor: int = 1) -> dict[str, Any]:
    value, parameters = classic.best(method, grid, shown, factor)
    return {"psnr": value, "parameters": parameters}


def _peer(
    options: argparse.Namespace, train: Callable[..., tuple[nn.Module, int]], shown: list[Picture], factor: int = 1
) -> dict[str, Any]:
    clean = [gray(path) for path in _training(options)]
    recipe = peer_training.Recipe(options.minutes, options.peer_batch, options.seed, options.peer_bfloat16)
    network, steps = train(clean, recipe=recipe)
    numbers = [quality(peer_training.apply(network, one), one.clean, factor) for one in shown]
    count = sum(weight.numel() for weight in network.parameters())
    facts = {"batch": recipe.batch, "bfloat16": recipe.bfloat16}
    return {"psnr": float(np.mean(numbers)), "steps": steps, "parameters": count, **facts}


def _ours(
    options: argparse.Namespace, task: str, name: str, settings: tuple[str, ...], shown: Callable[[], list[Picture]],
    factor: int = 1,
) -> Cell:  # fmt: skip
    def measured() -> dict[str, Any]:
        data = ours.dataset(_training(options), options.out / "data")
        predictor = ours.trained(
            task, data, options.out / name, minutes=options.minutes, settings=[*settings, *options.settings],
            seed=options.seed,
        )  # fmt: skip
        return ours.row(predictor, shown(), factor) | {"settings": options.settings}

    return Cell("ours", "ours", measured, True)


def _table(options: argparse.Namespace) -> dict[str, Cell]:
    """The cells that are wanted, by the names of their rows."""
    make, task, strength, groups = SUBCOMMANDS[options.task]
    wanted = options.only or groups
    return {
        f"{task} {strength} {value:g}: {cell.method}": cell
        for value in getattr(options, strength)
        for cell in make(options, value)
        if cell.group in wanted
    }


def _row(options: argparse.Namespace, cell: Cell) -> dict[str, Any]:
    start = time.monotonic()
    found = cell.measure()
    minutes = options.minutes if cell.learns else None
    return found | {"minutes": minutes, "images": options.size, "seconds": round(time.monotonic() - start, 1)}


def _line(row: dict[str, Any]) -> str:
    facts = [f"{row['steps']} steps, {row['parameters']:,} parameters"] if "steps" in row else []
    if "steps" not in row and row["parameters"]:
        facts = [", ".join(f"{name} {value}" for name, value in row["parameters"].items())]
    minutes = "" if row["minutes"] is None else f"{row['minutes']:g}"
    return f"{row['name']:<44}{row['psnr']:>8.2f}{minutes:>9}  {'; '.join(facts)}"


def _compatible(options: argparse.Namespace, table: dict[str, Cell]) -> None:
    """Refuse a file of rows that were measured otherwise, before anything is trained."""
    if options.keep is None or not options.keep.exists():
        return
    for row in map(json.loads, options.keep.read_text().splitlines()):
        cell = table.get(row["name"])
        if cell is None:
            continue
        now = {
            "minutes": options.minutes if cell.learns else None, "images": options.size, "settings": options.settings,
            "batch": options.peer_batch, "bfloat16": options.peer_bfloat16,
        }  # fmt: skip
        other = [key for key, value in now.items() if key in row and row[key] != value]
        if other:
            raise SystemExit(f"{options.keep}: {row['name']}: has other {', '.join(other)}: give another --keep")


def main() -> None:
    """Measure what is wanted."""
    options = _parser().parse_args()
    if options.task == "seams":
        torch.set_num_threads(options.threads)
        rows = [seam_picture(run, options.image, options.pictures, options.strip) for run in options.runs]
        print(f"{'largest difference to the whole image: tiles':>46}{'streamed':>12}")
        for row in rows:
            print(f"{row['picture']:<34}{row['tiles_largest']:>12.3f}{row['streamed_largest']:>12.1e}")
        print(json.dumps({"benchmark": "restoration seams", "rows": rows}))
        return
    options.size = len(_measured(options))
    table = _table(options)
    _compatible(options, table)
    peers = ("scikit-image", "PyWavelets") if any(cell.group == "classic" for cell in table.values()) else ()
    print(f"{'':<44}{'PSNR, dB':>8}{'minutes':>9}  {options.size} images", flush=True)
    measure(
        table, lambda name: _row(options, table[name]), _line, options=options, libraries=("atrous", "torch", *peers)
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="task", required=True)
    strengths = {"sigma": (float, [15.0, 25.0, 50.0]), "scale": (int, [2, 3, 4]), "blur": (float, [1.6])}
    for name, (_, _, strength, groups) in SUBCOMMANDS.items():
        command = commands.add_parser(name)
        kind, usual = strengths[strength]
        default = [25.0] if name == "selfsupervised" else usual
        command.add_argument(f"--{strength}", type=kind, nargs="+", default=default)
        command.add_argument("--only", nargs="+", choices=groups)
        _add_training(command)
        if name == "deblur":
            command.add_argument("--noise", type=float, default=2.0)
    command = commands.add_parser("seams")
    command.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of runs, a picture of each")
    command.add_argument("--image", type=Path, required=True, help="a clean image")
    command.add_argument("--pictures", type=Path, default=Path("runs/restoration/seams"), help="folder of the pictures")
    command.add_argument("--strip", type=int, default=32, help="rows of the input that the stream reads at once")
    command.add_argument("--threads", type=int, default=2)
    return parser


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--train", type=Path, nargs="+", required=True, help="folders of clean training images")
    command.add_argument("--images", type=Path, required=True, help="folder of the clean images that are measured")
    command.add_argument("--names", default="", help="names of these, with commas between them; all if not given")
    command.add_argument("--minutes", type=float, default=30.0, help="of each training")
    command.add_argument("--out", type=Path, default=Path("runs/restoration"), help="folder of our runs")
    command.add_argument("--keep", type=Path, help="file of the rows measured so far; new ones are added to it")
    command.add_argument("--set", action="append", default=[], dest="settings", help="section.key=value of our recipe")
    command.add_argument("--peer-batch", type=int, default=32, help="patches in a step of dncnn and fsrcnn")
    command.add_argument("--peer-bfloat16", action="store_true", help="train dncnn and fsrcnn in bfloat16")
    command.add_argument("--threads", type=int, default=2)
    command.add_argument("--seed", type=int, default=0)


if __name__ == "__main__":
    main()
