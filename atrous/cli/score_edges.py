"""`atrous score-edges RESULTS GROUND_TRUTH`: how good edge maps are."""

from pathlib import Path
from typing import Annotated

import typer

NAME = "score-edges"


def command(
    results: Annotated[Path, typer.Argument(help="Folder of edge maps: PNG, TIFF or .npy, one for each image.")],
    ground_truth: Annotated[
        Path, typer.Argument(help="Folder of .mat files (BSDS500), of images, or of a folder of images for each image.")
    ],
    thresholds: Annotated[int, typer.Option(help="Number of thresholds, evenly spread between 0 and 1.")] = 99,
    max_distance: Annotated[
        float, typer.Option(help="Largest distance of matched pixels, as a share of the image's diagonal.")
    ] = 0.0075,
    nms: Annotated[
        bool, typer.Option("--nms", help="Suppress strengths beside their maxima first: for raw maps of a network.")
    ] = False,
    no_thin: Annotated[bool, typer.Option("--no-thin", help="Do not thin the edges at each threshold.")] = False,
    segmentation: Annotated[
        bool, typer.Option("--segmentation", help="The ground truth are label images: take their boundaries.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes. Default: as many as there are processors.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write a .csv file with a row for each image.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Measure edge maps of any detector as the benchmark of BSDS500 does: ODS, OIS and AP.

    Edge maps and ground truths belong together by name. Strengths are compared with thresholds, thinned, and matched
    one to one with the edges of each annotator.

    Example: atrous score-edges edges BSDS500/data/groundTruth/test --out images.csv
    """
    from atrous.cli.output import progress_bar, say, show
    from atrous.machine import cores
    from atrous.verbs.score_edges import EdgeOptions, score_edges

    options = EdgeOptions(thresholds, max_distance, not no_thin, nms, segmentation)
    with progress_bar("comparing", 1.0) as (bar, task):
        result = score_edges(
            results, ground_truth, options, workers=cores() if workers is None else workers, out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if result.note:
        say(result.note)
    show(result.scores.text(), result.scores.to_dict(), json)
