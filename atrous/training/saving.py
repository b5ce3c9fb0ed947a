"""Files with tensors that are written while the training goes on."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from atrous.training.checkpoint import write_tensors


class Saver:
    """Writes files in a thread of its own, one after the other; use it as a context.

    The tensors are copied at once, so that the training may change them. At most one file waits to be written: asked
    for another one, `save` waits for the file before it.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def save(self, path: Path, tensors: Mapping[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Write tensors and facts as `write_tensors` does.

        Raises:
            UserError: the file before this one could not be written.
        """
        self.wait()
        copied = {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}
        self._writing = self._pool.submit(write_tensors, path, copied, facts)

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            UserError: a file could not be written.
        """
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
