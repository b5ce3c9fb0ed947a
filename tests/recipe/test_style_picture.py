"""The picture whose style is learned: what is read, what is refused in one line, and the copy that a run keeps."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.errors import UserError
from atrous.recipe.schema import Recipe
from atrous.recipe.style_picture import is_gray, keep_style, located, read_style


def save(path, *shape, dtype=np.uint8):
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
    (Image.fromarray(values).save if dtype == np.uint8 else lambda to: tifffile.imwrite(to, values))(path)
    return path


def test_a_picture_as_it_is_and_reduced(tmp_path):
    path = save(tmp_path / "a.png", 80, 120, 3)
    whole = read_style(path)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole, np.moveaxis(np.asarray(Image.open(path)), -1, 0))
    assert not is_gray(whole)
    reduced = read_style(path, 90)
    assert reduced.shape == (3, 60, 90)
    assert 0 <= reduced.min() < reduced.max() <= 255
    assert reduced.mean() == pytest.approx(whole.mean(), abs=2)


def test_gray_alpha_and_16_bits(tmp_path):
    gray = read_style(save(tmp_path / "gray.png", 70, 70))
    assert gray.shape == (3, 70, 70)
    assert is_gray(gray)
    assert read_style(save(tmp_path / "alpha.png", 70, 70, 4)).shape == (3, 70, 70)
    deep = save(tmp_path / "deep.tif", 70, 70, dtype=np.uint16)
    np.testing.assert_allclose(read_style(deep)[0], tifffile.imread(deep) / 257.0, rtol=1e-5)


def test_what_is_refused_in_one_line(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 40)
    (tmp_path / "words.txt").write_text("no picture")
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((80, 80), np.float32))
    for path, said in (
        (None, "give --set task.style=FILE"),
        (tmp_path / "nowhere.png", "no such file"),
        (tmp_path, "is a folder"),
        (tmp_path / "broken.png", "broken.png"),
        (tmp_path / "words.txt", "words.txt"),
        (save(tmp_path / "tiny.png", 63, 200, 3), "63 x 200: a style needs a picture of at least 64 x 64 pixels"),
        (tmp_path / "float.tif", "of 8 or 16 bits"),
    ):
        with pytest.raises(UserError, match=said) as raised:
            read_style(path)
        assert "\n" not in str(raised.value)


def recipe(style, kind="style"):
    return Recipe.model_validate({"data": {"root": "photos"}, "task": {"kind": kind, "style": style}})


def test_a_run_keeps_a_copy_and_finds_it(tmp_path):
    path, folder = save(tmp_path / "Night.JPG.png", 70, 70, 3), tmp_path / "run"
    folder.mkdir()
    kept = keep_style(recipe(str(path)), folder)
    assert kept.task.style == "style.png"
    assert (folder / "style.png").read_bytes() == path.read_bytes()
    assert located(kept, folder).task.style == str(folder / "style.png")
    assert located(recipe(str(path)), folder).task.style == str(path)
    assert keep_style(recipe(None), folder).task.style is None
    assert located(recipe(None, "denoise"), folder).task.style is None
