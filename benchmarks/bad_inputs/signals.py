"""Mistakes in recordings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import photo, put, spoiled
from tests.clips import make_clip, write_movie
from tests.data.formats.recordings import annotate_record, write_edf, write_record
from tests.volumes import write_signals

RNG = np.random.default_rng(0)


def tables(header: str, row: str = "{i},{a:.3f},{b:.3f},{word}", toml: str = "", count: int = 5):
    """Return what writes tables with this header and rows like this one."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for case in range(count):
            words = np.repeat(RNG.integers(0, 2, 8), 10)
            a, b = RNG.normal(size=(2, 80)) + words
            rows = [row.format(i=i, a=a[i], b=b[i], word=("rest", "walk")[words[i]]) for i in range(80)]
            (folder / f"day{case}.csv").write_text("\n".join([header, *rows]) + "\n")
        if toml:
            (folder / "dataset.toml").write_text(toml)

    return make


GOOD = tables("time,left,right,label")


def latin(folder: Path) -> None:
    path = folder / "day3.csv"
    path.write_bytes(path.read_text().replace("left", "rücken").replace("walk", "größe").encode("latin-1"))


def commas(folder: Path) -> None:
    path = folder / "day3.csv"
    path.write_text(path.read_text().replace(",", ";").replace(".", ","))


def error_word(folder: Path) -> None:
    lines = (folder / "day3.csv").read_text().splitlines()
    lines[5] = "4,ERR,1.0,rest"
    (folder / "day3.csv").write_text("\n".join(lines) + "\n")


def two_spellings(folder: Path) -> None:
    for name in ("day0.csv", "day1.csv"):
        (folder / name).write_text((folder / name).read_text().replace("walk", "Walk"))


def short_labels(folder: Path) -> None:
    folder.mkdir()
    for case in range(4):
        np.savez(folder / f"{case}.npz", signal=RNG.normal(size=(2, 50)), label=np.repeat([0, 1], 24))


