"""One file of another kind does not hide a data set; it is named."""

import numpy as np
import pytest
from rasterio.transform import Affine

from atrous.data.dataset import open_dataset
from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.clips import make_clip, write_frames, write_movie
from tests.data.data_folders import picture, save, stripes
from tests.maps import write_map
from tests.polygons import square, write_shapes


def recordings(root, count=5):
    rng = np.random.default_rng(0)
    for i in range(count):
        labels = np.repeat(rng.integers(0, 2, 6), 20)
        rows = [f"{a:.3f},{['rest', 'seizure'][label]}" for a, label in zip(rng.normal(0, 1, 120), labels, strict=True)]
        root.mkdir(parents=True, exist_ok=True)
        (root / f"n{i}.csv").write_text("\n".join(["eeg,label", *rows]) + "\n")
    return root


def movie(path):
    write_movie(path, make_clip(0, frames=3)[0])


def left_out(found):
    return [problem for problem in found.faults if problem.kind.startswith("left out")]


def test_recordings_with_films_beside_are_recordings(tmp_path):
    root = recordings(tmp_path)
    for i in range(5):
        movie(root / f"n{i}.mp4")
    found = check(root)
    assert found.dataset.layout == "recordings, .csv"
    (problem,) = left_out(found)
    assert len(problem.others) == 4
    assert "n0.mp4, n1.mp4, n2.mp4 and 2 more: a video among recordings, which is left out" in problem.line()
    assert "video = false" in problem.fix
    (root / "dataset.toml").write_text("video = false\n")
    assert left_out(check(root)) == []
    (root / "dataset.toml").write_text("video = true\n")
    with pytest.raises(UserError, match="no masks for any video"):
        check(root)


@pytest.mark.parametrize("place", ["montage.png", "images/montage.png", "train/montage.tif", "masks/montage.png"])
def test_a_picture_among_recordings_is_a_stray(tmp_path, place):
    root = recordings(tmp_path)
    save(root / place, picture(0))
    found = check(root)
    assert found.dataset.layout == "recordings, .csv"
    (problem,) = left_out(found)
    assert problem.file == place
    assert 'kind = "images"' in problem.fix
    (root / "dataset.toml").write_text('kind = "recordings"\n')
    assert left_out(check(root)) == []


def test_many_recordings_outnumber_one_picture_with_a_mask(tmp_path):
    root = recordings(tmp_path, 8)
    save(root / "images/a.png", picture(0))
    save(root / "masks/a.png", stripes())
    assert open_dataset(root).layout == "recordings, .csv"
    (root / "dataset.toml").write_text('kind = "images"\n')
    assert len(find_layout(root, Description(kind="images")).splits["train"]) == 1


def test_tables_beside_images_are_no_recordings(tmp_path, flat):
    root = flat()
    recordings(root / "measured", 5)
    (root / "train.csv").write_text("name,label\na,1\nb,2\n")
    movie(root / "flight.mp4")
    found = check(root)
    assert found.dataset.kind == "grids"
    assert found.dataset.layout.startswith("images in images")
    (problem,) = left_out(found)
    assert problem.line().startswith("flight.mp4: a video among images, which is left out: write video = true")


@pytest.mark.parametrize("other", ["csv", "mp4", "fa"])
def test_images_with_a_file_of_polygons_are_no_strays(tmp_path, other):
    grid = Affine(10, 0, 400000, 0, -10, 5200000)
    for i in range(3):
        write_map(tmp_path / f"images/{i}.tif", picture(i).transpose(2, 0, 1), grid)
    write_shapes(tmp_path / "labels.gpkg", [square(400010, 5199990, 80)], kind=["field"])
    if other == "csv":
        recordings(tmp_path / "measured", 3)
    elif other == "mp4":
        movie(tmp_path / "flight.mp4")
    else:
        (tmp_path / "a.fa").write_text(">a\nACGT\n")
        (tmp_path / "a.gff").write_text("a\tx\tCDS\t1\t3\t.\t+\t0\tID=1\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.kind, len(dataset.samples)) == ("grids", 3)
    (tmp_path / "labels.gpkg").unlink()
    if other == "mp4":
        with pytest.raises(UserError, match="no folder of masks"):
            open_dataset(tmp_path)
    else:
        assert ("recordings" if other == "csv" else "genome") in open_dataset(tmp_path).layout


def test_a_picture_and_a_film_among_scans_are_strays(tmp_path):
    from tests.scans import write_series

    root = write_series(tmp_path / "scans")
    save(root / "images/preview.png", picture(0))
    movie(root / "spin.mp4")
    found = check(root)
    assert found.dataset.layout.startswith("DICOM series")
    assert [problem.file for problem in left_out(found)] == ["spin.mp4", "images/preview.png"]


@pytest.mark.parametrize("place", ["JPEGImages/cover.jpg", "JPEGImages/extra/cover.jpg"])
def test_a_picture_among_frames_is_a_stray(tmp_path, place):
    root = write_frames(tmp_path)
    save(root / place, picture(0))
    (root / "JPEGImages/clip1/00003.jpg").unlink()  # a gap
    (root / "Annotations/clip1/00003.png").unlink()
    found = check(root)
    assert found.ok
    assert found.dataset.layout == "video, 5 folders of frames"
    assert [problem.file for problem in left_out(found)] == [place]


def test_a_film_without_masks_and_masks_without_film_are_no_images(tmp_path):
    movie(tmp_path / "clips/a.mp4")
    save(tmp_path / "masks/b/00000.png", stripes())
    save(tmp_path / "poster.png", picture(0))
    with pytest.raises(UserError, match="no masks for any video"):
        check(tmp_path)


def test_a_genome_among_images_and_images_among_genomes(tmp_path, flat):
    root = flat()
    (root / "phix.fa").write_text(">phix\nACGT\n")
    assert open_dataset(root).kind == "grids"
    other = tmp_path / "genomes"
    other.mkdir()
    for name in "abc":
        (other / f"{name}.fa").write_text(f">{name}\n{'ACGT' * 50}\n")
        (other / f"{name}.gff").write_text(f"{name}\tx\tCDS\t1\t90\t.\t+\t0\tID=1\n")
    for i in range(9):
        save(other / f"figures/{i}.png", picture(i))
    found = check(other)
    assert found.dataset.kind == "genomes"
    assert len(left_out(found)[0].others) == 8


def test_a_video_alone_still_asks_for_its_masks(tmp_path):
    movie(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"no masks for any video: .* or write video = false"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('kind = "film"', r'kind = "film" is not known: it is one of .*recordings'),
        ('kind = "genomes"', r'kind = "genomes" in .*dataset\.toml, but there are none in it'),
        ('kind = "images"\nvideo = true', '`kind` is "images" and `video` is true'),
        ("kind = 3", "`kind` must be"),
    ],
)
def test_a_wrong_kind_is_said(tmp_path, toml, said):
    root = recordings(tmp_path)
    (root / "dataset.toml").write_text(toml)
    with pytest.raises(UserError, match=said):
        check(root)
