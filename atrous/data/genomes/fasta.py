"""Sequences in FASTA: plain and bgzip by random access (pyfaidx), gzip decoded once."""

import gzip
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from atrous.data.formats import FileFault
from atrous.data.formats.base import require_bytes
from atrous.data.genomes.letters import WRONG, OneHot, encode
from atrous.data.plain_text import encoding_of, why_not_text
from atrous.data.source import Key, LazySource, span
from atrous.errors import UserError
from atrous.machine import memory_limit

FASTA_SUFFIXES = (".fa", ".fasta", ".fna", ".fa.gz", ".fasta.gz", ".fna.gz", ".fa.bgz", ".fasta.bgz", ".fna.bgz")
PIECE = 1 << 20
_COPIES = 3
"""Bytes that are held for each letter while a gzip file is decoded: its lines, the joined text, and the codes."""
_LOCK = threading.Lock()


def is_fasta(path: Path | str) -> bool:
    """Whether a file's name says that it is FASTA.

    >>> is_fasta("a/X.fna.gz"), is_fasta("a/X.gff.gz")
    (True, False)
    """
    return str(path).lower().endswith(FASTA_SUFFIXES)


def fasta_stem(path: Path) -> str:
    """File name without the suffix of FASTA.

    >>> fasta_stem(Path("a/NC_000913.3.fa.gz"))
    'NC_000913.3'
    """
    suffix = max((s for s in FASTA_SUFFIXES if path.name.lower().endswith(s)), key=len, default="")
    return path.name[: len(path.name) - len(suffix)]


def sequence_lengths(path: Path | str) -> Mapping[str, int]:
    """Names and lengths of the sequences of a file, in its order. A name is the header up to the first space.

    Raises:
        UserError: the file is missing, damaged or not FASTA.
    """
    return _opened(Path(path)).lengths


def open_sequence(path: Path | str, name: str) -> OneHot:
    """One sequence as a source `(4, L)` over A, C, G and T.

    Raises:
        UserError: the file cannot be read or has no such sequence; and, as it is sliced, a letter that is none.
    """
    path = Path(path)
    opened = _opened(path).codes
    if name not in opened:
        raise FileFault(path, f"has no sequence {name}", f"its sequences are {', '.join(list(opened)[:3])}")
    codes = opened[name]
    return OneHot(codes, codes.shape[0])


def clear() -> None:
    """Forget the files that were decoded or indexed."""
    _read.cache_clear()


@dataclass(frozen=True)
class _Sequences:
    """The sequences of a file by name: what gives the codes of each when it is sliced, and how long each is."""

    codes: Mapping[str, Any]
    lengths: Mapping[str, int]


