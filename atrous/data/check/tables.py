"""What the columns of tables were taken for, in one line."""

import csv
from collections.abc import Sequence
from pathlib import Path

from atrous.data.dataset import Dataset
from atrous.data.formats import suffix_of
from atrous.data.formats.base import FileFault
from atrous.data.formats.column_roles import columns
from atrous.data.formats.columns import CsvFormat
from atrous.data.problems import relative
from atrous.data.sample import Sample


def columns_text(dataset: Dataset) -> str:
    """Return the role of every column of a data set's tables, and the files that differ; "" where there are none.

    The roles are those of most tables. Tables that cannot be read are left to the check of their samples.
    """
    files: dict[str, list[Path]] = {}
    for sample in dataset.samples:
        if (path := _table(sample)) is None:
            continue
        try:
            files.setdefault(columns(path, dataset.columns).text(), []).append(path)
        except (FileFault, OSError, ValueError, csv.Error):
            continue  # said of this file when it is read as a sample
    return _said(sorted(files.items(), key=lambda item: -len(item[1])), dataset.root)


def _table(sample: Sample) -> Path | None:
    path = sample.image.path
    return path if suffix_of(path) in CsvFormat.suffixes and path.is_file() else None


def _said(found: Sequence[tuple[str, list[Path]]], root: Path) -> str:
    if not found:
        return ""
    (usual, _), *others = found
    parts = [usual]
    for roles, paths in others[:1]:
        more = sum(len(files) for _, files in others) - 1
        parts.append(f" ({relative(paths[0], root)}{f' and {more} more' if more else ''} otherwise: {roles})")
    return "".join(parts)
