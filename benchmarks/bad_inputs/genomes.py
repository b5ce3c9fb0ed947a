"""Mistakes in genomes and their annotations."""

from pathlib import Path

import numpy as np
import pyBigWig

from atrous.data.genomes.fasta import sequence_lengths
from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import spoiled
from tests.genomes import random_bases, write_fasta, write_genomes, write_gff, write_track

SEQUENCE = "ATGGCGCTGGAAAAATAA" * 20


def added(sequence: str, rows: list[tuple[str, str, int, int, str, str]], toml: str = ""):
    """Return what writes three genomes, and a fourth one, `x`, with this sequence and these features."""

    def make(folder: Path) -> None:
        write_genomes(folder)
        write_fasta(folder / "x.fa.gz", {"x": sequence})
        write_gff(folder / "x.gff", rows)
        if toml:
            (folder / "dataset.toml").write_text(toml)

    return make


CDS = ("x", "CDS", 1, 18, "+", "ID=a")


def empty_sequence(folder: Path) -> None:
    (folder / "x.fa.gz").unlink()
    (folder / "x.fa").write_text(f">x\n{SEQUENCE}\n>y\n")


def old_mac(folder: Path) -> None:
    (folder / "x.fa.gz").unlink()
    (folder / "x.fa").write_bytes(f">x\r{SEQUENCE}\r".encode())


def track(names: tuple[str, ...]):
    """Return what writes a signal for every genome; that of `x` has sequences of these names."""

    def change(folder: Path) -> None:
        for name in ("g0", "g1", "g2", "x"):
            lengths = sequence_lengths(folder / f"{name}.fa.gz")
            sizes = dict.fromkeys(names, len(SEQUENCE)) if name == "x" else lengths
            with pyBigWig.open(str(folder / f"{name}.conservation.bw"), "w") as file:
                file.addHeader(list(sizes.items()))
                for sequence in sizes:
                    file.addEntries(sequence, 0, values=[1.0] * 90, span=1, step=1)

    return change


def second_sequence(folder: Path) -> None:
    write_fasta(folder / "x.fa.gz", {"x": SEQUENCE, "y": SEQUENCE})


def blanks(folder: Path) -> None:
    (folder / "x.gff").write_text("x test CDS 1 18 . + 0 ID=a\n")


def same_names(folder: Path) -> None:
    (folder / "x.fa.gz").unlink()
    (folder / "x.fa").write_text(f">x\n{SEQUENCE}\n>x\n{SEQUENCE}\n")


def other_names(folder: Path) -> None:
    for path in sorted(folder.glob("*.gff.gz")):
        path.rename(path.with_name(f"annotation_of_{path.name}"))


def unusual(folder: Path) -> None:
    """Write genomes with four kinds of features, of which none is a usual one."""
    write_fasta(folder / "x.fa", {"x": SEQUENCE})
    write_gff(folder / "x.gff", [("x", kind, 1, 18, "+", f"ID={kind}") for kind in ("a", "b", "c", "d")])


