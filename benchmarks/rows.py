"""The rows of a table, printed as they are measured and kept in a file, so that a killed run goes on where it was."""

import argparse
import json
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The options that tables of rows share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="file of the rows measured so far; read and added to")
    return parser


def measure(
    names: Iterable[str],
    row: Callable[[str], dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
    *,
    given: argparse.Namespace,
    libraries: tuple[str, ...],
) -> None:
    """Print `line(row(name))` for every name, and all rows as one JSON line with the versions of the libraries."""
    torch.set_num_threads(given.threads)
    warnings.simplefilter("ignore")
    kept: Path | None = given.keep
    rows = {}
    if kept is not None and kept.exists():
        rows = {found["name"]: found for found in map(json.loads, kept.read_text().splitlines())}
    for name in names:
        if name not in rows:
            rows[name] = {"name": name} | row(name)
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps(rows[name]) + "\n")
        print(line(rows[name]), flush=True)
    versions = {library: version(library) for library in libraries}
    print(json.dumps({"size": given.size, "versions": versions, "rows": list(rows.values())}))
