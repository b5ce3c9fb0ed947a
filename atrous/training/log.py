"""The log of a run: `metrics.csv`, and TensorBoard where its extra is installed."""

import csv
import importlib.util
from pathlib import Path
from typing import Any

from atrous.files import replacing

COLUMNS: tuple[str, ...] = (
    "step", "epoch", "seconds", "split", "loss", "learning_rate", "images_per_second", "miou", "pixel_accuracy",
)  # fmt: skip


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a `metrics.csv`; numbers as float, blanks as None."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: (v if k == "split" else float(v) if v else None) for k, v in row.items()} for row in rows]


class Log:
    """Appends rows to `folder/metrics.csv`. When a run goes on from `step`, later rows of the lost time are dropped."""

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.path = folder / "metrics.csv"
        kept = [row for row in read_log(self.path) if row["step"] <= step] if step else []
        with replacing(self.path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(kept)
        self._file = self.path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, COLUMNS)
        self._board = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def write(self, **values: Any) -> None:
        """Append one row; values as in `COLUMNS`, those not given stay blank."""
        row = {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in values.items()}
        self._writer.writerow(row)
        self._file.flush()
        if self._board is not None:
            for name in ("loss", "learning_rate", "images_per_second", "miou", "pixel_accuracy"):
                if values.get(name) is not None:
                    self._board.add_scalar(f"{name}/{values['split']}", values[name], values["step"])

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()