def leads(names_of_each: Sequence[Sequence[str]]):
    """Return what writes WFDB records whose leads have these names."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for case, names in enumerate(names_of_each):
            write_record(folder / f"r{case}.hea", RNG.normal(size=(len(names), 100)), 100, names)
            annotate_record(folder / f"r{case}.hea", [0, 50], "++", ["(N", "(AFIB"])

    return make


def dead(folder: Path) -> None:
    """Write EDF files whose second channel has equal limits, as the channels `-` of CHB-MIT have."""
    folder.mkdir()
    for case in range(4):
        path = folder / f"n{case}.edf"
        events = [(0, 3, "rest"), (3, 3, "seizure"), (6, 4, "rest")]
        write_edf(path, list(RNG.normal(0, 100, (2, 1000))), [100, 100], events, ("EEG", "dead"))
        content = bytearray(path.read_bytes())
        count = int(content[252:256])
        place = 256 + count * (16 + 80 + 8) + 8  # physical minimum of the second channel
        for at in (place, place + count * 8):
            content[at : at + 8] = b"0".ljust(8)
        path.write_bytes(content)


def strays(folder: Path) -> None:
    write_movie(folder / "day1.mp4", make_clip(0, frames=3)[0])
    put(folder / "plot.png", photo(0))


def low_and_long(folder: Path) -> None:
    """Write recordings of two channels as arrays of two rows, in a folder for each class."""
    for kind in ("still", "moving"):
        (folder / "train" / kind).mkdir(parents=True)
        for name in "abcd":
            np.save(folder / "train" / kind / f"{name}.npy", RNG.normal(size=(2, 500)).astype(np.float32))
    (folder / "dataset.toml").write_text('task = "classification"\n')


MISTAKES = (
    Mistake(
        "arrays of two axes that are low and long", low_and_long, "note",
        ("read as an image of 2 x 500", 'write pages = "rows" in dataset.toml'),
    ),
    Mistake(
        "A table is not UTF-8", spoiled(latin, GOOD), "error",
        ("day3.csv", "it is not UTF-8 text", "save it as UTF-8"),
    ),
    Mistake(
        "A table is not UTF-8", spoiled(commas, GOOD), "error",
        ("day3.csv", "decimal comma", "export it with decimal points"),
    ),
    Mistake(
        "A table is not UTF-8", tables("time,left,right,label", '{i},"1,0{i:02}.5",{b:.3f},{word}'), "refused",
        ("day0.csv", "column 'left' is not numeric: it has commas between thousands", "export it without them"),
    ),
    Mistake(
        "does not begin with the names", tables("0,0.5,0.7,rest"), "refused",
        ("day0.csv", "its first line is a row and not a header", "a line with the names of the columns above it"),
    ),
    Mistake(
        "does not begin with the names", tables("# recorded in 2020\ntime,left,right,label"), "refused",
        ("day0.csv", "its rows have 4 entries, its header 1", "a line that names every column (no line above it)"),
    ),
    Mistake(
        "does not begin with the names",
        spoiled(lambda f: (f / "day3.csv").write_text("time,left,right,label\n"), GOOD),
        "error", ("day3.csv", "no rows below a header line", "export it again"),
    ),
    Mistake(
        "does not begin with the names", spoiled(error_word, GOOD), "error",
        ("day3.csv", "'ERR' is not a number", "export only numbers"),
    ),
    Mistake(
        "another number of labels", short_labels, "error",
        (".npz", "it has 48 labels, its recording 50 samples", "give every sample one label"),
    ),
    Mistake(
        "labels of a recording are times", tables("time,left,right,label", "{i},{a:.3f},{b:.3f},{i}"), "error",
        ("day", "its labels rise from row to row, from 0 to 79", "[columns] label"),
    ),
    Mistake(
        "Masks have fractions", tables("time,left,right,label", "{i},{a:.3f},{b:.3f},{b:.1f}"), "error",
        ("day", "a label file with fractions", "whole numbers"),
    ),
    Mistake(
        "Two classes differ by capital letters", spoiled(two_spellings, GOOD), "warning",
        ('the classes "Walk" and "walk" differ by capital letters or spaces alone', "write both alike"),
    ),
    Mistake(
        "A recording lacks a channel", leads([("I", "II", "V1"), ("I", "II"), *[("I", "II", "V1")] * 3]), "error",
        ("r1.hea", "its channels are I, II", "export V1 too, or write channels = ["),
    ),
    Mistake(
        "A column of words has no role", tables("time,site,x,label", "{i},north,{a:.3f},{word}"), "refused",
        ("day0.csv", "column 'site' is not numeric", "[columns] with label, time or ignore = ['site']"),
    ),
    Mistake(
        "A column of words has no role", tables("time,left,right,label", toml='[columns]\nlabel = "lable"\n'),
        "refused",
        ("dataset.toml", "[columns] names 'lable', which no table has", "did you mean 'label'?"),
    ),
    Mistake(
        "`spacing` has a wrong number",
        spoiled(lambda f: (f / "dataset.toml").write_text("spacing = [1, 2]\n"), write_signals), "error",
        ("dataset.toml", "`spacing` has 2 values, but the images have 1 axis", "one distance for each axis"),
    ),
    Mistake("dead channels", dead, "note", ("channels without a signal are left out: 'dead'",)),
    Mistake(
        "among data of another kind", spoiled(strays, GOOD), "warning",
        ("day1.mp4", "a video among recordings, which is left out", "video = false if there are none to be read"),
    ),
    Mistake(
        "among data of another kind", spoiled(strays, GOOD), "warning",
        ("plot.png", "an image file among recordings, which is left out", 'write kind = "images"'),
    ),
    Mistake(
        "no labels", tables("time,left,right", "{i},{a:.3f},{b:.3f}"), "refused",
        ("day0.csv", "no labels (its columns: time, left, right)", "[columns] label = ..."),
    ),
)  # fmt: skip
