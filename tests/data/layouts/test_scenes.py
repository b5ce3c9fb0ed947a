import numpy as np
import pytest
from PIL import Image

from atrous.data.background import Background
from atrous.data.dataset import open_dataset
from atrous.data.description import read_description
from atrous.data.formats import FileFault
from atrous.data.layouts.scenes import find_scenes, sequence_of
from atrous.errors import UserError
from atrous.verbs.check import check
from tests.pairs import make_scene, write_scene


def layout(root, task="motion"):
    return find_scenes(root, read_description(root, None, task))


def test_the_last_quarter_of_the_labelled_frames_is_the_validation_split(tmp_path):
    found = layout(write_scene(tmp_path / "shop"))
    assert [sample.name for sample in found.splits["val"]] == ["input/in000018", "input/in000020", "input/in000022"]
    assert [sample.image.number for sample in found.splits["train"]] == list(range(0, 18, 2))
    assert found.split_origin == "val: the last 3 of 12 labelled frames"
    assert (found.kind, found.task, found.classes) == ("scenes", "motion", ("background", "foreground"))


def test_a_sample_is_a_frame_with_its_background(tmp_path):
    root = write_scene(tmp_path / "shop")
    pictures, _ = make_scene()
    sample = layout(root).splits["val"][0]
    image = sample.image.load()
    assert image.shape == sample.image.header().shape == (6, 1, 48, 64)
    np.testing.assert_array_equal(image[:3, 0], np.moveaxis(pictures[18], -1, 0))
    looked_at = np.sort(pictures[Background().numbers(18)], axis=0)
    np.testing.assert_array_equal(image[3:, 0], np.moveaxis(looked_at[(len(looked_at) - 1) // 2], -1, 0))


@pytest.mark.parametrize("gray", [True, False])
def test_frames_become_gray_or_color_where_the_data_set_says_so(tmp_path, gray):
    root = write_scene(tmp_path / "shop")
    pictures = make_scene()[0]
    wanted = np.moveaxis(pictures[18], -1, 0)
    if not gray:
        for path in (root / "input").iterdir():
            Image.fromarray(np.asarray(Image.open(path))[..., 0]).save(path)
        wanted = wanted[:1].repeat(3, axis=0)
    else:
        wanted = np.rint(np.tensordot([0.299, 0.587, 0.114], wanted, axes=1))[None]
    (root / "dataset.toml").write_text(f"channels = {1 if gray else 3}\n")
    found = check(root, task="motion")
    assert found.ok, found.text()
    image = min(found.dataset.splits["val"], key=lambda sample: sample.name).image.load()
    assert image.shape == (2 * len(wanted), 1, 48, 64)
    np.testing.assert_array_equal(image[: len(wanted), 0], wanted)


def test_a_gray_camera_beside_others_is_told_with_the_channels_of_its_frames(tmp_path):
    for name in ("a", "b", "c"):
        write_scene(tmp_path / name)
    for path in (tmp_path / "c" / "input").iterdir():
        Image.fromarray(np.asarray(Image.open(path))[..., 0]).save(path)
    said = "it has 1 channel, most images have 3: write channels = 3 in dataset.toml"
    assert said in check(tmp_path, task="motion").text()
    (tmp_path / "dataset.toml").write_text("channels = 3\n")
    assert check(tmp_path, task="motion").ok


def test_values_of_changedetection_net_are_read(tmp_path):
    dataset = open_dataset(write_scene(tmp_path / "shop"))
    _, moving = make_scene()
    labels = dataset.splits["train"][1].target.read()
    assert labels.shape == (1, 48, 64)
    assert (labels[0, :4] == 255).all()  # unknown
    assert (labels[0, -4:] == 255).all()  # outside of the region
    assert (labels[0, 4:6] == 0).all()  # shadow
    np.testing.assert_array_equal(labels[0, 6:-4], moving[2, 6:-4])


def test_masks_of_zeros_and_ones_are_read(tmp_path):
    root = write_scene(tmp_path / "shop")
    for path in (root / "groundtruth").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) == 255).astype(np.uint8)).save(path)
    found = check(root, task="motion")
    assert found.ok
    assert found.classes[1].frequency > 0.01


