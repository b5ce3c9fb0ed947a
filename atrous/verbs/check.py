"""The check verb: find the layout of a folder, and read every file in it once."""

from pathlib import Path

from atrous.data.check.check import Check
from atrous.data.description import Description, read_description
from atrous.data.formats.mirrored import named_by_url
from atrous.data.layouts.base import Layout
from atrous.data.layouts.table import find_layout
from atrous.data.root_folder import data_folder
from atrous.data.scan import Progress
from atrous.verbs.kinds import KINDS


def check(
    root: Path | str, toml: Path | str | None = None, progress: Progress | None = None, task: str | None = None
) -> Check:
    """Read every file of a data set once; say what it holds, what is wrong with it, and how to fix it.

    Args:
        root: the folder, or its URL.
        toml: a dataset.toml that lies elsewhere.
        progress: called as `progress(done, total)` after each image.
        task: what is learned, such as "instances"; None leaves it to dataset.toml.

    Returns:
        The findings; `print(check(root).text())` shows them.

    Raises:
        UserError: no layout fits, dataset.toml is wrong, or not one image can be read. Everything else is a problem in
            the result, so that one run shows all of them.

    >>> import tempfile
    >>> from atrous.demo.digits import write_digit_scenes
    >>> found = check(write_digit_scenes(tempfile.mkdtemp() + "/data", train=3, val=1, test=1, size=(64, 64)))
    >>> found.fingerprint.images, found.ok
    ({'train': 3, 'val': 1, 'test': 1}, True)
    """
    with named_by_url():
        root = data_folder(root)
        description = read_description(root, None if toml is None else Path(toml), task)
        return check_layout(root, description, find_layout(root, description), progress)


def check_layout(root: Path, description: Description, layout: Layout, progress: Progress | None = None) -> Check:
    """Read every sample of a layout once, as its kind of data is read."""
    return KINDS[layout.kind].check(root, description, layout, progress)
