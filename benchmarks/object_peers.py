"""Objects found by atrous and by other tools: the same images, split, minutes and machine, and one code of metrics.

    python -m benchmarks.object_peers ours RUN DATA --keep rows.jsonl
    python -m benchmarks.object_peers watershed DATA --minutes 30 --out DIR --keep rows.jsonl
    python -m benchmarks.object_peers export DATA --out DIR/images
    STARDIST_PYTHON -m benchmarks.object_peers stardist DIR/images --minutes 30 --out DIR/stardist
    python -m benchmarks.object_peers score DATA DIR/stardist --keep rows.jsonl
    python -m benchmarks.object_peers fcos DATA --minutes 30 --keep rows.jsonl
    python -m benchmarks.object_peers table rows.jsonl

The split is the one that atrous makes of the folder. All are trained on its part train and measured on its part val.
Like atrous, StarDist and the U-Net of the watershed choose their best weights on val. What else they choose (the
thresholds of StarDist, the parameters of the watershed) they choose on images of train, after the minutes are over.
FCOS keeps its last weights.

StarDist needs TensorFlow, in an environment of its own: `pip install stardist tensorflow-cpu`. `export` writes images
and masks for it, `stardist` trains it and writes label images, `score` measures these. Start it where this package can
be imported, in the folder of the repository; of atrous nothing is imported then. `watershed` needs scikit-image, which
atrous does not: `pip install scikit-image`.

Each command prints a table and one JSON line per method with its versions, and adds that line to the file `--keep`.
"""

import argparse
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atrous.data.dataset import Dataset

COLUMNS = {
    "instances": ("ap50", "ap_mean", "pq", "f1", "seg", "count_mae"),
    "detection": ("map50", "map", "map75", "f1"),
}
"""The metrics of the table. `mask_map` is left out, since label images have no scores."""


def opened(data: Path, task: str, toml: Path | None) -> "Dataset":
    """Open a data set with the split that `atrous train --task TASK` makes."""
    from atrous.verbs.opened import open_dataset_from

    return open_dataset_from(data, toml, task)


def file_name(name: str) -> str:
    """Return the name of the exported file of a sample, without suffix.

    >>> file_name("images/a")
    'images__a'
    """
    return name.replace("/", "__")


def export(dataset: "Dataset", out: Path, binary: bool = False) -> None:
    """Write `images/SPLIT/NAME.tif` and `masks/SPLIT/NAME.tif`: numbers of objects; 1 in objects if `binary`."""
    import numpy as np
    import tifffile

    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (out / kind / split).mkdir(parents=True)
        for sample in dataset.splits[split]:
            assert sample.target is not None
            image, numbers = np.asarray(sample.image.load()), sample.target.read()
            if len(image) != 1:
                raise SystemExit(f"{sample.image.path}: {len(image)} channels; the peers are given gray images")
            mask = (numbers > 0).astype(np.uint8) if binary else numbers.astype(np.uint16)
            tifffile.imwrite(out / "images" / split / f"{file_name(sample.name)}.tif", image[0])
            tifffile.imwrite(out / "masks" / split / f"{file_name(sample.name)}.tif", mask)


def of_label_images(dataset: "Dataset", folder: Path) -> dict[str, float]:
    """Return the metrics of instances of the label images `NAME.tif` in a folder, for the split val."""
    import numpy as np
    import tifffile

    from atrous.tasks.instance_metrics import InstanceScores

    scores = InstanceScores()
    for sample in dataset.splits["val"]:
        assert sample.target is not None
        found = tifffile.imread(folder / f"{file_name(sample.name)}.tif")
        scores.add(sample.name, sample.target.read(), found, np.ones(int(found.max(initial=0))))
    return chosen_columns("instances", scores.result(0.0).values)


def chosen_columns(task: str, values: Any) -> dict[str, float]:
    """Return those metrics that the table has."""
    return {name: round(float(values[name]), 4) for name in COLUMNS[task]}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Evaluate a run of `atrous train` on val."""
    from atrous.recipe.run import open_run
    from atrous.verbs.evaluate import evaluate

    recipe = open_run(options.run).recipe
    evaluated = evaluate(options.run, options.data, split="val", description=options.dataset)
    shape = recipe.task.options.get("shape", "")
    values = chosen_columns(recipe.task.kind, evaluated.scores.values)
    return {
        "method": " ".join(["atrous", recipe.model.name, *([shape] if shape else [])]), "task": recipe.task.kind,
        "minutes": recipe.train.minutes, **values, "images": evaluated.scores.images, "versions": of("atrous", "torch"),
    }  # fmt: skip


def watershed(options: argparse.Namespace) -> dict[str, Any]:
    """Train a semantic U-Net, and divide its foreground by a watershed."""
    from benchmarks import peer_watershed

    dataset = opened(options.data, "instances", options.dataset)
    export(dataset, options.out / "semantic", binary=True)
    steps = peer_watershed.train_unet(options.out, options.minutes, options.settings, options.seed)
    facts = peer_watershed.divide(dataset, options.out, file_name)
    values = of_label_images(dataset, options.out / "labels")
    return {
        "method": "U-Net and watershed", "task": "instances", "minutes": options.minutes, "steps": steps, **facts,
        **values, "images": len(dataset.splits["val"]), "versions": of("atrous", "torch", "scikit-image", "scipy"),
    }  # fmt: skip


def score(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the label images that `stardist` wrote."""
    dataset = opened(options.data, "instances", options.dataset)
    facts = json.loads((options.predicted / "facts.json").read_text(encoding="utf-8"))
    values = of_label_images(dataset, options.predicted / "labels")
    return {"task": "instances", **facts, **values, "images": len(dataset.splits["val"])}


