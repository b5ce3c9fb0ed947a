"""`atrous predict`: label files with a trained network, or samples of a live signal as they come."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from atrous.data.formats.table import is_url, local_path
from atrous.data.genomes.fasta import fasta_stem
from atrous.data.genomes.writers import OUTPUT_SUFFIXES
from atrous.errors import UserError
from atrous.prediction.cluster import predict_on_cluster
from atrous.prediction.confidence import mean_of, sets_of
from atrous.prediction.ensemble import load_ensemble
from atrous.prediction.first_frame import FirstFrameLabeler
from atrous.prediction.jobs import OUTPUTS, PredictionJob, Written, exists, find_jobs, run_jobs
from atrous.prediction.live import live_labels
from atrous.prediction.object_exports import merge_coco, parse_kinds
from atrous.prediction.output import Companions
from atrous.prediction.predictor import LoadOptions, Predictor, load
from atrous.prediction.remote import Computing, predict_remote
from atrous.prediction.shares import compute_share, join_shares, require_labels
from atrous.prediction.variants import VariantScorer, write_effects
from atrous.prediction.worker import Worker
from atrous.prediction.zones import FollowOptions
from atrous.recipe.run import Run
from atrous.stream.dispatch import connected
from atrous.stream.process import kept_memory
from atrous.tasks.custom import with_codes
from atrous.tasks.task import FoundTask
from atrous.tasks.values import ValueTask
from atrous.verbs.predict_options import DEFAULTS, PredictOptions, checked_run, checked_share, other_outputs


@kept_memory()
def predict(
    run: Run | Path | str,
    inputs: Sequence[str | Path],
    out: Path | str,
    options: PredictOptions = DEFAULTS,
    *,
    begin: Callable[[int], None] = lambda count: None,
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Label files, folders and globs, of any size, with a trained network.

    Outputs that exist are left as they are, and an input that fails does not stop the others.

    Args:
        run: folder of the run, or the name of a model.
        inputs: files, folders (searched with all their subfolders) and globs; or URLs of zarr and TIFF
            (docs/scale.md).
        out: folder of the outputs; for genomes also a file that ends in `.gff3`, `.bed`, `.tsv` or `.bw`; or a URL.
        options: what to write, and how to compute it.
        begin: called with the number of inputs, before the first one is predicted.
        progress: called with the number of finished inputs, parts of one included.
        tell: called with the plan of each size that is streamed, and with what of folders is left out.

    Returns:
        What was written, what existed already, and what failed and why.

    Raises:
        UserError: an option does not fit the data, there is no such run, or nothing is found to predict.
    """
    share = checked_share(options)
    run = checked_run(run, options, live=False)
    if is_url(out) or any(map(is_url, inputs)):
        by = Computing(share=share, join=options.join)
        return _remote(run, [str(entry) for entry in inputs], str(out), (options, by), begin, progress, tell)
    out, inputs = Path(local_path(str(out))), [local_path(str(entry)) for entry in inputs]
    if options.variants is not None:
        predictor = load_predictor(run, options)
        begin(1)
        return _variants(predictor, inputs, Path(options.variants), out, tell)
    predictor = _outline(run)  # the network is loaded when something is missing
    companions, shared = _companions(predictor, options), share is not None or options.join
    if shared:
        require_labels(predictor)
    jobs: list[PredictionJob] = find_jobs(predictor, inputs, out, companions, tell)
    if options.first_frame is not None and len(jobs) != 1:
        raise UserError(f"--first-frame: {len(jobs)} videos, but a mask is that of one: give this one alone")
    if shared or not all(exists(output) for job in jobs for output in job.outputs):
        predictor = load_predictor(run, options)
        outputs = OUTPUTS[predictor.kind]
        jobs = [PredictionJob(job.source, tuple(outputs(predictor, job.source, out, companions))) for job in jobs]
    begin(len(jobs))
    folder = out.parent if predictor.kind == "genomes" and out.suffix.lower() in OUTPUT_SUFFIXES else out
    if share is not None:
        return compute_share(predictor, jobs, share, folder, progress, tell)
    if options.join:
        return join_shares(predictor, jobs, folder, progress)
    written = _run(predictor, jobs, options, folder, progress, tell)
    if "coco" in companions.objects:
        exported = [(job.source, job.outputs) for job in jobs]
        merge_coco(exported, out, predictor.classes, predictor.expected.spacing)
    if not options.uncertainty:
        return written
    found = [(job.source.path, mean) for job in jobs for output in job.outputs if (mean := mean_of(output)) is not None]
    return replace(written, uncertainty=tuple(sorted(found, key=lambda pair: -pair[1])))


def _companions(predictor: Predictor, options: PredictOptions) -> Companions:
    """What is written beside the labels.

    Raises:
        UserError: the run is not calibrated for the coverage that is asked for.
    """
    wanted = options.tracks or options.zone is not None
    tracks = FollowOptions(options.least_area, options.tracks, options.zone) if wanted else None
    exported = parse_kinds(options.objects) if options.objects else ()
    if options.coverage is not None:
        sets_of(predictor, options.coverage)  # what is wrong with it is told before any file is read
    return Companions(
        options.overlay, options.probabilities, options.polygons, options.dicom_seg, exported, options.uncertainty,
        options.coverage, options.thin, tracks,
    )  # fmt: skip


