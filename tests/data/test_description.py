import pytest

from atrous.data.description import KEYS, Description, read_description
from atrous.errors import UserError


def read(tmp_path, text):
    (tmp_path / "dataset.toml").write_text(text)
    return read_description(tmp_path)


def test_without_a_file_nothing_is_said(tmp_path):
    assert read_description(tmp_path) == Description()


def test_every_key_is_read(tmp_path):
    (tmp_path / "names.txt").write_text("a 1\n\nb\n")
    described = read(
        tmp_path,
        """
        task = "semantic"
        classes = ["bg", "cell"]
        ignore = [7, [0, 0, 255]]
        values = [0, 254]
        palette = [[0, 0, 0], [255, 0, 0]]
        channels = ["red", "green", "blue"]
        spacing = [0.5, 2]
        images = "scans"
        masks = "drawn"
        [splits]
        val = "names.txt"
        test = 0.25
        train = ["c"]
        """,
    )
    assert described == Description(
        file=tmp_path / "dataset.toml",
        task="semantic",
        classes=("bg", "cell"),
        ignore=(7,),
        ignore_colors=(255,),
        values=(0, 254),
        palette=((0, 0, 0), (255, 0, 0)),
        channels=3,
        channel_names=("red", "green", "blue"),
        spacing=(0.5, 2.0),
        splits={"val": ("a 1", "b"), "test": 0.25, "train": ("c",)},
        images="scans",
        masks="drawn",
    )


def test_files_of_a_windows_editor_are_read(tmp_path):
    (tmp_path / "names.txt").write_text("my scan\r\nb\r\n", encoding="utf-8-sig")
    (tmp_path / "dataset.toml").write_text('classes = ["a"]\r\n[splits]\r\nval = "names.txt"', encoding="utf-8-sig")
    described = read_description(tmp_path)
    assert described.classes == ("a",)
    assert described.splits == {"val": ("my scan", "b")}
    (tmp_path / "names.txt").write_bytes("M\u00fcller\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"names\.txt: not UTF-8 text .*: save it as UTF-8"):
        read_description(tmp_path)


def test_a_file_elsewhere_is_read_and_must_be_there(tmp_path):
    (tmp_path / "mine.toml").write_text('classes = ["a", "b"]')
    assert read_description(tmp_path / "data", tmp_path / "mine.toml").classes == ("a", "b")
    with pytest.raises(UserError, match=r"none\.toml: no such file"):
        read_description(tmp_path, tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clases = 3", r"dataset\.toml: unknown key `clases`: did you mean `classes`\?"),
        ("xyzzy = 3", "unknown key `xyzzy`: known are task, classes"),
        ("classes = [", "not valid TOML"),
        ('classes = "a"', r"`classes` must be a list of names"),
        ('classes = ["a", "a"]', '`classes` has "a" twice'),
        (f"classes = {[str(i) for i in range(255)]}", "at most 254"),
        ('task = "boxes"', '`task` must be "semantic"'),
        ('ignore = "all"', "`ignore` must be"),
        ("ignore = [true]", "`ignore` must be"),
        ("values = [1.5]", "`values` must be"),
        ("values = [1, 1]", "has a value twice"),
        ("palette = [[0, 0]]", "`palette` must be"),
        ("palette = [[0, 0, 256]]", "`palette` must be"),
        ("palette = [[0, 0, 0], [0, 0, 0]]", "has a color twice"),
        ("channels = 0", "`channels` must be"),
        ("spacing = -1", "`spacing` must be"),
        ("spacing = [inf, 1, 1]", "`spacing` must be"),
        ("spacing = [nan, 1, 1]", "`spacing` must be"),
        ("sampling_rate = inf", "`sampling_rate` must be"),
        ("sampling_rate = true", "`sampling_rate` must be"),
        ("images = 3", "`images` must be the name of a folder"),
        ("splits = 3", "`splits` must be"),
        ("[splits]\ndev = 0.1", "unknown split `dev`"),
        ("[splits]\nval = 2", "`splits.val` must be"),
        ("[splits]\nval = 0.7\ntest = 0.7", "add up to 1.4"),
        ('[splits]\nval = "val.txt"', r"names val\.txt, which is not there"),
        ('classes = ["a", "b"]\nvalues = [0, 1, 2]', "3 `values` for 2 `classes`"),
        ('classes = ["a", "b"]\npalette = [[0, 0, 0]]', "1 `palette` for 2 `classes`"),
        ("values = [0, 255]\nignore = [255]", "255 is in both"),
        ("palette = [[0, 0, 0], [255, 0, 0]]\nignore = [[0, 0, 0]]", r"the color \[0, 0, 0\] is in both"),
    ],
)
def test_a_mistake_is_one_line_that_names_file_and_key(tmp_path, text, said):
    with pytest.raises(UserError, match=said) as raised:
        read(tmp_path, text)
    assert "dataset.toml" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_keys_are_those_of_the_design():
    assert {"task", "classes", "ignore", "palette", "channels", "spacing", "splits"} <= set(KEYS)
