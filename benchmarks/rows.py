"""Measure a table row by row, print each row at once, and save the rows so that an interrupted run resumes."""

import argparse
import json
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks of this kind have. `doc` is the text of `--help`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--keep", type=Path, help="file of the rows measured so far: they are read from it, and new ones are added"
    )
    return parser


def measure(
    names: Iterable[str],
    row: Callable[[str], dict[str, Any]],
    line: Callable[[dict[str, Any]], str],
    *,
    options: argparse.Namespace,
    libraries: tuple[str, ...],
) -> None:
    """Print one line per name, and then all rows as one line of JSON with the versions of the libraries.

    Args:
        names: what to measure.
        row: measures one name and returns numbers and strings for JSON.
        line: turns a row, which also has the key "name", into a line of text.
        options: the parsed options of `arguments`, and the benchmark's own `size`.
        libraries: packages whose versions are printed.
    """
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    row_file: Path | None = options.keep
    rows = {}
    if row_file is not None and row_file.exists():
        rows = {earlier["name"]: earlier for earlier in map(json.loads, row_file.read_text().splitlines())}
    for name in names:
        if name not in rows:
            rows[name] = {"name": name} | row(name)
            if row_file is not None:
                with row_file.open("a") as file:
                    file.write(json.dumps(rows[name]) + "\n")
        print(line(rows[name]), flush=True)
    versions = {library: version(library) for library in libraries}
    print(json.dumps({"size": options.size, "versions": versions, "rows": list(rows.values())}))