def _opened(path: Path) -> _Sequences:
    try:
        status = path.stat()
    except OSError:
        raise FileFault(path, "no such file", "check the path") from None
    with _LOCK:
        return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _read(path: Path, *_: int) -> _Sequences:
    """The sequences of a file. Every sample asks for them, and drafts have 100 000: their lengths are listed once."""
    try:
        with path.open("rb") as file:
            magic = file.read(18)
        if not magic:
            raise FileFault(path, "it is empty", "copy it again")
        plain = magic[:2] != b"\x1f\x8b"
        _require_lines(path, plain)
        # bgzip's blocks carry an extra field with the subfield "BC" (SAM specification, section 4.1)
        opened = _indexed(path, plain) if plain or magic[12:14] == b"BC" else dict(_decoded(path))
        lengths = {name: int(codes.shape[0]) for name, codes in opened.items()}
        empty = [name for name, length in lengths.items() if not length]
        if empty:
            what = f"{'sequence' if len(empty) == 1 else f'{len(empty)} sequences, the first'} {empty[0]}"
            raise FileFault(path, f"{what} has no bases", "remove the name, or add its bases")
        return _Sequences(opened, lengths)
    except UnicodeDecodeError as error:
        raise FileFault(path, f"it is {why_not_text(path)}", "save it as UTF-8 (iconv -f latin1 -t utf-8)") from error
    except (OSError, EOFError, zlib.error, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        if "duplicate" in said.lower():
            raise FileFault(path, f"two sequences have one name ({said})", "give each its own name") from error
        raise FileFault(path, f"cannot be read as FASTA ({said})", "copy it again from its source") from error


class _Held(LazySource):
    """The codes `(L,)` of a sequence in memory, one byte a base."""

    def __init__(self, path: Path, name: str, text: bytes) -> None:
        self._codes, self._fault = encode(text), None
        super().__init__(self._codes.shape, np.uint8)
        try:
            _check(path, name, 0, self._codes, text)
        except FileFault as fault:  # raised where it is met, so that the data doctor can list it beside others
            self._fault = fault

    def _read(self, key: Key) -> np.ndarray:
        codes = self._codes[key]
        if self._fault is not None and np.any(codes == WRONG):
            raise self._fault
        return codes


def _decoded(path: Path) -> Iterator[tuple[str, _Held]]:
    """Names and codes of a gzip file, read once."""
    name, parts, seen = None, [], set()
    most, total, whole = memory_limit() // _COPIES, 0, True
    with gzip.open(path, "rb") as file:
        while line := file.readline(PIECE):
            total, begins, whole = total + len(line), whole, line.endswith(b"\n")
            require_bytes(path, total * _COPIES if total > most else 0, "its sequences", "compress it with bgzip")
            if not begins:  # a line that is longer than a piece goes on
                parts.append(line.strip())
                continue
            if line.startswith(b">"):
                if name is not None:
                    yield name, _Held(path, name, b"".join(parts))
                name, parts = _header(path, line, seen), []
            elif name is None:
                if line.strip():
                    raise FileFault(path, "does not begin with '>'", "give FASTA")
            else:
                parts.append(line.strip())
    if name is None:
        raise FileFault(path, "holds no sequence", "give FASTA: lines that begin with '>' name the sequences")
    yield name, _Held(path, name, b"".join(parts))


def _header(path: Path, line: bytes, seen: set[str]) -> str:
    words = line[1:].decode().split()
    if not words:
        raise FileFault(path, "a sequence without a name", "write one after its '>'")
    if words[0] in seen:
        raise FileFault(path, f"two sequences are named {words[0]}", "rename one")
    seen.add(words[0])
    return words[0]


def _require_lines(path: Path, plain: bool) -> None:
    """Raise if it is no plain text, or if lines end in CR alone, as on old Macs: all would be the first name."""
    with path.open("rb") if plain else gzip.open(path, "rb") as file:
        head = file.read(PIECE)
    if (encoding := encoding_of(head[:4])) != "utf-8":
        if encoding == "utf-8-sig":
            raise FileFault(path, "begins with a byte order mark", f"remove it: tail -c +4 {path.name} > new.fa")
        fix = f"save it as plain text: iconv -f {encoding} -t utf-8 {path.name} > new.fa"
        raise FileFault(path, f"its text is {encoding.upper()}, not ASCII", fix)
    if b"\r" in head and b"\n" not in head:
        fix = f"convert it: tr '\\r' '\\n' < {path.name} > new.fa"
        raise FileFault(path, "its lines end in CR alone (old Mac), not in LF", fix)


def _check(path: Path, name: str, start: int, codes: np.ndarray, text: bytes) -> None:
    wrong = np.flatnonzero(codes == WRONG)
    if len(wrong):
        letter = chr(text[wrong[0]])
        what = f"sequence {name} has {letter!r} at position {start + int(wrong[0]) + 1}"
        raise FileFault(path, what, "use the letters of nucleic acids, N for what is unknown")


class _Indexed(LazySource):
    """The codes `(L,)` of a sequence in a file with an index; only the bases that are asked for are read."""

    def __init__(self, path: Path, index: Any, name: str, length: int) -> None:
        super().__init__((length,), np.uint8)
        self._path, self._index, self._name = path, index, name

    def _read(self, key: Key) -> np.ndarray:
        start, stop, rest = span(key[0], self.shape[0])
        if stop <= start:
            return np.zeros(0, np.uint8)
        text = str(self._index.fetch(self._name, start + 1, stop)).encode()
        codes = encode(text)
        _check(self._path, self._name, start, codes, text)
        return codes[rest]


def _indexed(path: Path, plain: bool) -> dict[str, _Indexed]:
    try:
        import pyfaidx
    except ImportError:
        raise UserError(
            f'{path}: reading FASTA by random access needs pyfaidx: pip install "atrous[genomes]"'
        ) from None
    with path.open("rb") if plain else gzip.open(path, "rb") as file:
        if not file.read(1) == b">":
            raise FileFault(path, "does not begin with '>'", "give FASTA")
    # The index goes to a folder of its own: that of the data may be read-only, and is not ours to write to.
    # It is in memory then, and the folder can go.
    try:
        with tempfile.TemporaryDirectory(prefix="atrous-fai-") as folder:
            beside = Path(folder, path.name)
            index = pyfaidx.Faidx(str(path), indexname=f"{beside}.fai", gzi_indexname=f"{beside}.gzi", as_raw=True)
    except (ImportError, RuntimeError) as error:
        raise UserError(f'{path}: bgzip needs Biopython: pip install "atrous[genomes]"') from error
    except (pyfaidx.FastaIndexingError, pyfaidx.UnsupportedCompressionFormat) as error:
        raise FileFault(path, f"cannot be indexed ({error})", "make its lines equally long, or gzip it") from error
    return {name: _Indexed(path, index, name, int(entry.rlen)) for name, entry in index.index.items()}
