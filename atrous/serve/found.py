"""The files that are opened: only these are reachable, each by a number, and no link leads out of an opened folder."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from atrous.data.formats import (
    SIGNAL_SUFFIXES,
    SUFFIXES,
    VIDEO_SUFFIXES,
    is_series,
    require_no_conversion,
    stem,
    suffix_of,
)
from atrous.data.formats.table import find_format
from atrous.data.formats.writing import files_identity
from atrous.data.genomes.fasta import FASTA_SUFFIXES, fasta_stem, is_fasta
from atrous.data.inside import is_hidden, require_inside
from atrous.errors import UserError
from atrous.prediction.inputs import Input, find_inputs
from atrous.prediction.predictor import Predictor

MOST = 100_000
"""Files that are opened at most."""
TABLE_SUFFIXES = (".csv", ".tsv", ".npz")
"""Recordings, but beside images they are lists and measurements."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ServedFile:
    """One image, recording or genome, in one file or with its channels in several.

    Attributes:
        name: what the page calls it: its path below the opened folder.
        item: its files.
        root: the opened folder that it was found in; None for a file that was given itself.
    """

    name: str
    item: Input
    root: Path | None

    def label_name(self, suffix: str) -> str:
        """Return the name under which the labels are saved.

        >>> ServedFile("a/b.nii.gz", Input((Path("a/b.nii.gz"),), Path("b.nii.gz")), None).label_name(".tif")
        'b_labels.tif'
        """
        path = self.item.path
        return f"{fasta_stem(path) if is_fasta(path) else stem(path)}_labels{suffix}"

    @property
    def identity(self) -> str:
        """Letters and digits that change when a file does."""
        return self.identity_with(())

    def identity_with(self, more: Sequence[Path]) -> str:
        """Return letters and digits that change when a file does, or one of some more files."""
        paths = [*self.item.files, *more]
        names = "\n".join(str(path.resolve()) for path in paths)
        return sha256(f"{names}\n{files_identity(paths)}".encode(errors="surrogateescape")).hexdigest()

    def require_inside(self) -> None:
        """Raise `UserError` if a file is, by now, a link that leads out of the opened folder."""
        for path in self.item.files:
            if self.root is not None:
                require_inside(self.root, path)


def find_files(given: Sequence[str | Path], predictor: Predictor | None, tell: Tell) -> list[ServedFile]:
    """Find the images, volumes, videos, recordings and genomes that are named, in order, each once.

    With a network, they are those that `atrous predict` would label. Links that lead out of a folder are left out, and
    so are tables in folders that hold other files to show.

    Args:
        given: paths and patterns.
        predictor: the network, if there is one.
        tell: called with a line about what is left out.

    Raises:
        UserError: nothing is found, or a file has a format that is not read.
    """
    folders = [Path(entry) for entry in given if Path(entry).is_dir()]
    found = _images(given) if predictor is None else _inputs(given, predictor, tell)
    files: dict[tuple[Path, ...], ServedFile] = {}
    for item in found:
        root = next((folder for folder in folders if folder in item.path.parents), None)
        named = item.path.relative_to(root).as_posix() if root is not None else item.path.name
        name = f"{root.resolve().name}/{named}" if root is not None and len(folders) > 1 else named
        file = ServedFile(name, item, root)
        try:
            file.require_inside()
        except UserError as error:
            tell(f"{error}: it is left out")
            continue
        files.setdefault(tuple(path.resolve() for path in item.files), file)
        if len(files) > MOST:
            raise UserError(f"{item.path.parent}: more than {MOST:,} files: give fewer, or folders below it")
    if not files:
        looked_for = " ".join((*SUFFIXES, *SIGNAL_SUFFIXES, *FASTA_SUFFIXES))
        raise UserError(f"{', '.join(map(str, given))}: nothing to show in it (looked for {looked_for})")
    return list(files.values())


def _inputs(given: Sequence[str | Path], predictor: Predictor, tell: Tell) -> list[Input]:
    model = predictor.run.recipe.model
    return find_inputs(given, ndim=model.ndim, channels=model.in_channels, kind=predictor.kind, tell=tell)


def _images(given: Sequence[str | Path]) -> Iterator[Input]:
    """Without a network: every file that is read, in the order of its name."""
    for entry in map(str, given):
        path = Path(entry)
        if path.is_dir() and suffix_of(path) != ".zarr" and not is_series(path):
            below = list(_below(path))
            tables = {file for file in below if suffix_of(file) in TABLE_SUFFIXES}
            yield from (_one(file) for file in below if file not in tables or len(tables) == len(below))
        elif path.exists():
            require_no_conversion([path])
            if find_format(path) is None and not is_fasta(path):
                known = " ".join((*SUFFIXES, *VIDEO_SUFFIXES, *SIGNAL_SUFFIXES, *FASTA_SUFFIXES))
                raise UserError(f"{path}: not a format that is read: use {known}")
            yield _one(path)
        else:
            matches = [Path(match) for match in sorted(glob.glob(entry, recursive=True))]
            if not matches:
                raise UserError(f"{entry}: no such file, folder or matching glob")
            yield from (_one(match) for match in matches if find_format(match) is not None or is_fasta(match))


def _one(path: Path) -> Input:
    return Input((path,), Path(path.name))


def _below(folder: Path) -> Iterator[Path]:
    """Everything below a folder that is shown; folders that are images themselves are not entered."""
    suffixes = (*SUFFIXES, *VIDEO_SUFFIXES, *SIGNAL_SUFFIXES)
    for here, folders, names in os.walk(folder):
        shown = [name for name in names if not is_hidden(name) and (suffix_of(name) in suffixes or is_fasta(name))]
        images = {name for name in folders if suffix_of(name) == ".zarr" or is_series(Path(here, name))}
        folders[:] = sorted(name for name in folders if not is_hidden(name) and name not in images)
        yield from (Path(here, name) for name in sorted({*shown, *images}) if not is_hidden(name))
