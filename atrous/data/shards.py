"""Data sets in shards: `.tar` files whose members are the files of a folder, as WebDataset writes them.

Stores and disks give few large files faster than many small ones. The shards of a folder are listed, and a mirror of
their members is made (`formats/mirrored.py`): all layouts then read them as the files of one folder. A member is copied
out of its shard when it is read; a shard at a URL is fetched whole then. Where samples are shuffled within a window
(`feed/window.py`), the shards come in a random order, and the samples of each in the order of the shard, so that each
shard is read from its beginning to its end.
"""

import atexit
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from atrous.data.formats import SIGNAL_SUFFIXES, SUFFIXES, VIDEO_SUFFIXES, FileFault, suffix_of
from atrous.data.formats.mirrored import MIRRORS, Mirror, here, mirror_of, with_urls
from atrous.data.genomes.fasta import is_fasta
from atrous.data.inside import is_hidden, is_plain_name, walk
from atrous.data.layouts.folders import MOST_LEVELS, SPLITS, split_of
from atrous.data.remote_folder import is_fetched_when_read
from atrous.errors import UserError
from atrous.machine import processes_here

SUFFIX = ".tar"
DESCRIBING = (".toml", ".csv", ".tsv", ".txt", ".json", ".yaml", ".yml", ".names")
"""Suffixes of files beside shards that belong to the data set."""
THREADS = 16
"""So many shards are listed at the same time: at a URL most of it is waiting."""
HELD = 2**30
"""Bytes on disk that members take which were copied out of shards, beyond those that are being read."""
CHUNK = 2**20
_OPENED: dict[Path, tuple[object, Path]] = {}
_PLACES: dict[Path, dict[str, "Member"]] = {}


@dataclass(frozen=True)
class Member:
    """Where a file lies in a shard.

    Attributes:
        shard: the shard.
        offset: of its first byte.
        size: its bytes.
    """

    shard: Path
    offset: int
    size: int


def unpacked(folder: Path) -> Path:
    """Return the folder of what the shards of a folder hold; the folder itself where it holds none.

    Shards lie in the folder or in folders in it. They are the data set where no images, recordings, videos or genomes
    lie beside them: an archive beside what was unpacked from it is none. Tables and `dataset.toml` may.

    Raises:
        UserError: a shard is damaged, or holds what does not belong into one.
    """
    if folder in _PLACES:
        return folder
    shards, beside = _shards(folder)
    if not shards:
        return folder
    stamps = [(path, path.stat().st_size, path.stat().st_mtime_ns) for path in (*shards, *beside)]
    known = _OPENED.get(folder)
    if known is not None and known[0] == stamps and known[1] in MIRRORS:
        return known[1]
    root = _mirror(folder, shards, beside)
    _OPENED[folder] = stamps, root
    return root


def place_in_shard(path: Path) -> Member | None:
    """Return where a file of a data set lies in its shard; None where it lies in none."""
    mirror = mirror_of(path)
    places = None if mirror is None else _PLACES.get(mirror.root)
    return None if mirror is None or places is None else places.get(path.relative_to(mirror.root).as_posix())


def in_order(paths: Sequence[Path]) -> list[list[int]] | None:
    """Return the numbers of files shard by shard, in the order in which each shard holds them.

    None where one of them lies in no shard.
    """
    shards: dict[Path, list[tuple[int, int]]] = {}
    for number, path in enumerate(paths):
        place = place_in_shard(path)
        if place is None:
            return None
        shards.setdefault(place.shard, []).append((place.offset, number))
    return [[number for _, number in sorted(shards[shard])] for shard in sorted(shards)]


def keep_shards(paths: Sequence[Path], count: int) -> None:
    """Let so many of the shards that were read last stay on the disk, of those at a URL; `paths` lie in the shards."""
    for shard in {place.shard for path in paths if (place := place_in_shard(path)) is not None}:
        if (mirror := mirror_of(shard)) is not None:
            mirror.recent = max(mirror.recent, count)


def _shards(folder: Path) -> tuple[list[Path], list[Path]]:
    """The shards that are a data set, and what lies beside them that belongs to it."""
    if not folder.is_dir() or not any(True for level in ("*", "*/*") for _ in folder.glob(f"{level}{SUFFIX}")):
        return [], []
    shards, beside = [], []
    for place, folders, names in walk(folder, lambda name: True, MOST_LEVELS):
        if any(_is_data(name) for name in (*folders, *names)):
            return [], []
        shards += [place / name for name in names if name.lower().endswith(SUFFIX)]
        beside += [place / name for name in names if suffix_of(name) in DESCRIBING]
    return shards, beside


