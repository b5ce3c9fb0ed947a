"""The log of a run: `metrics.csv`, and TensorBoard if it is installed."""

import csv
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atrous.files import replacing

COLUMNS = ("step", "epoch", "seconds", "split", "loss", "learning_rate", "images_per_second")
"""Columns of every log; the metrics that validations watch follow."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a `metrics.csv`, numbers as float and blanks as None; no rows if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]  # a killed process may have left half a line
    rows = list(csv.DictReader(lines))
    return [{k: (v if k == "split" else float(v) if v else None) for k, v in row.items()} for row in rows]


class Log:
    """Appends rows to `folder/metrics.csv`.

    Args:
        folder: of the run.
        watched: names of the metrics that validations log.
        step: the step from which a run is resumed; rows of later steps, whose work was lost, are dropped.
    """

    def __init__(self, folder: Path, watched: Sequence[str], step: int = 0) -> None:
        self.path, self._watched = folder / "metrics.csv", tuple(watched)
        columns = (*COLUMNS, *watched)
        rows = [row for row in read_log(self.path) if row["step"] <= step] if step else []
        write_log(self.path, watched, rows)
        self._file = self.path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns)
        self._board = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def write(self, **values: Any) -> None:
        """Append one row; columns that are not given stay blank."""
        row = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}
        self._writer.writerow(row)
        self._file.flush()
        if self._board is not None:
            for name in ("loss", "learning_rate", "images_per_second", *self._watched):
                if values.get(name) is not None:
                    self._board.add_scalar(f"{name}/{values['split']}", values[name], values["step"])

    def close(self) -> None:
        """Close the log files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def write_log(path: Path, watched: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a whole `metrics.csv`, which replaces an earlier one in one step.

    Args:
        path: the file.
        watched: names of the metrics that validations log.
        rows: as `read_log` returns them; None stays blank.
    """
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *watched), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
