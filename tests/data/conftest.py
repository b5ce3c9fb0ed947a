from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.data_folders import picture, save, stripes

Mask = Callable[[int], np.ndarray | Image.Image]


@pytest.fixture
def flat(tmp_path: Path) -> Callable[..., Path]:
    """Make `images/*.png masks/*.png` with a dataset.toml of three classes."""

    def make(mask: Mask = lambda _: stripes(), count: int = 5, toml: str | None = 'classes = ["a", "b", "c"]') -> Path:
        for i in range(count):
            save(tmp_path / "images" / f"{i}.png", picture(i))
            save(tmp_path / "masks" / f"{i}.png", mask(i))
        if toml is not None:
            (tmp_path / "dataset.toml").write_text(toml)
        return tmp_path

    return make
