"""`atrous evaluate RUN [DATA]`: honest figures on a split."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "evaluate"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    data: Annotated[
        Path | None, typer.Argument(help="Folder of the data set; that of the training when left out.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which split.")] = "val",
    dataset: Annotated[Path | None, typer.Option(help="A dataset.toml that lies elsewhere.")] = None,
    tta: Annotated[
        str, typer.Option(help="Test-time augmentation: none, or flip to average over mirror images.")
    ] = "none",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Measure a run on a split: IoU, accuracy, Dice, boundary IoU, calibration, with a confidence interval.

    Example: atrous evaluate runs/cells data/cells --split test --json
    """
    from atrous.cli.output import progress_bar, quiet_libraries, show
    from atrous.verbs.evaluate import evaluate

    quiet_libraries()
    with progress_bar("evaluating", 1.0) as (bar, task):
        found = evaluate(
            run, data, split=split, description=dataset, tta=tta, device=device,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    show(found.scores.text(), {"split": split, **found.scores.to_dict()}, json)
