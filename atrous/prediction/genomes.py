"""From FASTA to GFF3, BED and bigWig: every sequence a stream, in bounded memory."""

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from atrous.data.formats import FileFault
from atrous.data.genomes.fasta import fasta_stem, is_fasta, open_sequence, sequence_lengths
from atrous.data.genomes.phase import phased
from atrous.data.genomes.runs import Stretches
from atrous.data.genomes.tracks import Tracks
from atrous.data.genomes.writers import OUTPUT_SUFFIXES, SIGNAL_SUFFIXES, Writer, open_writer
from atrous.data.source import Stacked
from atrous.errors import UserError
from atrous.prediction.jobs import Written
from atrous.prediction.predictor import Predictor
from atrous.stream.pace import pace


@dataclass(frozen=True)
class GenomeJob:
    """One FASTA file and what is written of it: each target's suffix says the format."""

    source: Path
    targets: tuple[Path, ...]

    @property
    def missing(self) -> tuple[Path, ...]:
        """Targets that are not there (of bigWig, there is one file per channel); the others stay as they are."""
        return tuple(
            target
            for target in self.targets
            if not (
                any(target.parent.glob(f"{glob.escape(target.stem)}.*{target.suffix}"))
                if target.suffix in SIGNAL_SUFFIXES
                else target.exists()
            )
        )


def find_genome_jobs(inputs: Sequence[str | Path], out: Path, *, signals: bool = False) -> list[GenomeJob]:
    """FASTA files among files, folders and globs, and where their features go.

    Args:
        inputs: what the user named.
        out: a file whose suffix says the format (`.gff3`, `.bed`, `.bw`), for one input; else a folder for `X.gff3`.
        signals: also write the probabilities as bigWig.

    Raises:
        UserError: nothing is found, several inputs for one file, or two would write the same.
    """
    files: list[Path] = []
    for entry in inputs:
        files += [path for path in _expand(str(entry)) if path not in files]
    if out.suffix.lower() in OUTPUT_SUFFIXES:
        if len(files) > 1:
            raise UserError(f"{out}: one file for {len(files)} inputs: give a folder")
        targets = [out] + ([out.with_suffix(".bw")] if signals and out.suffix.lower() not in SIGNAL_SUFFIXES else [])
        return [GenomeJob(files[0], tuple(targets))]
    jobs: dict[str, GenomeJob] = {}
    for path in files:
        stem = fasta_stem(path)
        if stem in jobs:
            raise UserError(
                f"{path} and {jobs[stem].source} would both be written to {out / stem}.gff3: predict them apart"
            )
        jobs[stem] = GenomeJob(path, (out / f"{stem}.gff3", *([out / f"{stem}.bw"] if signals else [])))
    return list(jobs.values())


def _expand(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        found = [p for p in sorted(path.rglob("*")) if is_fasta(p) and not p.name.startswith(".")]
    elif path.exists():
        found = [path]
    else:
        found = [Path(match) for match in sorted(glob.glob(given, recursive=True))]
    if not found:
        raise UserError(f"{given}: no FASTA file (.fa, .fasta, .fna, also .gz)")
    return found


def annotate_files(
    predictor: Predictor,
    jobs: Sequence[GenomeJob],
    progress: Callable[[float], None] = lambda done: None,
    tell: Callable[[str], None] = lambda text: None,
) -> Written:
    """Find features on all sequences of FASTA files.

    A file that fails does not stop the others: it is named in the result. Outputs that exist stay as they are.

    Args:
        predictor: a network whose task is `stranded`.
        jobs: inputs and targets.
        progress: told how many jobs are done, parts of one included.
        tell: given the plan of each large sequence before its work begins.
    """
    written, skipped, failed = [], [], []
    for index, job in enumerate(jobs):
        if not job.missing:
            skipped += job.targets
        else:
            try:
                written += _annotate(predictor, job, lambda share, at=index: progress(at + share), tell)
            except UserError as error:
                failed.append((job.source, str(error)))
        progress(index + 1)
    return Written(tuple(written), tuple(skipped), tuple(failed))


def _annotate(
    predictor: Predictor, job: GenomeJob, progress: Callable[[float], None], tell: Callable[[str], None]
) -> list[Path]:
    lengths = sequence_lengths(job.source)
    for target in job.targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    writers: list[Writer] = []
    try:
        writers += [open_writer(target, lengths, predictor.classes) for target in job.missing]
        done, total = 0, max(1, sum(lengths.values()))
        for name, length in lengths.items():
            source = open_input_sequence(predictor, job.source, name)
            plan = predictor.plan(tuple(source.shape))
            if plan is not None:
                seconds = plan.macs / pace(predictor.dtype, torch.get_num_threads())
                tell(f"{name}: {plan.text()}\n  about {seconds:.0f} seconds in {str(predictor.dtype)[6:]}")
            task = predictor.run.recipe.task
            sink = Stretches(len(predictor.classes), length, task.threshold, writers, task.shortest)
            predictor.write_probabilities(
                source, sink, lambda share, at=done, n=length: progress((at + share * n) / total)
            )
            found = phased(sink.finish(), predictor.classes, source)
            for writer in writers:
                writer.sequence(name, found)
            done += length
    except BaseException:
        for writer in writers:
            writer.abandon()
        raise
    return [path for writer in writers for path in writer.finish()]


def open_input_sequence(predictor: Predictor, path: Path, name: str) -> Any:
    """A sequence as the network expects it, `(C, L)`: with the signals `X.NAME.bw` that it was trained with.

    Raises:
        UserError: a file is missing, cannot be read or does not fit.
    """
    sequence = open_sequence(path, name)
    tracks = predictor.run.recipe.input.tracks
    if not tracks:
        return sequence
    files = []
    for track in tracks:
        found = [path.with_name(f"{fasta_stem(path)}.{track}{suffix}") for suffix in SIGNAL_SUFFIXES]
        there = [file for file in found if file.exists()]
        if not there:
            raise FileFault(path, f"the network also reads {track}, but {found[0].name} is not there", "put it beside")
        files.append(there[0])
    return Stacked([sequence, Tracks(files, name, sequence.shape[1])])
