"""Paired trainings: the planned recipe, and the same recipe with one idea more, for the same minutes and seeds.

    python -m benchmarks.ideas PATH/TO/camvid --minutes 10 --only base,strong,sharpness
    python -m benchmarks.ideas PATH/TO/camvid --only base,strong+paste --seeds 0,1,2
    python -m benchmarks.ideas PATH/TO/camvid --table

Every idea is trained under two protocols, one training after the other, with all cores each:

- val: trained on train; the mean IoU on val is that of the weights that were best there.
- left-out: trained without the images whose names begin with `--leave-out`, a sequence of the training split; val
  chooses the weights as before, and the mean IoU is measured on the sequence that was left out. Where val is another
  part of a sequence that is trained on, as in CamVid, this is the measure of generalization. It is skipped where no
  image of the training split has such a name.

Each training appends a line of JSON to `OUT/results.jsonl`; what has its line is not trained again, and what was
interrupted goes on. So stop it as you like, and give the same command again. The table shows means over seeds, with
their standard deviations where there are several, and ratios to `base`. `a+b` joins the settings of two ideas. Classes
with less than 2 % of the training pixels count as rare.
"""

import argparse
import json
import platform
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

import lightning_fabric  # noqa: F401 (imported here, so that the first training does not pay for it)
import timm  # noqa: F401
import tomlkit
import torch
import torch._dynamo

from atrous.data.check.check import Check
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.train import train

RARE = 0.02
"""Share of the training positions below which a class is rare."""
IDEAS: dict[str, list[str]] = {
    "base": [],
    "strong": ["augment.strength=0.5"],
    "stronger": ["augment.strength=1.0"],
    "sharpness": ["train.sharpness=0.05", "train.sharpness_every=2"],
    "paste": ["augment.paste=0.3", "augment.paste_classes={rare}"],
    "rare_crops": ["augment.foreground=0.5", "augment.foreground_classes={rare}"],
    "frozen": ["stages=frozen"],
    "teacher": ["train.teacher=0.5"],
    "boundary": ["task.boundary=2.0"],
    "smoothing": ["task.smoothing=0.1"],
    "focal": ["task.focal=1.0"],
    "stages": ["stages=fine-tune"],
    "lower_rate": ["train.learning_rate=0.0005"],
    "higher_rate": ["train.learning_rate=0.002"],
    "batch2": ["train.batch_size=2"],
    "batch8": ["train.batch_size=8"],
    "lite1": ["model.encoder=efficientnet_lite1"],
    "lite2": ["model.encoder=efficientnet_lite2"],
}
"""Settings besides the planned ones; `{rare}` stands for the list of the rare classes."""
PROTOCOLS = ("val", "left-out")


@dataclass(frozen=True)
class Pairing:
    """What all trainings have in common.

    Attributes:
        data: folder of the data set.
        out: folder of the runs and results.
        minutes: wall time of each training.
        extra: settings of all trainings.
        rare: names of the rare classes.
        without: a dataset.toml that leaves a sequence out of the training, or None.
    """

    data: Path
    out: Path
    minutes: float
    extra: tuple[str, ...]
    rare: tuple[str, ...]
    without: Path | None

    @property
    def results(self) -> Path:
        """The file of the results."""
        return self.out / "results.jsonl"


def rare_classes(found: Check) -> tuple[str, ...]:
    """Return the names of the classes that occur, but in less than `RARE` of the training positions."""
    shares = zip(found.dataset.classes, found.fingerprint.class_frequency, strict=True)
    return tuple(name for name, share in shares if 0 < share < RARE)


def settings_of(idea: str, rare: Sequence[str]) -> list[str]:
    """Return the settings of an idea, or of several that are joined by `+`."""
    parts = [setting for name in idea.split("+") for setting in IDEAS[name]]
    if not rare and any("{rare}" in part for part in parts):
        raise SystemExit(f"{idea}: no class of these data has less than {RARE:.0%} of the positions")
    return [part.replace("{rare}", json.dumps(list(rare))) for part in parts]


