"""`atrous predict RUN INPUT... -o OUT`: labels as files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from atrous.prediction.jobs import Written
    from atrous.verbs.predict_options import PredictOptions

NAME = "predict"
BESIDE, SURE, WHERE, SEVERAL = "Also write", "Better answers", "Engine and device", "Many machines"
GENOMES, VIDEOS, LIVE = "Genomes", "Videos", "Live video"
REVIEWED = 5
"""So many of the most uncertain inputs are named."""


def command(
    run: Annotated[Path, typer.Argument(help="Folder of the run, or name of a model.")],
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, globs or URLs; `-` for a live signal.")],
    out: Annotated[str | None, typer.Option("-o", "--out", help="Output folder, or its URL.")] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw the labels in color over the image.")] = False,
    probabilities: Annotated[
        str | None,
        typer.Option(
            help="Also write probabilities: zarr or tiff; bigwig for genomes, csv for a live signal.",
            rich_help_panel=BESIDE,
        ),
    ] = None,
    polygons: Annotated[
        str | None,
        typer.Option(help="Also write the labels of maps as polygons: gpkg or geojson.", rich_help_panel=BESIDE),
    ] = None,
    tta: Annotated[str, typer.Option(help="Test-time augmentation: none or flip.", rich_help_panel=SURE)] = "none",
    memory: Annotated[str | None, typer.Option(help="Memory that a streamed input may take: 1GB.")] = None,
    engine: Annotated[
        str, typer.Option(help="torch, openvino, inductor or onnxruntime.", rich_help_panel=WHERE)
    ] = "torch",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.", rich_help_panel=WHERE)] = "cpu",
    float32: Annotated[
        bool, typer.Option("--float32", help="Compute in float32, however it was trained.", rich_help_panel=WHERE)
    ] = False,
    dicom_seg: Annotated[
        bool,
        typer.Option(
            "--dicom-seg",
            help="Also write a DICOM segmentation that refers to each DICOM series.",
            rich_help_panel=BESIDE,
        ),
    ] = False,
    objects: Annotated[
        str | None,
        typer.Option(
            help="Also write what was found for other programs: coco, geojson, imagej, dota, parquet, or several: a,b.",
            rich_help_panel=BESIDE,
        ),
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option(
            "--uncertainty", help="Also write how uncertain the network is, and a picture of it.", rich_help_panel=SURE
        ),
    ] = False,
    coverage: Annotated[
        float | None,
        typer.Option(
            help="Also write sizes of sets of classes that hold the true one in this share, such as 0.9.",
            rich_help_panel=SURE,
        ),
    ] = None,
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            help="A further run with the same classes; their mean probability decides. Repeatable.",
            rich_help_panel=SURE,
        ),
    ] = None,
    genetic_code: Annotated[
        int | None,
        typer.Option(
            help="NCBI's code by which the genes of genomes are read: 11, 4; default: those of the run.",
            rich_help_panel=GENOMES,
        ),
    ] = None,
    variants: Annotated[
        Path | None,
        typer.Option(
            help="Of a genome, a VCF file: write what its variants change, as a table.", rich_help_panel=GENOMES
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            help="Compute one job's share of the labels: 3/64 is the third of 64 jobs.", rich_help_panel=SEVERAL
        ),
    ] = None,
    join: Annotated[
        bool, typer.Option("--join", help="Write the labels from the shares of all jobs.", rich_help_panel=SEVERAL)
    ] = False,
    thin: Annotated[
        bool, typer.Option("--thin", help="Also write edges as lines one pixel wide (PNG).", rich_help_panel=BESIDE)
    ] = False,
    tracks: Annotated[
        bool,
        typer.Option(
            "--tracks",
            help="Also write a table of what moves in a video, with numbers that stay.",
            rich_help_panel=VIDEOS,
        ),
    ] = False,
    zone: Annotated[
        Path | None,
        typer.Option(
            help="Also write what enters and leaves these polygons (GeoJSON) each minute.", rich_help_panel=VIDEOS
        ),
    ] = None,
    least_area: Annotated[
        int, typer.Option(help="Pixels of the smallest thing that is followed.", rich_help_panel=VIDEOS)
    ] = 25,
    first_frame: Annotated[
        Path | None,
        typer.Option(
            help="Of one video, the mask of its first frame, which the network learns before it goes on.",
            rich_help_panel=VIDEOS,
        ),
    ] = None,
    first_frame_seconds: Annotated[
        float, typer.Option(help="How long the first frame is learned.", rich_help_panel=VIDEOS)
    ] = 30.0,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Label frames as they come, of a video file, a folder that grows, `-`, rtsp:// or http://.",
            rich_help_panel=LIVE,
        ),
    ] = False,
    masks: Annotated[
        bool, typer.Option("--masks", help="Also write the labels of each live frame (PNG).", rich_help_panel=LIVE)
    ] = False,
    idle: Annotated[
        float,
        typer.Option(help="Seconds without a new frame after which a folder or an address ends.", rich_help_panel=LIVE),
    ] = 30.0,
    frame_rate: Annotated[
        float | None,
        typer.Option(help="Frames per second of a folder, or of a stream without times.", rich_help_panel=LIVE),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            help="Compute on a Dask cluster: its scheduler's address, or local:4 for 4 processes.",
            rich_help_panel=SEVERAL,
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Label every pixel (voxel, sample, base) of inputs of any size.

    Large inputs are streamed: the labels are those of the whole image, computed in bounded memory. The plan is printed
    first. An interrupted run resumes when it is started again: TIFF, zarr and .npy after the last strip, a video after
    the last frame, a genome after the last sequence. Labels are class numbers, written
    in the format of the input if it can hold them, else as PNG. Outputs that exist are skipped. An input that cannot be
    read is reported at the end, does not stop the others, and makes the exit code 2. An unexpected error makes it 1;
    its traceback is appended to atrous-errors.log in the output folder.

    An input of change detection is two images: a folder with the folders A and B, or BEFORE+AFTER, two files.

    A video (a file or a folder of frames) gives a folder with the labels of each frame, and as overlay an mp4. Given
    the mask of its first frame, the network learns that object for a while, and follows it.

    For genomes (FASTA) genes and other features are written: as GFF3 into a folder, or to a file that ends in .gff3,
    .bed, .tsv or .bw. The signals of a regression are written as bigWig.

    With `-`, samples are read from standard input, one per line, and labels are written to standard output as soon as
    they are final (docs/signals.md). A run of motion or of videos reads a video there. With --live it labels the frames
    of a video as they come, and writes what moves, row by row (docs/motion.md); Ctrl-C ends it.

    Many machines label one input together: each runs with --part 1/64, 2/64 and so on, then one with --join; or the
    workers of a Dask cluster do, with --dask (docs/scale.md).

    Example: atrous predict runs/cells 'scans/*.tif' -o labels --overlay

    Example: atrous predict runs/cells 'scans/*.tif' -o labels --ensemble runs/cells-2 --uncertainty

    Example: atrous predict runs/davis clip.mp4 -o labels --first-frame mask.png

    Example: recorder | atrous predict runs/ecg -

    Example: atrous predict runs/shop rtsp://camera/stream --live -o out --zone doors.geojson

    Example: atrous predict nuclei 'images/*.tif' -o out
    """
    from atrous.cli.output import progress_bar, quiet_libraries
    from atrous.errors import UserError
    from atrous.verbs.predict import predict
    from atrous.verbs.predict_options import PredictOptions

    quiet_libraries()
    options = PredictOptions(
        overlay, probabilities, tta, memory, engine, device, polygons, dicom_seg, objects, uncertainty, coverage,
        tuple(ensemble or ()), genetic_code, variants, part, join, thin, tracks, zone, least_area,
        first_frame, first_frame_seconds, dask, live, masks, idle, frame_rate, float32,
    )  # fmt: skip
    if live or inputs == ["-"]:
        _live(run, inputs, out, options, json)
        return
    if out is None:
        raise UserError("-o FOLDER is missing: say where the labels go")
    with progress_bar("predicting", 1) as (bar, task):
        result = predict(
            run,
            inputs,
            out,
            options,
            begin=lambda count: bar.update(task, total=count),
            progress=lambda done: bar.update(task, completed=done),
            tell=bar.console.print,
        )
    _show(result, out, json)


