"""The log of a run: `metrics.csv`, and TensorBoard if it is installed."""

import csv
import importlib.util
import os
from pathlib import Path
from typing import Any

COLUMNS: tuple[str, ...] = (
    "step", "epoch", "seconds", "split", "loss", "learning_rate", "images_per_second", "miou", "pixel_accuracy",
)  # fmt: skip
"""The columns of `metrics.csv`."""


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a `metrics.csv`, numbers as float and blanks as None; no rows if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: (v if k == "split" else float(v) if v else None) for k, v in row.items()} for row in rows]


class Log:
    """Appends rows to `folder/metrics.csv` and, if TensorBoard is installed, to `folder/tensorboard`.

    A run that resumes at `step` drops the rows of later steps: they were written after the checkpoint that it resumes
    from. `step` 0 starts a new log.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / "metrics.csv"
        rows = [row for row in read_log(self.path) if row["step"] <= step] if step else []
        partial = self.path.with_suffix(".part")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.path)
        self._file = self.path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._board = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def write(self, **values: Any) -> None:
        """Append one row. Values are named as in `COLUMNS`; columns without a value stay blank."""
        row = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}
        self._writer.writerow(row)
        self._file.flush()
        if self._board is not None:
            for name in ("loss", "learning_rate", "images_per_second", "miou", "pixel_accuracy"):
                if values.get(name) is not None:
                    self._board.add_scalar(f"{name}/{values['split']}", values[name], values["step"])

    def close(self) -> None:
        """Close the log files."""
        self._file.close()
        if self._board is not None:
            self._board.close()
