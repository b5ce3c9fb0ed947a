"""Recordings and the tables of labels that lie beside them under the same name."""

from collections.abc import Sequence
from pathlib import Path

from atrous.data.formats import ANNOTATED_SUFFIXES, stem, suffix_of


def label_partners(paths: Sequence[Path]) -> dict[Path, Path]:
    """Recording to table, for EDF files and WFDB records with a CSV, TSV or NPZ file of the same stem and folder.

    Such a table is no recording of its own.

    >>> label_partners([Path("a.csv"), Path("a.edf"), Path("b.csv")])
    {PosixPath('a.edf'): PosixPath('a.csv')}
    """
    recordings = {(path.parent, stem(path)): path for path in paths if suffix_of(path) in ANNOTATED_SUFFIXES}
    tables = [path for path in paths if suffix_of(path) not in ANNOTATED_SUFFIXES]
    return {recordings[key]: path for path in tables if (key := (path.parent, stem(path))) in recordings}
