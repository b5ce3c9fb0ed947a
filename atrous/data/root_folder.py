"""The folder of a data set, wherever it lies: on disk, at a URL, in shards."""

from pathlib import Path

from atrous.data.formats.table import is_url, local_path
from atrous.data.remote_folder import folder_at
from atrous.data.shards import unpacked


def data_folder(data: Path | str) -> Path:
    """Return the folder on disk of a data set: the path as it is, or the mirror of a URL or of shards.

    What was opened before has the same mirror as long as the files are the same.

    Raises:
        UserError: the URL cannot be listed, there are no files, or a shard is damaged.

    >>> data_folder("data/cells").as_posix(), data_folder("file:///data/cells").as_posix()
    ('data/cells', '/data/cells')
    """
    return unpacked(folder_at(str(data)) if is_url(data) else Path(local_path(str(data))))
