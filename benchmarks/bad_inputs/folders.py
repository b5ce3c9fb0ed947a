"""Mistakes in folders and in dataset.toml."""

from pathlib import Path

from benchmarks.bad_inputs.mistake import Mistake
from benchmarks.bad_inputs.pictures import data_set, photo, put, spoiled, square
from tests.clips import make_clip, write_movie


def video_beside(folder: Path) -> None:
    write_movie(folder / "flight.mp4", make_clip(0, frames=3)[0])


def hidden_suffix(folder: Path) -> None:
    (folder / "dataset.toml").rename(folder / "dataset.toml.txt")


def unreadable(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        path.write_bytes(b"")


def notes_alone(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("to do: draw the masks")


def no_masks(folder: Path) -> None:
    for index in range(3):
        put(folder / f"images/{index}.png", photo(index))


def strangers(folder: Path) -> None:
    """Write masks whose names are not those of the images."""
    for index in range(3):
        put(folder / f"images/photo{index}.png", photo(index))
        put(folder / f"masks/{'abc'[index]}.png", photo(index) // 255)


def one_folder(folder: Path) -> None:
    for index in range(4):
        put(folder / f"a{index}.png", photo(index))
        put(folder / f"b{index}.png", square(index))


def annotated(suffix: str):
    """Return what writes images with files of this suffix beside."""

    def make(folder: Path) -> None:
        for index in range(4):
            put(folder / f"images/{index}.png", photo(index))
            (folder / "labels").mkdir(exist_ok=True)
            (folder / f"labels/{index}{suffix}").write_text("{}")

    return make


def run_lengths(folder: Path) -> None:
    for index in range(4):
        put(folder / f"train/{index}.png", photo(index))
    rows = [f"{index}.png,{9 + index} 3" for index in range(4)]
    (folder / "train.csv").write_text("\n".join(["ImageId,EncodedPixels", *rows]) + "\n")


def files_of(suffix: str):
    """Return what writes files of this suffix alone."""

    def make(folder: Path) -> None:
        folder.mkdir()
        for index in range(3):
            (folder / f"{index}{suffix}").write_bytes(b"not read")

    return make


MISTAKES = (
    Mistake(
        "fewer images than splits", data_set(count=1), "error",
        ("fewer images than splits: 1 image for train and val", "add images, or cut one into several files"),
    ),
    Mistake(
        "among data of another kind", spoiled(video_beside), "warning",
        ("flight.mp4", "a video among images, which is left out", "write video = true in dataset.toml"),
    ),
    Mistake("There is no such folder", lambda folder: None, "refused", ("no such folder", "give the folder")),
    Mistake(
        "no layout", notes_alone, "refused",
        ("no images, only .txt files", "give a folder with images/ and masks/"),
    ),
    Mistake("no layout", no_masks, "refused", ("no folder of masks", 'name it masks/ or write masks = "FOLDER"')),
    Mistake(
        "no layout", one_folder, "refused",
        ("images are there (a0.png, ...)", "put them into images/ and masks/, or end the names of masks in _mask"),
    ),
    Mistake(
        "no layout", annotated(".json"), "refused",
        (".json files hold no annotations as those of COCO", "or draw them as masks"),
    ),
    Mistake(
        "no layout", annotated(".txt"), "refused",
        (".txt files hold no annotations as those of YOLO", "or draw them as masks"),
    ),
    Mistake(
        "no layout", run_lengths, "refused",
        ("no folder of masks", ".csv files", "draw them as masks"),
    ),
    Mistake("files that are not read", files_of(".zip"), "refused", ("only .zip files", "unpack them first")),
    Mistake(
        "files that are not read", files_of(".xlsx"), "refused",
        ("only .xlsx files", "save each recording as CSV"),
    ),
    Mistake("files that are not read", files_of(".nrrd"), "refused", ("only .nrrd files", "convert them to NIfTI")),
    Mistake(
        "Two images, or two masks", spoiled(lambda folder: put(folder / "images/3.jpg", photo(3))), "refused",
        ("images/3.png", "the same name as images/3.jpg", "rename one of them"),
    ),
    Mistake("no mask fits", strangers, "refused", ("no image fits a mask by name", "give a mask its image's name")),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='clases = ["a", "b"]\n'), "refused",
        ("dataset.toml: unknown key `clases`", "did you mean `classes`?"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='classes = ["a", "b"\nvalues = [0, 1]\n'), "refused",
        ("dataset.toml: not valid TOML", "line 2"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='classes = ["a", "b"]\nvalues = [0]\n'), "refused",
        ("dataset.toml: 1 `values` for 2 `classes`", "give one for each class"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='[splits]\ntrain = ["0", "1"]\nval = ["1", "2"]\n'), "refused",
        ("dataset.toml: 1 is in both train and val", "leave it in one"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='[splits]\nval = ["patient7"]\n'), "refused",
        ("dataset.toml: no image with a mask is named patient7", "correct it in `splits`"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml='groups = "^patient([0-9]+)"\n'), "refused",
        ('dataset.toml: groups = "^patient([0-9]+)" fits no name, such as images/0', "correct it"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", data_set(toml="classes: [a, b]\n"), "refused",
        ("dataset.toml: not valid TOML", "line 1"),
    ),
    Mistake(
        "A mistake in `dataset.toml`", spoiled(hidden_suffix), "refused",
        ("dataset.toml.txt: is not read under this name", "rename it to dataset.toml"),
    ),
    Mistake(
        "No image can be read", spoiled(unreadable), "refused",
        ("images/", "cannot be read, it is empty (0 bytes)", "copy it again"),
    ),
)  # fmt: skip
