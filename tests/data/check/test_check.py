"""The data doctor: every fault gets its line, and good data gets none."""

import json
import os
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

from atrous.cli.output import show
from atrous.color import default_palette
from atrous.data.check.check import Check
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.data.data_folders import SIZE, picture, save, stripes
from tests.volumes import write_signals, write_volumes

PALETTE = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], dtype=np.uint8)


def indexed(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.fromarray(labels)
    image.putpalette([int(level) for color in palette for level in color])
    return image


def only(found: Check, severity: str) -> str:
    """The line of the one fault of this severity; no other may be there."""
    assert [fault.severity for fault in found.faults] == [severity], [fault.line() for fault in found.faults]
    line = found.faults[0].line()
    assert "\n" not in line
    return line


def test_good_data_has_no_faults(flat):
    found = check(flat())
    assert found.ok
    assert (found.faults, found.notes, found.ignored) == ((), (), 0.0)
    assert [row.images for row in found.classes] == [5, 5, 5]
    assert sum(row.frequency for row in found.classes) == pytest.approx(1)
    assert "ready to train" in found.text()


def binary(_):
    return (stripes() > 0).astype(np.uint8) * 255


def colored(_):
    return PALETTE[stripes()]


def smooth(_):
    return np.linspace(0, 255, SIZE[0] * SIZE[1]).astype(np.uint8).reshape(SIZE)


THREE = 'classes = ["a", "b", "c"]'
ERRORS = {
    "0/255 mask": (binary, 'classes = ["bg", "cell"]', "values are 0 and 255", "values = [0, 255]"),
    "off by one": (
        lambda _: stripes() + 1, THREE, "value 3 is no class", "off by one, counted from 1: write values = [1, 2, 3]",
    ),
    "off by one, palette": (
        lambda _: indexed(stripes() + 1, np.concatenate([PALETTE, [[9, 9, 9]]])), THREE,
        "palette file", "values = [1, 2, 3]",
    ),
    "color": (colored, THREE, "stores 3 colors", "palette = [[0, 0, 0], [0, 128, 0], [128, 0, 0]]"),
    "color, unnamed": (colored, None, "masks store 3 colors", "palette = [[0, 0, 0], [0, 128, 0], [128, 0, 0]]"),
    "color not in palette": (
        colored, "palette = [[0, 0, 0], [128, 0, 0]]", "(0, 128, 0) (33.3% of it)", "add them to `palette`",
    ),
    "one more": (lambda _: stripes(), 'classes = ["a", "b"]', "value 2 is no class", "`classes`, or ignore = [2]"),
    "stray": (lambda _: np.where(stripes() == 1, 9, stripes()), THREE, "value 9 is no class", "values = [0, 2, 9]"),
    "gray levels": (lambda _: stripes() * 100, THREE, "values [100, 200] are no class", "values = [0, 100, 200]"),
    "smoothed": (smooth, None, "256 different values", "resized with interpolation"),
    "smoothed, named": (smooth, THREE, "are no class", "resized with interpolation"),
    "one class": (lambda _: stripes() * 0, None, "only one class", "label at least two"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_masks_that_cannot_be_trained_on(flat, case):
    mask, toml, what, mend = ERRORS[case]
    found = check(flat(mask, toml=toml))
    assert len(found.errors) == 1
    assert not found.ok
    assert not any("is empty" in fault.what for fault in found.faults)
    line = found.errors[0].line()
    assert what in line
    assert mend in line
    assert line in found.text()


WARNINGS = {
    "0/255 mask": (binary, None, "read as background and foreground", 'classes = ["background", "NAME"]'),
    "from one": (lambda _: stripes() + 1, None, "1..3 and none is 0", "values = [1, 2, 3]"),
    "gray levels": (lambda _: stripes() * 100, None, "gray levels [0, 100, 200]", "values = [0, 100, 200]"),
    "one empty": (lambda i: stripes() * np.uint8(i != 1), THREE, 'every position is class 0, "a"', "fine if"),
    "one all void": (lambda i: stripes() | np.uint8(255 * (i == 1)), THREE, "no position has", "label it"),
    "never seen": (lambda _: stripes(), 'classes = ["a", "b", "c", "d"]', 'class "d" is in no mask', "label some"),
}  # fmt: skip


@pytest.mark.parametrize("case", WARNINGS)
def test_masks_that_raise_a_doubt(flat, case):
    mask, toml, what, mend = WARNINGS[case]
    found = check(flat(mask, toml=toml))
    line = only(found, "warning")
    assert found.ok
    assert what in line
    assert mend in line


def test_palettes_that_differ_between_masks(flat):
    line = only(check(flat(lambda i: indexed(stripes(), PALETTE if i < 4 else PALETTE[::-1]))), "warning")
    assert "index 0 is the color (0, 128, 0)" in line or "index 0 is the color (0, 0, 0)" in line


def test_sizes_that_differ(flat):
    root = flat()
    save(root / "masks/1.png", stripes()[:12])
    assert "masks/1.png: the mask is 12 x 30, its image 24 x 30" in only(check(root), "error")
    save(root / "masks/1.png", np.ascontiguousarray(stripes().T))
    assert "lies on its side: turn it" in only(check(root), "error")


def test_a_missing_partner(flat):
    root = flat()
    (root / "masks/1.png").unlink()
    found = check(root)
    assert only(found, "warning").startswith("images/1.png: has no mask and is left out: add its mask")
    assert sum(found.fingerprint.images.values()) == 4
    save(root / "masks/1.png", stripes())
    (root / "images/2.png").unlink()
    assert only(check(root), "warning").startswith("masks/2.png: a mask without image")


@pytest.mark.parametrize("file", ["images/1.png", "masks/1.png"])
def test_a_truncated_file(flat, file):
    root = flat()
    (root / file).write_bytes((root / file).read_bytes()[:-30])
    assert only(check(root), "error").startswith(f"{file}: cannot be read")


def two_channels_first(_):
    return np.zeros((2, *SIZE), np.uint8) + np.arange(2, dtype=np.uint8)[:, None, None]


MASKS = {
    "2 channels, npy": (".npy", two_channels_first, "a mask of 2 channels"),
    "2 channels, tif": (".tif", lambda i: np.moveaxis(two_channels_first(i), 0, -1), "a mask of 2 channels"),
    "5 channels": (".tif", lambda i: np.arange(5, dtype=np.uint8) * stripes()[..., None], "a mask of 5 channels"),
    "16-bit color": (".tif", lambda _: PALETTE.astype(np.uint16)[stripes()] * 300, "a mask of colors of more than 8"),
}


@pytest.mark.parametrize("toml", [THREE, None, "palette = [[0, 0, 0], [128, 0, 0], [0, 128, 0]]"])
@pytest.mark.parametrize("case", MASKS)
def test_masks_of_odd_channels_are_listed(flat, case, toml):
    suffix, mask, said = MASKS[case]
    root = flat(lambda _: stripes() if toml is None or "classes" in toml else PALETTE[stripes()], toml=toml)
    (root / "masks/1.png").unlink()
    if suffix == ".npy":
        np.save(root / "masks/1.npy", mask(1))
    else:
        photometric = "rgb" if "color" in case else "minisblack"
        tifffile.imwrite(root / "masks/1.tif", mask(1), photometric=photometric, planarconfig="contig")
    found = check(root)
    assert f"masks/1{suffix}: {said}" in only(found, "error")
    assert "one channel, or colors as 8-bit RGB" in found.text()


def test_text_under_the_suffix_of_an_image(flat):
    root = flat()
    (root / "images/1.png").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "images/1.png: cannot be read, it is text, not a png file: get the file itself" in only(check(root), "error")


def test_names_of_other_encodings(flat, capsys):
    root = flat()
    for folder in ("images", "masks"):
        (root / folder / "1.png").rename(root / folder / os.fsdecode(b"M\xfcller.png"))
    found = check(root)
    lines = [fault.line() for fault in found.errors]
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["its name is not UTF-8"] * 2
    assert "images/M\\udcfcller.png: its name is not UTF-8: rename it" in found.text()
    show(lines[0], {}, as_json=False)
    show("", found.to_dict(), as_json=True)
    assert "images/M\\udcfcller.png: its name is not UTF-8" in capsys.readouterr().out


def test_json_is_json_where_numbers_are_not_finite(flat, capsys):
    root = flat()
    for path in (root / "images").iterdir():
        tifffile.imwrite(path.with_suffix(".tif"), np.full(SIZE, np.nan, np.float32))
        path.unlink()
    found = check(root)
    assert not found.ok
    show("", found.to_dict(), as_json=True)

    def refused(word):
        raise AssertionError(word)

    content = json.loads(capsys.readouterr().out, parse_constant=refused)
    assert content["fingerprint"]["minimum"] is None


def test_no_readable_image_at_all_is_a_user_error(flat):
    root = flat()
    for path in (root / "images").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match="cannot be read"):
        check(root)


def test_images_unlike_the_others(flat):
    root = flat()
    save(root / "images/1.png", picture(1, channels=1))
    line = only(check(root), "error")
    assert line == "images/1.png: it has 1 channel, most images have 3: write channels = 3 in dataset.toml"
    (root / "dataset.toml").write_text(f"{THREE}\nchannels = 3")
    assert check(root).faults == ()


def test_types_unlike_the_others_nan_and_blank(flat):
    root = flat()
    (root / "images/1.png").unlink()
    tifffile.imwrite(root / "images/1.tif", picture(1).astype(np.uint16) * 256, photometric="rgb")
    assert "its values are uint16, those of most images uint8" in only(check(root), "warning")
    pixels = picture(1).astype(np.float32)
    pixels[0, 0] = np.nan
    tifffile.imwrite(root / "images/1.tif", pixels, photometric="rgb")
    assert any("3 values are NaN or infinite" in fault.line() for fault in check(root).faults)
    (root / "images/1.tif").unlink()
    save(root / "images/1.png", picture(1) * 0)
    assert "images/1.png: the image is blank (all 0)" in only(check(root), "warning")


@pytest.mark.parametrize(("kind", "said"), [
    ("rgba", "alpha is dropped"),
    ("uint16", "16-bit: accepted"),
    ("float32", "float32: accepted"),
    ("float64", "float64: accepted, kept as float32"),
    ("palette", "palette colors: looked up"),
    ("exif", "turned by its EXIF orientation"),
    ("cmyk", "CMYK: read as RGB"),
])  # fmt: skip
def test_unusual_images_are_accepted_and_told(flat, kind, said):
    root = flat(count=3)
    for i in range(3):
        (root / f"images/{i}.png").unlink()
        rgb = picture(i)
        if kind == "rgba":
            save(root / f"images/{i}.png", np.concatenate([rgb, rgb[..., :1]], axis=-1))
        elif kind in ("uint16", "float32", "float64"):
            tifffile.imwrite(root / f"images/{i}.tif", rgb.astype(kind), photometric="rgb")
        elif kind == "palette":
            save(root / f"images/{i}.png", Image.fromarray(rgb).quantize(16))
        elif kind == "cmyk":
            Image.fromarray(rgb).convert("CMYK").save(root / f"images/{i}.jpg")
        else:
            exif = Image.Exif()
            exif[0x0112] = 3
            Image.fromarray(rgb).save(root / f"images/{i}.jpg", exif=exif)
    found = check(root)
    assert found.faults == ()
    assert len(found.notes) == 1
    assert said in found.notes[0]
    assert "3 images (images/0." in found.notes[0]


def test_masks_of_which_some_have_0_as_white_are_warned_of(flat):
    root = flat(count=4)
    for i in range(4):
        mask = stripes() > 0
        (root / f"masks/{i}.png").unlink()
        white = i % 2 == 1
        tifffile.imwrite(
            root / f"masks/{i}.tif", ~mask if white else mask, photometric="miniswhite" if white else "minisblack"
        )
    (root / "dataset.toml").unlink(missing_ok=True)
    found = check(root)
    assert found.errors == ()
    assert "masks/1.tif, masks/3.tif: 0 stands for white in it (WhiteIsZero)" in only(found, "warning")
    assert found.classes[1].frequency == pytest.approx((stripes() > 0).mean())  # inverted ones like the others


def test_palette_masks_and_void_are_noted(flat):
    void = np.where(stripes() == 2, 255, stripes())
    found = check(flat(lambda _: indexed(void, np.array(default_palette(256))), toml=None))
    assert found.faults == ()
    assert "5 masks are palette PNG or GIF: their indices are the labels" in found.notes[0]
    assert "value 255 is void" in found.notes[1]
    assert found.ignored == pytest.approx(1 / 3)


@pytest.mark.parametrize(("make", "toml", "said"), [
    (write_volumes, "spacing = [1.0]", "`spacing` has 1 value, but the images have 3 axes: write one distance for"),
    (write_volumes, "sampling_rate = 100", "`sampling_rate` is for signals, but the images have 3 axes: write"),
    (write_signals, "spacing = [1, 2]", "`spacing` has 2 values, but the images have 1 axis: write one distance"),
    (None, "spacing = [1, 1, 1]", "`spacing` has 3 values, but the images have 2 axes"),
    (None, "sampling_rate = 100", "`sampling_rate` is for signals, but the images have 2 axes"),
])  # fmt: skip
def test_distances_that_do_not_fit_the_axes(tmp_path, flat, make, toml, said):
    root = flat() if make is None else make(tmp_path, count=3)
    (root / "dataset.toml").write_text(toml)
    line = only(check(root), "error")
    assert line.startswith(f"dataset.toml: {said}")


def test_the_same_image_in_two_splits(flat):
    root = flat()
    sample = check(root).dataset.splits["val"][0]
    twin = next(s for s in check(root).dataset.splits["train"])
    shutil.copy(twin.image.path, sample.image.path)
    line = only(check(root), "warning")
    file, other = sample.image.path.name, twin.image.path.name
    assert line.startswith(
        f"images/{file}: the same image as images/{other}, in val and train: metrics on val will be too good"
    )


@pytest.mark.parametrize(("void", "split"), [([0], "val"), ([1, 2, 3, 4], "train")])
def test_a_split_in_which_nothing_counts(flat, void, split):
    toml = THREE + '\n[splits]\nval = ["0"]'
    found = check(flat(lambda i: np.full(SIZE, 255, np.uint8) if i in void else stripes(), toml=toml))
    assert [f"no position of {split} has a label that counts" in fault.line() for fault in found.errors] == [True]


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_images_than_splits(flat, count):
    found = check(flat(count=count))
    if count == 1:
        assert "fewer images than splits: 1 image for train and val" in only(found, "error")
    else:
        assert found.ok


def test_jpeg_masks(flat):
    root = flat(toml=None)
    for path in list((root / "masks").iterdir()):
        Image.fromarray(stripes() * 100).save(path.with_suffix(".jpg"), quality=60)
        path.unlink()
    assert any("saved as JPEG, which changes label values" in fault.what for fault in check(root).errors)


def test_a_fault_of_many_files_is_one_line(flat):
    found = check(flat(lambda _: stripes() + 1, count=9))
    line = only(found, "error")
    assert " and 6 more: value 3 is no class" in line
    assert len(found.faults[0].others) == 8


def test_a_class_that_only_train_has_is_noted(tmp_path):
    for split, names in (("train", "ab"), ("val", "c")):
        for name in names:
            save(tmp_path / split / f"{name}.png", picture(ord(name)))
            save(tmp_path / f"{split}annot" / f"{name}.png", np.minimum(stripes(), 2 if split == "train" else 1))
    assert check(tmp_path).notes == ("no mask of val has class 2: val cannot tell how well they are found",)


def test_findings_are_json_and_text(flat):
    found = check(flat(lambda i: stripes() * np.uint8(i != 1)))
    content = json.loads(json.dumps(found.to_dict()))
    assert content["splits"] == {"train": 4, "val": 1}
    assert content["faults"][0]["file"] == "masks/1.png"
    assert [row["name"] for row in content["classes"]] == ["a", "b", "c"]
    text = found.text()
    assert "24 x 30 (height x width), 3 channels, uint8" in text
    assert "1 warning: ready to train" in text
    assert max(len(line) for line in text.splitlines() if "  " in line[:2] and ":" not in line) < 100


def test_progress_is_told_once_per_image(flat):
    calls = []
    check(flat(), progress=lambda done, of: calls.append((done, of)))
    assert calls == [(i, 5) for i in range(1, 6)]


def test_nothing_heavy_is_imported():
    import subprocess
    import sys

    heavy = ("torch", "scipy", "zarr", "tifffile", "sklearn")
    code = f"import sys, atrous.data.check.check; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "images", "classes"), [
    ("camvid", {"train": 367, "val": 101}, 11),
    ("drive", {"train": 16, "val": 4}, 2),
    ("earth", {"train": 1, "val": 1}, 3),
])  # fmt: skip
def test_real_data_sets_have_no_faults(shared_data, name, images, classes):
    found = check(shared_data / name)
    assert found.faults == ()
    assert found.fingerprint.images == images
    assert len(found.classes) == classes