def _live(run: Path, inputs: list[str], out: str | None, options: "PredictOptions", json: bool) -> None:
    """Label samples or frames as they come; the kind of the run says which."""
    from dataclasses import replace

    from atrous.cli.output import say, show
    from atrous.cli.stopping import stopping
    from atrous.errors import UserError
    from atrous.prediction.live_video import VIDEO_KINDS
    from atrous.recipe.run import open_run
    from atrous.verbs.live_video import predict_frames
    from atrous.verbs.predict import predict_live

    opened = open_run(run)
    if opened.recipe.data.kind not in VIDEO_KINDS and inputs == ["-"]:
        if out is not None or options.overlay or json or options.part or options.join or options.dask:
            left_out = "leave -o, --overlay, --json, --part, --join and --dask out"
            raise UserError(f"labels of `-` go to standard output, one per line: {left_out}")
        predict_live(opened, replace(options, live=False), tell=say)
        return
    if len(inputs) != 1:
        raise UserError(f"--live: {len(inputs)} inputs, but one is labelled as it comes: give one")
    if out is None and json:
        raise UserError("rows go to standard output: give -o, or leave --json out")
    with stopping() as stop:
        facts = predict_frames(opened, inputs[0], out, options, stop=stop, tell=say)
    if out is not None:
        show(f"{len(facts['written'])} written to {out}", facts, json)


def _show(result: "Written", out: str, json: bool) -> None:
    """Print what was written, skipped and failed; exit with 1 after an unexpected error, 2 if an input failed."""
    from atrous.cli.output import say, show

    facts = {
        "written": [str(path) for path in result.written],
        "skipped": [str(path) for path in result.skipped],
        "failed": {str(path): reason for path, reason in result.failed},
        "differences": [[str(path), difference] for path, difference in result.differences],
        **({"uncertainty": [[str(path), mean] for path, mean in result.uncertainty]} if result.uncertainty else {}),
    }
    if result.uncertainty:
        first = ", ".join(f"{path} ({mean:.3f})" for path, mean in result.uncertainty[:REVIEWED])
        say(f"review these first (mean uncertainty): {first}")
    show(
        f"{len(result.written)} written to {out}, {len(result.skipped)} existed already, {len(result.failed)} failed",
        facts,
        json,
    )
    for _, reason in result.failed:
        say(f"atrous: {reason}")
    if result.failed:
        raise typer.Exit(1 if result.log is not None else 2)