def _run(
    predictor: Predictor,
    jobs: Sequence[PredictionJob],
    options: PredictOptions,
    folder: Path,
    progress: Callable[[float], None],
    tell: Callable[[str], None],
) -> Written:
    """Predict here, or on the cluster that `--dask` names."""
    if options.dask is not None:
        with connected(options.dask, options.device, tell) as cluster:
            return predict_on_cluster(predictor, jobs, cluster, folder, progress, tell)
    worker: Worker = predictor
    if options.first_frame is not None:
        worker = FirstFrameLabeler(predictor, options.first_frame, options.first_frame_seconds, tell)
    return run_jobs(worker, jobs, folder, progress, tell)


def _remote(
    run: Run,
    entries: list[str],
    out: str,
    how: tuple[PredictOptions, Computing],
    begin: Callable[[int], None],
    progress: Callable[[float], None],
    tell: Callable[[str], None],
) -> Written:
    """Label inputs at URLs, or into a URL: labels alone, as zarr.

    Raises:
        UserError: something else is wanted.
    """
    options, by = how
    if other := other_outputs(options, ""):
        raise UserError(f"{other}: of URLs, labels alone are written: leave it out")
    task = run.task()
    if run.recipe.data.kind != "grids" or isinstance(task, FoundTask | ValueTask):
        raise UserError(f"{run.folder}: URLs are for labels of images, volumes and signals: copy the inputs here")
    predictor = load_predictor(run, options)
    begin(len(entries))
    if options.dask is None:
        return predict_remote(predictor, entries, out, by, progress, tell)
    with connected(options.dask, options.device, tell) as cluster:
        return predict_remote(predictor, entries, out, Computing(cluster), progress, tell)


def _variants(
    predictor: Predictor, inputs: Sequence[str | Path], vcf: Path, out: Path, tell: Callable[[str], None]
) -> Written:
    """Write what the variants of a VCF file change, on the sequences of one FASTA file."""
    jobs = find_jobs(predictor, inputs, out.parent)
    if len(jobs) != 1:
        raise UserError(f"--variants: {len(jobs)} FASTA files: give the one whose sequences the variants are on")
    target = out if out.suffix.lower() == ".tsv" else out / f"{fasta_stem(jobs[0].source.path)}.variants.tsv"
    if target.exists():
        return Written((), (target,), ())
    scorer = VariantScorer(predictor, jobs[0].source.path, vcf)
    count = write_effects(scorer, vcf, target)
    tell(f"{vcf}: {count:,} alternatives")
    return Written((target,), (), ())


def predict_live(
    run: Run | Path | str,
    options: PredictOptions = DEFAULTS,
    *,
    tell: Callable[[str], None] = lambda text: None,
    stdin: Any = None,
    stdout: Any = None,
) -> None:
    """Label the samples on standard input, and write each label to standard output as soon as it is final.

    Ends when the input ends, or when nobody reads the output any more.

    Args:
        run: folder of the run.
        options: of them, only `probabilities` ("csv"), `memory`, `engine`, `device`, `float32` and `ensemble` apply.
        tell: called with the latency.
        stdin: bytes with `read1`; those of the process if None.
        stdout: text; that of the process if None.

    Raises:
        UserError: an option does not apply, the network cannot label a live signal, or a line is not a sample.
    """
    predictor = load_predictor(checked_run(run, options, live=True), options)
    source, target = stdin or sys.stdin.buffer, stdout or sys.stdout

    def write(text: str) -> None:
        target.write(text)
        target.flush()

    try:
        live_labels(predictor, source, write, probabilities=options.probabilities is not None, tell=tell)
    except BrokenPipeError:
        # The reader has gone. What Python flushes at exit must not raise again, so it is sent to the null device.
        os.dup2(os.open(os.devnull, os.O_WRONLY), target.fileno())


def _outline(run: Run) -> Predictor:
    """What says which files are written: a predictor without its network, which takes seconds to load."""
    return Predictor(run, nn.Identity(), run.task())


def load_predictor(run: Run, options: PredictOptions) -> Predictor:
    """Load the network of a run, or of several, as the options say."""
    device = "cpu" if options.dask else options.device  # that of the workers; this machine computes small inputs
    loading: LoadOptions = {"device": device, "memory": options.memory, "engine": options.engine}
    if options.float32:
        loading["dtype"] = torch.float32
    flip, code = options.tta == "flip", options.genetic_code
    if options.ensemble:
        predictor = load_ensemble([run, *options.ensemble], flip=flip, **loading)
    else:
        predictor = load(run, flip=flip, **loading)
    return predictor if code is None else replace(predictor, task=with_codes(predictor.task, [code]))
