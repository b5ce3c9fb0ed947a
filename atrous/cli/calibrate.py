"""`atrous calibrate RUN [DATA]`: how sure a run may be, from labelled samples that it was not trained on."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "calibrate"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    data: Annotated[
        str | None, typer.Argument(help="Folder or URL of the data set. Default: the data set of the training.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Split to calibrate on: val or test; all for every labelled sample.")
    ] = "val",
    dataset: Annotated[Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.")] = None,
    keep_temperature: Annotated[
        bool,
        typer.Option("--keep-temperature", help="Fit no temperature: the samples choose thresholds of sets alone."),
    ] = False,
    device: Annotated[str, typer.Option(help="Device: cpu, cuda, cuda:1 or mps.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Fit the temperature of a run and count how often it misses the true class, and keep both in its folder.

    Classes of whole inputs that are there or not get offsets of their evidence instead; objects, boxes and
    counted points get the thresholds with the best metrics, those that the recipe does not give.

    Training does this at its end, on the validation split. Do it again for runs of earlier versions, for another
    scanner or place, or for a guarantee that needs samples which chose nothing else (docs/confidence.md).

    Example: atrous calibrate runs/cells data/new-cells --split all
    """
    from atrous.cli.output import progress_bar, quiet_libraries, show
    from atrous.verbs.calibrate import calibrate

    quiet_libraries()
    with progress_bar("calibrating", 1.0) as (bar, task):
        found = calibrate(
            run, data, split=split, description=dataset, keep_temperature=keep_temperature, device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        ).calibration  # fmt: skip
    units = {curve.unit: curve.count for curve in found.misses}
    facts = {
        "temperature": found.temperature, "ece_before": found.ece_before, "ece": found.ece, "samples": found.samples,
        "units": units, "measured_on": found.measured_on, "offsets": list(found.offsets),
        "thresholds": dict(found.thresholds),
    }  # fmt: skip
    errors = "" if found.ece is None else f"; calibration error {found.ece_before:.3f}, now {found.ece:.3f}"
    offsets = ", ".join(f"{offset:+.2f}" for offset in found.offsets)
    thresholds = ", ".join(f"{name} {value:g}" for name, value in found.thresholds.items())
    fitted = f"offsets of the evidence {offsets}" if offsets else f"temperature {found.temperature:.3f}"
    fitted = thresholds or fitted
    text = f"{fitted}, from {found.samples} samples ({found.measured_on}){errors}"
    show(text, facts, json)
