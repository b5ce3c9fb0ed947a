"""What an interrupted prediction leaves beside its outputs, and whether it belongs to the prediction at hand."""

import json
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from atrous.files import remove, replacing


def files_identity(files: Iterable[Path]) -> str:
    """Return a digest of the names, sizes and times of files: an input that was replaced has another one.

    Of a folder (a series of slices, a zarr array, a video's frames) all files in it count.
    """
    digest = sha256()
    for file in files:
        inside = sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
        for path in inside:
            facts = path.stat()
            digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


class SourceNote:
    """A hidden file beside unfinished labels that says from which input they come.

    Args:
        part: the unfinished labels.
        files: of the input.
    """

    def __init__(self, part: Path, files: Iterable[Path]) -> None:
        self._path, self._files = part.with_name(f"{part.name}.source"), tuple(files)

    def holds(self) -> bool:
        """Return whether the input is still the one that was noted; True where the input is no file."""
        if not any(file.exists() for file in self._files):
            return True
        return self._path.exists() and self._path.read_text(encoding="utf-8") == files_identity(self._files)

    def write(self) -> None:
        """Note the input, where it is a file."""
        if not any(file.exists() for file in self._files):
            return
        with replacing(self._path) as beside:
            beside.write_text(files_identity(self._files), encoding="utf-8")

    def remove(self) -> None:
        """Remove the note."""
        self._path.unlink(missing_ok=True)


class Journal:
    """Lines of JSON in a hidden file: what is finished. A line counts once it lies on the disk whole.

    A journal of another identity is removed, and the work begins anew.

    Args:
        path: the file.
        identity: of the work; a text.

    Attributes:
        entries: what an interrupted run has finished, in its order.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        whole = self._read(identity)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.truncate(whole)
        if not whole:
            self.add({"identity": identity})

    def _read(self, identity: str) -> int:
        """Read the entries, and return up to which byte the file holds whole lines of this work."""
        if not self.path.exists():
            return 0
        whole, lines = 0, []
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                lines.append(json.loads(line))
            except ValueError:  # the process was killed, or the power was cut, while this line was written
                break
            if not line.endswith(b"\n"):
                lines.pop()
                break
            whole += len(line)
        if not lines or lines[0] != {"identity": identity}:
            return 0
        self.entries = lines[1:]
        return whole

    def add(self, entry: dict[str, Any]) -> None:
        """Append an entry, and return when it lies on the disk."""
        with self.path.open("ab") as file:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def remove(self) -> None:
        """Remove the file: the work is done, or is given up."""
        remove(self.path)
