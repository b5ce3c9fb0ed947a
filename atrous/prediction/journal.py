"""A journal of what an interrupted prediction has finished, beside its outputs."""

import json
import os
from pathlib import Path
from typing import Any

from atrous.files import remove


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
