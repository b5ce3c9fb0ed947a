"""The sequences of FASTA files as inputs of a network, with the signals that lie on them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from atrous.data.formats import FileFault
from atrous.data.genomes.fasta import fasta_stem, open_sequence, sequence_lengths
from atrous.data.genomes.tracks import TRACK_SUFFIXES, Tracks
from atrous.data.source import Source, Stacked
from atrous.errors import UserError
from atrous.prediction.inputs import Opened


def open_sequences(path: Path, tracks: Sequence[str] = ()) -> Iterator[Opened]:
    """Open the sequences of a FASTA file one after the other, each `(4 + number of tracks, L)`.

    Args:
        path: the FASTA file `X.fa`.
        tracks: names of the signals that the network reads beside the bases, from bigWig files `X.NAME.bw`.

    Raises:
        UserError: a file is missing, cannot be read or does not fit the sequences.
    """
    lengths, files = sequence_lengths(path), [_track_file(path, track) for track in tracks]
    total = sum(lengths.values())
    yield from (_opened(path, name, lengths, total, files) for name in lengths)


def open_named_sequence(path: Path, name: str, tracks: Sequence[str] = ()) -> Opened:
    """Open one sequence of a FASTA file; see `open_sequences`.

    Raises:
        UserError: the file has no such sequence, or a file is missing, cannot be read or does not fit.
    """
    lengths = sequence_lengths(path)
    return _opened(path, name, lengths, sum(lengths.values()), [_track_file(path, track) for track in tracks])


def open_only_sequence(path: Path, tracks: Sequence[str] = ()) -> Opened:
    """Open the sequence of a FASTA file that holds one; see `open_sequences`.

    Raises:
        UserError: the file holds several sequences, or cannot be read.
    """
    names = list(sequence_lengths(path))
    if len(names) > 1:
        raise UserError(
            f"{path}: holds {len(names)} sequences, and one is predicted at a time: give a file of one, or its values "
            f'`atrous.data.genomes.fasta.open_sequence("{path.name}", "{names[0]}")`; or write files: atrous predict'
        )
    return next(open_sequences(path, tracks))


def _opened(path: Path, name: str, lengths: Mapping[str, int], total: int, track_files: Sequence[Path]) -> Opened:
    source: Source = open_sequence(path, name)
    if track_files:
        source = Stacked([source, Tracks(track_files, name, lengths[name], lengths)])
    return Opened(source, (lengths[name],), name=name, share=lengths[name] / max(1, total))


def _track_file(path: Path, track: str) -> Path:
    candidates = [path.with_name(f"{fasta_stem(path)}.{track}{suffix}") for suffix in TRACK_SUFFIXES]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    raise FileFault(
        path, f"the network also reads {track}, but {candidates[0].name} is missing", "put it into the same folder"
    )