def _is_data(name: str) -> bool:
    suffix = suffix_of(name)
    signals = suffix in SIGNAL_SUFFIXES and suffix not in DESCRIBING
    return suffix in SUFFIXES or suffix in VIDEO_SUFFIXES or signals or is_fasta(Path(name))


def _mirror(folder: Path, shards: Sequence[Path], beside: Sequence[Path]) -> Path:
    with ThreadPoolExecutor(THREADS) as pool:
        listed = list(pool.map(lambda shard: list(members(shard)), shards))
    files: dict[str, Member] = {}
    for shard, found in zip(shards, listed, strict=True):
        for name, member in found:
            placed = _placed(shard.relative_to(folder), name)
            if placed in files:
                other = files[placed].shard.name
                raise FileFault(shard, f"holds {name}, as {other} does", "give each file a name of its own")
            files[placed] = member
    if not files:
        raise FileFault(shards[0], "holds no files", "pack images and masks into it")
    packed = dict(files)
    files |= {path.relative_to(folder).as_posix(): Member(path, 0, path.stat().st_size) for path in beside}

    def fetch(name: str, path: Path) -> None:
        with here(files[name].shard), files[name].shard.open("rb") as shard, path.open("wb") as file:
            shard.seek(files[name].offset)
            _copy(shard, file, files[name])

    above = Path(tempfile.mkdtemp(prefix="atrous-shards-")).resolve()
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    root = above / (folder.resolve().name or "data")
    root.mkdir()
    limit = min(HELD, shutil.disk_usage(above).free // 16) // processes_here()
    try:
        mirror = Mirror(
            with_urls(str(folder.absolute())), root, {n: member.size for n, member in files.items()}, fetch, limit
        )
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise UserError(f"{folder}: {error.filename} is both a file and a folder: rename one") from error
    for name in files:
        if not is_fetched_when_read(name):
            mirror.keep(name)
    MIRRORS[root], _PLACES[root] = mirror, packed
    return root


def members(shard: Path) -> Iterator[tuple[str, Member]]:
    """Yield the names of the files in a shard, with where they lie; nothing is unpacked. Hidden ones are left out.

    Raises:
        FileFault: the shard is damaged or compressed, holds a link, or a name leaves the folder.
    """
    try:
        with here(shard), tarfile.open(shard, "r:") as packed:
            for member in packed:
                name = PurePosixPath(member.name).as_posix()
                if not is_plain_name(name):
                    raise FileFault(shard, f"holds {member.name!r}, which leaves the folder", "pack it by a plain name")
                if member.isdir() or any(is_hidden(part) for part in PurePosixPath(name).parts):
                    continue
                if not member.isreg() or member.issparse():
                    raise FileFault(shard, f"holds {name}, a link or no plain file", "pack the file itself")
                yield name, Member(shard, member.offset_data, member.size)
            _require_end(shard, packed)
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())
        what = f"cannot be read as a shard ({said})"
        raise FileFault(shard, what, "pack it again, without compression: tar -cf") from error


def _require_end(shard: Path, packed: tarfile.TarFile) -> None:
    """Raise where a list of files ends with something else than the mark of the end: `tarfile` stops there silently."""
    assert packed.fileobj is not None
    packed.fileobj.seek(packed.offset)
    if packed.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise FileFault(shard, f"is damaged at byte {packed.offset}", "pack or copy it again")


def _placed(shard: Path, name: str) -> str:
    """Where a file of a shard lies in the folder of all files: a split that the name of the shard says is a folder.

    >>> _placed(Path("cells-train-0001.tar"), "a.jpg"), _placed(Path("val/0.tar"), "a.jpg"), _placed(Path("0.tar"), "a")
    ('train/a.jpg', 'val/a.jpg', 'a')
    """
    parts = shard.parent.parts
    words = re.split(r"[^a-z]+", shard.stem.lower())
    split = next((split for split, names in SPLITS.items() if any(len(w) > 2 and w in names for w in words)), None)
    said = () if split is None or split_of(parts) is not None else (split,)
    return PurePosixPath(*parts, *said, name).as_posix()


def _copy(packed: IO[bytes], file: IO[bytes], member: Member) -> None:
    left = member.size
    while left:
        part = packed.read(min(CHUNK, left))
        if not part:
            raise FileFault(member.shard, f"ends {left} bytes too soon", "copy it again; it changed, or was cut off")
        file.write(part)
        left -= len(part)
