"""Damaged files of every format: refused by a `UserError` of one line or read, and nothing else.

The usual tests damage each file 10 times, the slow ones 100 times.
With `ATROUS_FUZZ=2000` the usual ones do it 2,000 times, from the number `ATROUS_FUZZ_FIRST` on.
"""

import faulthandler
import logging
import os
import random
import shutil
import sys
import warnings

import pytest

from atrous.data.formats import base
from atrous.data.genomes.fasta import clear
from tests.data.formats.fuzzing import SECONDS, WRITERS, copy, damage, read_everything

COUNT = int(os.environ.get("ATROUS_FUZZ", "10"))
FIRST = int(os.environ.get("ATROUS_FUZZ_FIRST", "0"))
LIMIT = 64 << 20
GROWTH = 4 * LIMIT
"""Bytes by which the process may grow: readers may use `LIMIT`, and libraries keep some of it."""


def peak() -> int:
    """The most memory that this process has used, in bytes."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("kind", WRITERS)
def test_damaged_files_are_refused_or_read(tmp_path, monkeypatch, kind):
    read_damaged(tmp_path, monkeypatch, kind, range(FIRST, FIRST + COUNT))


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_many_damaged_files_are_refused_or_read(tmp_path, monkeypatch, kind):
    read_damaged(tmp_path, monkeypatch, kind, range(COUNT, 100 + COUNT))


def read_damaged(tmp_path, monkeypatch, kind, numbers):
    """Damage a small valid file in ways that the numbers draw, and read it in all ways."""
    monkeypatch.setattr(base, "memory_limit", lambda: LIMIT)
    monkeypatch.setattr("atrous.data.genomes.fasta.memory_limit", lambda: LIMIT)
    logging.disable(logging.CRITICAL)
    (tmp_path / "whole").mkdir()
    whole = tmp_path / "whole" / kind
    WRITERS[kind](whole)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_everything(whole)
            before = peak()
            for number in numbers:
                folder = tmp_path / f"{number}"
                folder.mkdir()
                path = copy(whole, folder / kind)
                damage(path, random.Random(f"{kind} {number}"))
                faulthandler.dump_traceback_later(6 * SECONDS, exit=True)  # of what hangs in a library
                try:
                    read_everything(path)
                except Exception as error:
                    raise AssertionError(f"{kind} {number}: {type(error).__name__}: {error}") from error
                faulthandler.cancel_dump_traceback_later()
                assert peak() - before < GROWTH, f"{kind} {number}: the process grew"
                shutil.rmtree(folder)
    finally:
        faulthandler.cancel_dump_traceback_later()
        logging.disable(logging.NOTSET)
        clear()


@pytest.mark.parametrize("kind", WRITERS)
def test_whole_files_are_read(tmp_path, kind):
    WRITERS[kind](tmp_path / kind)
    slides = ("a.svs", "a.ndpi", "a.scn", "philips.tiff", "a.lif", "a.nd2")
    no_labels, no_numbers = ("a.mp4", "series", *slides), ("a.csv",)
    colors = ("a.png", "exif.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "map.tif", "a.jp2", "a.npy")
    most = 2 if kind in no_labels else int(kind in no_numbers + colors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_everything(tmp_path / kind) <= most