def exported(options: argparse.Namespace) -> None:
    """Write images and numbers of objects for StarDist."""
    export(opened(options.data, "instances", options.dataset), options.out)


def table(options: argparse.Namespace) -> None:
    """Print the kept rows as one table."""
    show([json.loads(line) for line in options.rows.read_text(encoding="utf-8").splitlines()])


def stardist(options: argparse.Namespace) -> None:
    """Train StarDist on exported images, and write label images of val; in StarDist's own environment."""
    from benchmarks import peer_stardist

    facts = peer_stardist.run(options.images, options.out, options.minutes, options.grid, options.seed, options.threads)
    print(json.dumps(facts))


def fcos(options: argparse.Namespace) -> dict[str, Any]:
    """Train torchvision's FCOS, and measure it on val."""
    from benchmarks import peer_fcos

    dataset = opened(options.data, "detection", options.dataset)
    recipe = peer_fcos.Recipe(options.minutes, options.size, options.batch, options.lr, options.seed)
    scores, facts = peer_fcos.run(dataset, recipe)
    return {
        "method": f"torchvision FCOS ResNet-50, {options.size}", "task": "detection", "minutes": options.minutes,
        **facts, **chosen_columns("detection", scores.values), "images": scores.images,
        "versions": of("atrous", "torch", "torchvision"),
    }  # fmt: skip


def of(*packages: str) -> dict[str, str]:
    """Return the versions of packages."""
    return {package: version(package) for package in packages}


def show(rows: list[dict[str, Any]]) -> None:
    """Print a table for each task, and then each row as one line of JSON."""
    for task, columns in COLUMNS.items():
        chosen = [row for row in rows if row["task"] == task]
        if not chosen:
            continue
        width = max(len(row["method"]) for row in chosen) + 2
        print(f"{'method':<{width}}{'minutes':>8}{'steps':>8}" + "".join(f"{name:>11}" for name in columns))
        for row in chosen:
            numbers = "".join(f"{row[name]:>11.4f}" for name in columns)
            minutes = "-" if row["minutes"] is None else f"{row['minutes']:g}"
            print(f"{row['method']:<{width}}{minutes:>8}{row.get('steps', '-'):>8}{numbers}")
    for row in rows:
        print(json.dumps({"benchmark": "object_peers", **row}), flush=True)


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, run: Any, *arguments: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=(run.__doc__ or "").splitlines()[0])
        made.set_defaults(run_verb=run)
        for argument in arguments:
            made.add_argument(argument, type=Path)
        if "data" in arguments:
            made.add_argument("--dataset", type=Path, help="a dataset.toml that lies elsewhere")
        if name not in ("export", "stardist", "table"):
            made.add_argument("--keep", type=Path, help="file to which the row is added")
        return made

    def training(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made.add_argument("--minutes", type=float, default=30.0, help="wall time of the training")
        made.add_argument("--seed", type=int, default=0)
        made.add_argument("--threads", type=int, default=os.cpu_count() or 1)
        return made

    verb("ours", ours, "run", "data")
    made = training(verb("watershed", watershed, "data"))
    made.add_argument("--out", type=Path, required=True, help="new folder of the images, the run and the label images")
    made.add_argument("--set", action="append", default=[], dest="settings", help="further section.key=value")
    made = verb("export", exported, "data")
    made.add_argument("--out", type=Path, required=True, help="new folder")
    made = training(verb("stardist", stardist, "images"))
    made.add_argument("--out", type=Path, required=True, help="new folder of the model and the label images")
    made.add_argument("--grid", type=int, default=1, help="1 is StarDist's default, 2 that of its example notebook")
    verb("score", score, "data", "predicted")
    made = training(verb("fcos", fcos, "data"))
    made.add_argument("--size", type=int, default=800, help="smaller side that images are resized to")
    made.add_argument("--batch", type=int, default=2, help="images in a batch")
    made.add_argument("--lr", type=float, help="learning rate; by default 0.01 x batch / 16, as torchvision's recipe")
    verb("table", table, "rows")
    return parser.parse_args()


def main() -> None:
    """Carry out one command."""
    options = parsed()
    if getattr(options, "out", None) is not None and options.out.exists():
        raise SystemExit(f"{options.out}: exists already: name a new folder")
    if hasattr(options, "threads") and options.verb != "stardist":
        import torch

        torch.set_num_threads(options.threads)
        torch.set_flush_denormal(True)
    row = options.run_verb(options)
    if row is None:
        return
    show([row])
    if options.keep is not None:
        with options.keep.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
