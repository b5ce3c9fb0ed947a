"""`atrous predict RUN INPUT... -o OUT`: labels as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.prediction.jobs import Written
    from atrous.prediction.predictor import Predictor

NAME = "predict"


def command(
    run: Annotated[Path, typer.Argument(help="Folder of the run.")],
    inputs: Annotated[list[str], typer.Argument(help="Files, folders or globs; `-` for a live signal.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Folder for what is written.")] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write the labels in color over the image.")] = False,
    probabilities: Annotated[
        str | None, typer.Option(help="Also write probabilities: zarr or tiff; bigwig for genomes.")
    ] = None,
    tta: Annotated[str, typer.Option(help="Test-time augmentation: none or flip.")] = "none",
    memory: Annotated[str | None, typer.Option(help="Memory that a streamed input may take: 1GB.")] = None,
    engine: Annotated[str, typer.Option(help="torch, openvino or inductor.")] = "torch",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Label every position of images of any size.

    Large inputs are streamed: the answer is that of the whole image, in bounded memory; the plan is printed first, and
    a run that was killed goes on when it is started again (TIFF, zarr and .npy). Labels are class numbers, in the
    format of the input where that can hold them, else in a PNG. What is done already is skipped. An input that cannot
    be read is reported at the end, does not stop the others, and makes the exit code 2. Of genomes (FASTA) the features
    found are written, as GFF3 into a folder, or in the format of OUT's suffix: .gff3, .bed or .bw.

    A video (a file or a folder of frames) gives a folder with the labels of each frame, and as overlay an .mp4.

    With `-`, samples are read from standard input, a line each, and labels are written to standard output as soon as
    they are final (docs/signals.md); `--probabilities csv` writes those too.

    Example: atrous predict runs/cells 'scans/*.tif' -o labels --overlay

    Example: recorder | atrous predict runs/ecg -
    """
    from atrous.cli.output import progress_bar, quiet_libraries
    from atrous.errors import UserError
    from atrous.prediction.jobs import Wanted, find_jobs, predict_files
    from atrous.prediction.predictor import load

    if tta not in ("none", "flip"):
        raise UserError(f"--tta {tta}: none or flip")
    live = inputs == ["-"]
    kinds = ("csv",) if live else ("zarr", "tiff", "bigwig")
    if probabilities not in (None, *kinds):
        raise UserError(f"--probabilities {probabilities}: {' or '.join(kinds)}")
    if live and (out is not None or overlay or json):
        raise UserError("labels of `-` go to standard output, a line each: leave -o, --overlay and --json out")
    quiet_libraries()
    predictor = load(run, device=device, flip=tta == "flip", memory=memory, engine=engine)
    _check_options(predictor, live, overlay, probabilities, tta)
    if live:
        from atrous.cli.live import run_live

        run_live(predictor, probabilities is not None)
        return
    if out is None:
        raise UserError("-o FOLDER is missing: say where the labels go")
    if _of_genomes(predictor):
        _annotate(predictor, inputs, out, probabilities == "bigwig", json)
        return
    wanted = Wanted(overlay, probabilities, predictor.palette)
    jobs = find_jobs(predictor, inputs, out, wanted)
    with progress_bar("predicting", len(jobs)) as (bar, task):
        done = predict_files(predictor, jobs, wanted, lambda at: bar.update(task, completed=at), bar.console.print)
    _tell(done, out, json)


def _of_genomes(predictor: "Predictor") -> bool:
    return predictor.run.recipe.data.kind == "genomes"


def _check_options(predictor: "Predictor", live: bool, overlay: bool, probabilities: str | None, tta: str) -> None:
    """Raise `UserError` for options that this kind of data does not have."""
    from atrous.errors import UserError

    if _of_genomes(predictor):
        if live or overlay or tta != "none" or probabilities not in (None, "bigwig"):
            raise UserError("of genomes the features are written, and with --probabilities bigwig the signals: no more")
        return
    if predictor.video and (probabilities is not None or tta != "none"):
        raise UserError("--probabilities and --tta are for images, volumes and signals, not for videos: leave them out")
    if probabilities == "bigwig":
        raise UserError("--probabilities bigwig is for genomes: zarr or tiff")


def _annotate(predictor: "Predictor", inputs: list[str], out: Path, signals: bool, json: bool) -> None:
    """Features of FASTA files."""
    from atrous.cli.output import progress_bar
    from atrous.prediction.genomes import annotate_files, find_genome_jobs

    jobs = find_genome_jobs(inputs, out, signals=signals)
    with progress_bar("predicting", len(jobs)) as (bar, task):
        done = annotate_files(predictor, jobs, lambda at: bar.update(task, completed=at), bar.console.print)
    _tell(done, out, json)


def _tell(done: "Written", out: Path, json: bool) -> None:
    """What was written, skipped and failed; exit code 2 when something failed."""
    from atrous.cli.output import say, show

    facts = {
        "written": [str(p) for p in done.written],
        "skipped": [str(p) for p in done.skipped],
        "failed": {str(p): why for p, why in done.failed},
    }
    text = f"{len(done.written)} written to {out}, {len(done.skipped)} there already, {len(done.failed)} failed"
    show(text, facts, json)
    for _, why in done.failed:
        say(f"atrous: {why}")
    if done.failed:
        raise typer.Exit(2)