def signals(values: np.ndarray):
    """Return what writes four random genomes of 2000 bases, and these values of a signal for each."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("g0", "g1", "g2", "x"):
            write_fasta(folder / f"{name}.fa", {f"{name}.1": random_bases(rng, len(values))})
            write_track(folder / f"{name}.depth.bw", {f"{name}.1": values})

    return make


def unlike_signals(folder: Path) -> None:
    """Add a sequence that is in no bigWig file, and features."""
    with (folder / "g0.fa").open("a") as file:
        file.write(">late\nACGTACGTAC\n")
    write_gff(folder / "x.gff", [("x.1", "CDS", 1, 18, "+", "ID=a")])


MISTAKES = (
    Mistake(
        "FASTA file has no bases", spoiled(empty_sequence, added(SEQUENCE, [CDS])), "refused",
        ("x.fa", "sequence y has no bases", "remove the name"),
    ),
    Mistake(
        "FASTA file has no bases", spoiled(old_mac, added(SEQUENCE, [CDS])), "refused",
        ("x.fa", "its lines end in CR alone (old Mac)"),
    ),
    Mistake(
        "A bigWig file has none", spoiled(track(("1",)), added(SEQUENCE, [CDS])), "error",
        ("x.conservation.bw", "its names are 1, those of FASTA x", "name them alike"),
    ),
    Mistake(
        "sequences that the FASTA file does not have", added(SEQUENCE, [("chr1", "CDS", 1, 18, "+", "ID=a")]), "error",
        ("x.gff", "1 feature on sequences that the FASTA file does not have (chr1)", "name them alike: it has x"),
    ),
    Mistake(
        "A feature ends beyond its sequence", added(SEQUENCE, [CDS, ("x", "CDS", 340, 399, "+", "ID=b")]), "error",
        ("x.gff", "1 feature beyond the 360 bases of x, the first at 340..399", "Is_circular=true in its region"),
    ),
    Mistake(
        "no multiple of three", added(SEQUENCE, [("x", "CDS", 1, 17, "+", "ID=a")]), "warning",
        ("x.gff", "1 CDS whose length is no multiple of three", "pseudo=true, or leave it so"),
    ),
    Mistake(
        "A feature that is to be learned", added(SEQUENCE, [CDS], 'classes = ["CDS", "tRNA"]\n'), "warning",
        ("dataset.toml", "no tRNA in train", "leave it out of `classes`"),
    ),
    Mistake(
        "sequences that a bigWig file lacks", spoiled(lambda f: (second_sequence(f), track(("x",))(f)),
        added(SEQUENCE, [CDS])),
        "note", ("x.conservation.bw lacks 1 of 2 sequences (y): they are read as 0",),
    ),
    Mistake(
        "A feature that no training genome has", added(SEQUENCE, [CDS], 'classes = ["exon"]\n'), "error",
        ("dataset.toml", "no genome of train has the features exon", "correct `classes` (the annotations have CDS)"),
    ),
    Mistake(
        "A line of GFF3", added(SEQUENCE, [("x", "CDS", 0, 18, "+", "ID=a")]), "refused",
        ("x.gff: line 2 has the interval 0..18", "it is 1-based and closed"),
    ),
    Mistake(
        "A line of GFF3", spoiled(blanks, added(SEQUENCE, [CDS])), "refused",
        ("x.gff: line 1 has 1 column, GFF3 and GTF have 9", "separate nine columns by tabs"),
    ),
    Mistake(
        "A line of GFF3", spoiled(same_names, added(SEQUENCE, [CDS])), "refused",
        ("x.fa", "two sequences have one name", "give each its own name"),
    ),
    Mistake(
        "There are no features", spoiled(other_names, write_genomes), "refused",
        ("annotation_of_g0.gff.gz has the name of no FASTA file", "put X.gff, X.bed or X.gff.gz beside each X.fa"),
    ),
    Mistake(
        "A signal that is to be learned", signals(np.full(2000, 3.0)), "error",
        ("depth is 3 at every base that it covers", "write missing = 0 under [tracks]"), "regression",
    ),
    Mistake(
        "Where signals are learned", spoiled(unlike_signals, signals(np.arange(2000) % 7)), "warning",
        ("g0.fa", "1 of 2 sequences (late) are in none of its bigWig files", "add them"), "regression",
    ),
    Mistake(
        "Where signals are learned", spoiled(unlike_signals, signals(np.arange(2000) % 7)), "warning",
        ("x.gff", "a regression learns signals (bigWig), not features", "remove it, or leave it so"), "regression",
    ),
    Mistake(
        "signals that are learned", signals(np.where(np.arange(2000) % 2, np.nan, np.arange(2000) % 7)), "note",
        ("depth is learned: 50.00% of the bases have a value, 0 to 6", "if they are 0, write missing = 0"),
        "regression",
    ),
    Mistake("which features", unusual, "refused", ("4 kinds of features", "write classes = [", "in dataset.toml")),
)  # fmt: skip
