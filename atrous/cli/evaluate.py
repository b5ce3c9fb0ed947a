"""`atrous evaluate RUN [DATA]`: the metrics of a run on a split."""

from pathlib import Path
from typing import Annotated, Any

import typer

NAME = "evaluate"
MORE, FOLDS, VIDEOS = "What is measured", "Groups left out", "Videos"


def command(
    run: Annotated[Path, typer.Argument(help="Run folder, or name of a model.")],
    data: Annotated[
        str | None, typer.Argument(help="Folder or URL of the data set. Default: the data set of the training.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="Split to evaluate: train, val or test; all for every labelled sample.")
    ] = "val",
    dataset: Annotated[Path | None, typer.Option(help="Path of a dataset.toml outside the data folder.")] = None,
    tta: Annotated[
        str,
        typer.Option(
            help="Test-time augmentation: none, or flip to average over mirrored inputs.", rich_help_panel=MORE
        ),
    ] = "none",
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Measure sets of classes that are to hold the true one in this share, such as 0.9.",
            rich_help_panel=MORE,
        ),
    ] = None,
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            help="A further run with the same classes; their mean probability is measured. Repeatable.",
            rich_help_panel=MORE,
        ),
    ] = None,
    shifts: Annotated[
        bool,
        typer.Option(
            "--shifts",
            help="Also measure images that are noisy, blurred, brighter, smaller and so on.",
            rich_help_panel=MORE,
        ),
    ] = False,
    folds: Annotated[
        str | None,
        typer.Option(
            help="Train anew without each group of samples, and measure on it: group, or N for the N largest groups.",
            rich_help_panel=FOLDS,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Wall time of each of these trainings. [default: as in the recipe]", rich_help_panel=FOLDS),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of these trainings. [default: the folder folds of the run]", rich_help_panel=FOLDS),
    ] = None,
    first_frame: Annotated[
        bool,
        typer.Option(
            "--first-frame",
            help="Of videos: the first mask of each is given, learned, and not counted.",
            rich_help_panel=VIDEOS,
        ),
    ] = False,
    first_frame_seconds: Annotated[
        float, typer.Option(help="How long each first frame is learned.", rich_help_panel=VIDEOS)
    ] = 30.0,
    report: Annotated[Path | None, typer.Option(help="Also write a page about it: a new .html file.")] = None,
    device: Annotated[str | None, typer.Option(help="Device: cpu, cuda, cuda:1 or mps. [default: cpu]")] = None,
    float32: Annotated[
        bool, typer.Option("--float32", help="Compute in float32, however it was trained.", rich_help_panel=MORE)
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Compute metrics of a run on a split: IoU with a confidence interval, accuracy, Dice, boundary IoU, calibration.

    What the probabilities are worth is measured too: docs/confidence.md.

    A folder of test data has no splits: --split all measures every labelled sample in it.

    Example: atrous evaluate runs/cells data/cells --split test --json

    Example: atrous evaluate runs/davis --first-frame --json

    Example: atrous evaluate runs/cells data/new-cells --split all

    Example: atrous evaluate runs/cells --folds group --minutes 10
    """
    import torch

    from atrous.cli.output import progress_bar, quiet_libraries, say, show
    from atrous.prediction.predictor import LoadOptions
    from atrous.verbs.evaluate import evaluate
    from atrous.verbs.evaluation_report import check_page, write_evaluation
    from atrous.verbs.first_frame import check_first_frame, evaluate_first_frames
    from atrous.verbs.fold_plan import check_fold_options, plan_folds, read_folds
    from atrous.verbs.shifts import evaluate_shifts, require_classes

    quiet_libraries()
    if report is not None:
        check_page(report)
    others = tuple(ensemble or ())
    alone = {
        "--tta": tta != "none", "--coverage": coverage is not None, "--ensemble": bool(others), "--shifts": shifts,
        "--report": report is not None, "--folds": folds is not None,
    }  # fmt: skip
    check_first_frame(first_frame, first_frame_seconds, others=alone)
    if shifts:
        require_classes(run)
    fold_options: dict[str, Any] = {"description": dataset, "minutes": minutes, "out": out, "device": device}
    as_it_is = {"--tta": alone["--tta"], "--ensemble": alone["--ensemble"], "--float32": float32}
    check_fold_options(folds, fold_options, others=as_it_is)
    plan = None if folds is None else plan_folds(run, data, most=read_folds(folds), **fold_options)
    loading: LoadOptions = {"device": device or "cpu", "dtype": torch.float32 if float32 else None}
    with progress_bar("evaluating", 1.0) as (bar, task):

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        if first_frame:
            result = evaluate_first_frames(
                run, data, split=split, description=dataset, seconds=first_frame_seconds,
                progress=progress, **loading,
            )  # fmt: skip
        else:
            result = evaluate(
                run, data, split=split, description=dataset, tta=tta, coverage=coverage, ensemble=others,
                progress=progress, **loading,
            )  # fmt: skip
    facts, text, shifted, left_out = {"split": split, **result.scores.to_dict()}, result.scores.text(), None, None
    if shifts:
        with progress_bar("shifts", 1.0) as (bar, task):
            shifted = evaluate_shifts(
                run, data, split=split, description=dataset, ensemble=others,
                progress=lambda done, total: bar.update(task, completed=done, total=total), **loading,
            )  # fmt: skip
        facts, text = {**facts, "shifts": shifted.to_dict()}, f"{text}\n\n{shifted.text()}"
    if plan is not None:
        from atrous.verbs.folds import train_folds  # with what trains, for which nothing else here waits

        left_out = train_folds(plan, validation=result.scores.watched() if split == plan.run.recipe.data.val else {})
        facts, text = {**facts, "folds": left_out.to_dict()}, f"{text}\n\n{left_out.text()}"
    if result.note:
        say(result.note)
    if report is not None:
        write_evaluation(report, run, result, shifted, left_out, ensemble=others, **loading)
        say(f"report: {report}")
    show(text, facts, json)
    if left_out is not None and left_out.interrupted:
        raise typer.Exit(130)