def write_without(found: Check, prefix: str, path: Path) -> Path | None:
    """Write a dataset.toml in which the training images whose names begin with `prefix` are the test split.

    Returns:
        Its path; None where there are none, or nothing else.
    """
    names = [sample.name for sample in found.dataset.splits["train"]]
    left = [name for name in names if name.rpartition("/")[2].startswith(prefix)]
    kept = [name for name in names if name not in left]
    if not left or not kept:
        return None
    if found.dataset.splits.get("test"):
        raise SystemExit(f"{found.dataset.root} has a test split: leave it out of the folder, or give --leave-out ''")
    described = found.dataset.description
    document = tomlkit.parse(described.read_text(encoding="utf-8")) if described else tomlkit.document()
    val = [sample.name for sample in found.dataset.splits["val"]]
    document["splits"] = {"train": kept, "val": val, "test": left}
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what says that two trainings are the same."""
    return tuple(row[name] for name in ("data", "idea", "protocol", "minutes", "seed")) + tuple(row["settings"])


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(pairing: Pairing, idea: str, protocol: str, seed: int) -> dict[str, Any] | None:
    """Train an idea and measure it; None where the training was interrupted."""
    settings = [*pairing.extra, *settings_of(idea, pairing.rare)]
    row: dict[str, Any] = {
        "data": pairing.data.resolve().name, "idea": idea, "protocol": protocol, "minutes": pairing.minutes,
        "seed": seed, "settings": settings,
    }  # fmt: skip
    if key_of(row) in map(key_of, read_results(pairing.results)):
        return row
    apart = f"-{crc32(json.dumps(pairing.extra).encode()):x}" if pairing.extra else ""  # other settings, another run
    folder = pairing.out / f"{idea}-{protocol}-{pairing.minutes:g}m-{seed}{apart}"
    description = pairing.without if protocol == "left-out" else None
    if (folder / "recipe.toml").exists():
        trained = train(resume=folder, report=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        trained = train(
            pairing.data, out=folder, minutes=pairing.minutes, settings=settings, seed=seed, description=description,
            report=False,
        )  # fmt: skip
    if trained.scores is None:
        return None
    scores = trained.scores if protocol == "val" else evaluate(folder, split="test").scores
    row |= {
        "miou": round(float(scores.miou), 4),
        "val_miou": round(float(trained.scores.miou), 4),
        "steps": trained.outcome.step,
        "best_step": trained.outcome.best_step,
        "seconds": round(trained.outcome.seconds, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("atrous", "torch")}},
    }
    with pairing.results.open("a") as file:
        file.write(json.dumps(row) + "\n")
    return row


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the mean IoU of each idea under each protocol, its ratio to `base`, and the steps.

    Ratios are of seeds that both have.
    """
    head = "".join(f"{protocol:>16}{'ratio':>8}{'steps':>7}" for protocol in PROTOCOLS)
    lines = [f"{'idea':<24}{'seeds':>6}{head}"]
    for idea in dict.fromkeys(row["idea"] for row in rows):
        cells, seeds = "", 0
        for protocol in PROTOCOLS:
            own, base = (_by_seed(rows, name, protocol) for name in (idea, "base"))
            cells += _cells(own, base)
            seeds = max(seeds, len(own))
        lines.append(f"{idea:<24}{seeds:>6}{cells}")
    return "\n".join(lines)


def _by_seed(rows: Sequence[Mapping[str, Any]], idea: str, protocol: str) -> dict[int, Mapping[str, Any]]:
    return {row["seed"]: row for row in rows if (row["idea"], row["protocol"]) == (idea, protocol)}


def _cells(own: Mapping[int, Mapping[str, Any]], base: Mapping[int, Mapping[str, Any]]) -> str:
    if not own:
        return f"{'-':>16}{'-':>8}{'-':>7}"
    values = [row["miou"] for row in own.values()]
    shown = f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else "")
    both = own.keys() & base.keys()
    ratio = "-"
    if both:
        ratio = f"{sum(own[seed]['miou'] for seed in both) / sum(base[seed]['miou'] for seed in both):.3f}"
    return f"{shown:>16}{ratio:>8}{round(statistics.mean(row['steps'] for row in own.values())):>7}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of a data set with classes")
    parser.add_argument("--minutes", type=float, default=10.0, help="wall time of each training")
    parser.add_argument("--only", default=",".join(IDEAS), help=f"ideas, joined by commas or +: {', '.join(IDEAS)}")
    parser.add_argument("--protocols", default=",".join(PROTOCOLS), help="val, left-out, or both")
    parser.add_argument("--leave-out", default="0001TP", help="how the names of the sequence begin that is left out")
    parser.add_argument("--seeds", default="0", help="seeds, joined by commas")
    parser.add_argument("--out", type=Path, help="folder of the runs and results; default: runs/ideas-NAME")
    parser.add_argument("--set", action="append", default=[], dest="extra", help="section.key=value, of all trainings")
    parser.add_argument("--table", action="store_true", help="train nothing, print the table of what there is")
    options = parser.parse_args()
    options.ideas = options.only.split(",")
    unknown = [name for idea in options.ideas for name in idea.split("+") if name not in IDEAS]
    if unknown:
        parser.error(f"no idea is called {unknown[0]}: known are {', '.join(IDEAS)}")
    options.protocols = options.protocols.split(",")
    if not set(options.protocols) <= set(PROTOCOLS):
        parser.error(f"--protocols {','.join(options.protocols)}: known are {', '.join(PROTOCOLS)}")
    options.out = options.out or Path("runs") / f"ideas-{options.data.resolve().name}"
    return options


def main() -> None:
    """Train what has no result yet, one after the other, and print the table."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    pairing = Pairing(options.data, options.out, options.minutes, tuple(options.extra), (), None)
    if not options.table:
        _train_all(options, pairing)
    rows = [row for row in read_results(pairing.results) if row["minutes"] == options.minutes]
    print(table(rows))
    print(json.dumps({"benchmark": "ideas", "minutes": options.minutes, "rows": rows}))


def _train_all(options: argparse.Namespace, pairing: Pairing) -> None:
    found = check(options.data)
    without = write_without(found, options.leave_out, options.out / "left-out.toml") if options.leave_out else None
    rare = rare_classes(found)
    print(f"rare classes: {', '.join(rare) or 'none'}")
    if without is None and "left-out" in options.protocols:
        print(f"no part of the training images has names that begin with {options.leave_out!r}: val alone")
    pairing = Pairing(pairing.data, pairing.out, pairing.minutes, pairing.extra, rare, without)
    for seed in map(int, options.seeds.split(",")):
        for idea in options.ideas:
            for protocol in options.protocols:
                if protocol == "left-out" and without is None:
                    continue
                row = run(pairing, idea, protocol, seed)
                if row is None:
                    raise SystemExit("interrupted: the same command goes on")
                print(f"{idea} {protocol} seed {seed}: {row.get('miou', 'there already')}", flush=True)


if __name__ == "__main__":
    main()
