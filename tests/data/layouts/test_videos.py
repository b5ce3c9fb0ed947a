"""Layouts of videos: DAVIS, sequences beside their masks, video files; masks of some frames only."""

import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.inputs import find_inputs
from atrous.verbs.check import check
from tests.clips import CLASSES, make_clip, write_frames, write_movie


def save(folder, pictures, suffix=".png", first=0, step=1):
    folder.mkdir(parents=True)
    for time, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{first + step * time:05d}{suffix}")


def test_davis_is_known_by_its_folders(tmp_path):
    found = check(write_frames(tmp_path))
    assert found.ok
    assert "video = false" in found.notes[-1]
    dataset = found.dataset
    assert dataset.kind == "videos"
    assert dataset.layout == "video, 5 folders of frames"
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 4, "val": 1}
    sample = dataset.samples[0]
    seed = int(sample.name[-1])
    assert sample.name == f"JPEGImages/clip{seed}"
    assert sample.image.load().shape == (3, 8, 48, 64)
    np.testing.assert_array_equal(sample.target.read(), make_clip(seed)[1])


def test_the_lists_of_davis_are_obeyed(tmp_path):
    root = write_frames(tmp_path)
    for split, names in (("train", "clip0\nclip3\n"), ("val", "clip1\nbear\n")):
        (root / "ImageSets" / "2017").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "2017" / f"{split}.txt").write_text(names)
    dataset = open_dataset(root)
    names = {split: [s.name[-1] for s in samples] for split, samples in dataset.splits.items()}
    assert names == {"train": ["0", "3"], "val": ["1"]}


def test_splits_by_sequence_in_the_description(tmp_path):
    root = write_frames(tmp_path)
    (root / "dataset.toml").write_text(CLASSES + 'values = [0, 255]\n[splits]\nval = ["clip2", "clip4"]\n')
    assert [s.name[-5:] for s in open_dataset(root).splits["val"]] == ["clip2", "clip4"]


@pytest.mark.parametrize("masks", ["masks/{}", "{}/masks"])
def test_sequences_beside_their_masks(tmp_path, masks):
    for seed in range(3):
        pictures, labels = make_clip(seed, frames=4)
        save(tmp_path / f"shot{seed}", pictures, ".jpg")
        save(tmp_path / masks.format(f"shot{seed}"), labels)
    dataset = open_dataset(tmp_path)
    assert dataset.kind == "videos"
    assert len(dataset.samples) == 3
    sample = next(s for s in dataset.samples if s.name == "shot1")
    np.testing.assert_array_equal(sample.target.read(), make_clip(1, frames=4)[1])


def test_video_files_with_a_folder_of_masks_each(tmp_path):
    for seed in range(3):
        pictures, labels = make_clip(seed, frames=4)
        write_movie(tmp_path / "clips" / f"shot{seed}.mp4", pictures)
        save(tmp_path / "masks" / f"shot{seed}", labels, first=1)
    (tmp_path / "dataset.toml").write_text(CLASSES)
    found = check(tmp_path)
    assert found.ok
    assert found.dataset.layout == "video, 3 .mp4 files"
    assert "frames x rows x columns" in found.text()
    assert found.fingerprint.sizes.max == (4, 48, 64)


def test_frames_without_a_mask_count_for_nothing(tmp_path):
    for seed in range(3):
        pictures, labels = make_clip(seed, frames=7)
        save(tmp_path / "frames" / f"shot{seed}", pictures, ".jpg")
        save(tmp_path / "masks" / f"shot{seed}", labels[::3], step=3)
    dataset = open_dataset(tmp_path)
    label = dataset.splits["val"][0].target.read()
    assert [bool((frame == IGNORE).all()) for frame in label] == [False, True, True, False, True, True, False]
    found = check(tmp_path)
    assert found.ok
    assert found.ignored == pytest.approx(4 / 7)
    assert sum(found.fingerprint.class_frequency) == pytest.approx(1)


def test_masks_of_a_video_file_may_be_counted_from_one(tmp_path):
    from atrous.data.targets.frame_masks import mask_of_frames

    pictures, labels = make_clip(0, frames=6)
    write_movie(tmp_path / "a.mp4", pictures)
    save(tmp_path / "one", labels[[1, 5]], first=2, step=4)
    assert mask_of_frames(tmp_path / "a.mp4", tmp_path / "one").tolist() == [-1, 0, -1, -1, -1, 1]
    save(tmp_path / "zero", labels[[0, 4]], step=4)
    assert mask_of_frames(tmp_path / "a.mp4", tmp_path / "zero").tolist() == [0, -1, -1, -1, 1, -1]
    save(tmp_path / "wrong", labels[:1], first=9)
    with pytest.raises(UserError, match=r"00009\.png: no frame of a\.mp4 has its number"):
        mask_of_frames(tmp_path / "a.mp4", tmp_path / "wrong")


def test_folders_of_images_stay_images(tmp_path):
    rng = np.random.default_rng(0)
    for city in ("aachen", "bonn"):
        for kind in ("images", "masks"):
            (tmp_path / kind / city).mkdir(parents=True)
            for i in range(4):
                picture = rng.integers(0, 2, (8, 9), dtype=np.uint8)
                Image.fromarray(picture).save(tmp_path / kind / city / f"{city}_{i}.png")
    assert open_dataset(tmp_path).kind == "grids"
    (tmp_path / "dataset.toml").write_text("video = true")
    dataset = open_dataset(tmp_path)
    assert dataset.kind == "videos"
    assert len(dataset.samples) == 2


def test_frames_may_have_numbers_of_different_lengths(tmp_path):
    """Else the frames of one video are in train and val."""
    root = write_frames(tmp_path, frames=12)
    for path in sorted(root.rglob("000*.*")):
        path.rename(path.with_name(f"{int(path.stem)}{path.suffix}"))
    dataset = open_dataset(root)
    assert dataset.kind == "videos"
    np.testing.assert_array_equal(dataset.samples[0].target.read(), make_clip(int(dataset.samples[0].name[-1]), 12)[1])


def test_numbered_images_stay_images_when_told(tmp_path):
    root = write_frames(tmp_path)
    (root / "dataset.toml").write_text(CLASSES + "values = [0, 255]\nvideo = false\n")
    assert len(open_dataset(root).samples) == 40


def test_videos_without_masks_are_named(tmp_path):
    write_movie(tmp_path / "a.mp4", make_clip(0, frames=3)[0])
    with pytest.raises(UserError, match=r"a\.mp4: no masks for any video"):
        open_dataset(tmp_path)


def test_inputs_are_videos_and_their_labels_folders(tmp_path):
    root = write_frames(tmp_path / "data", clips=2)
    write_movie(tmp_path / "films" / "day.1.mp4", make_clip(0, frames=3)[0])
    given = [root / "JPEGImages", tmp_path / "films", root / "JPEGImages" / "clip1"]
    found = find_inputs(given, ndim=3, channels=3, kind="videos")
    assert [item.relative.as_posix() for item in found] == ["clip0", "clip1", "day.1"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no videos in it"):
        find_inputs([tmp_path / "empty"], ndim=3, channels=3, kind="videos")


def test_the_real_davis(shared_data):
    dataset = open_dataset(shared_data / "davis")
    assert dataset.kind == "videos"
    assert dataset.coding.values == (0, 255)
    assert len(dataset.samples) == 8