def test_a_mask_in_color_is_refused(tmp_path):
    root = write_scene(tmp_path / "shop")
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "groundtruth" / "gt000000.png")
    said = "\n".join(problem.line() for problem in check(root).errors)
    assert "gt000000.png: a mask in color: save it in one channel" in said


def test_without_a_task_the_names_must_be_those_of_changedetection_net(tmp_path):
    root = write_scene(tmp_path / "shop")
    assert layout(root, None).task == "motion"
    assert layout(root, "semantic") is None
    (root / "input").rename(root / "frames")
    (root / "groundtruth").rename(root / "masks")
    assert layout(root, None) is None
    assert layout(root).task == "motion"


def test_of_several_sequences_whole_ones_are_held_out(tmp_path):
    for name in ("door", "hall", "road"):
        write_scene(tmp_path / name, frames=8)
    found = layout(tmp_path)
    held_out = {sample.group for sample in found.splits["val"]}
    assert len(held_out) == 1
    assert not held_out & {sample.group for sample in found.splits["train"]}
    assert found.name.startswith("3 sequences of a fixed camera")


def test_frames_before_those_that_count_are_left_out(tmp_path):
    root = write_scene(tmp_path / "shop")
    (root / "temporalROI.txt").write_text("6 20")
    numbers = [sample.image.number for samples in layout(root).splits.values() for sample in samples]
    assert sorted(numbers) == list(range(6, 21, 2))
    (root / "temporalROI.txt").write_text("all")
    with pytest.raises(FileFault, match="is to hold two numbers"):
        layout(root)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(UserError, match="put the frames into input/"):
        layout(tmp_path)
    root = write_scene(tmp_path / "shop")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(root / "groundtruth" / "gt000099.png")
    with pytest.raises(FileFault, match="no frame of input has its number"):
        layout(root)


def test_one_labelled_frame_is_too_few_and_what_to_do_is_said(tmp_path):
    root = write_scene(tmp_path / "shop")
    for path in sorted((root / "groundtruth").iterdir())[1:]:
        path.unlink()
    found = check(root, task="motion")
    assert "fewer labelled frames than splits: 1 labelled frame for train and val: label another frame" in found.text()


def test_masks_of_another_size_are_errors(tmp_path):
    root = write_scene(tmp_path / "shop")
    Image.fromarray(np.zeros((48, 60), np.uint8)).save(root / "groundtruth" / "gt000002.png")
    said = "\n".join(problem.line() for problem in check(root).errors)
    assert "gt000002.png: the mask is 1 x 48 x 60, its image 1 x 48 x 64" in said


def test_settings_say_how_the_background_is_found(tmp_path):
    from atrous.verbs.opened import open_dataset_from

    root = write_scene(tmp_path / "shop")
    dataset = open_dataset_from(root, task="motion", settings={"options.background_frames": 4})
    assert dataset.samples[0].image.scene.background == Background(4, 1024)
    with pytest.raises(UserError, match=r"task.options: background_frames, background_span: 9 of 4 frames"):
        open_dataset_from(root, task="motion", settings={"options": {"background_frames": 9, "background_span": 4}})
    with pytest.raises(UserError, match="needs whole sequences"):
        open_dataset_from(([np.zeros((6, 8, 8))], [np.zeros((8, 8))]), task="motion")


def test_the_folders_of_a_sequence_know_each_other(tmp_path):
    root = write_scene(tmp_path / "shop")
    assert sequence_of(root / "input") == sequence_of(root / "groundtruth") == (root / "input", root / "groundtruth")
    assert sequence_of(root) == (None, None)
