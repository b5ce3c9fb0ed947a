"""Image, label, signal and video files: one object for each format, all read as arrays with the channel first.

An image is `(C, *S)` in uint8, uint16 or float32. Labels are `(*S)` with the numbers that the file stores. The library
that a format needs is imported when the first file of that format is opened.
"""

from atrous.data.formats.base import FileFault, FileGeometry, Format, LabelDetails, Palette
from atrous.data.formats.colors import code_color, color_code, is_color, require_rgb, single_channel
from atrous.data.formats.frames import frame_files, frame_number, stack_values
from atrous.data.formats.header import Header, MapGrid
from atrous.data.formats.intervals import Annotations, Interval, nearest_sample
from atrous.data.formats.reading import (
    channel_names,
    has_label,
    has_signals,
    image_shape,
    is_annotated,
    open_source,
    open_valid,
    read_annotations,
    read_header,
    read_image,
    read_label,
    read_values,
    read_words,
)
from atrous.data.formats.table import (
    ANNOTATED_SUFFIXES,
    SIGNAL_SUFFIXES,
    SUFFIXES,
    VIDEO_SUFFIXES,
    add_format,
    format_of,
    is_series,
    is_video,
    label_suffix,
    stem,
    suffix_of,
)
from atrous.data.formats.writing import (
    LabelSink,
    ProbabilitySink,
    check_like,
    open_labels,
    open_probabilities,
    write_label,
    write_probabilities,
)

__all__ = [
    "ANNOTATED_SUFFIXES",
    "SIGNAL_SUFFIXES",
    "SUFFIXES",
    "VIDEO_SUFFIXES",
    "Annotations",
    "FileFault",
    "FileGeometry",
    "Format",
    "Header",
    "Interval",
    "LabelDetails",
    "LabelSink",
    "MapGrid",
    "Palette",
    "ProbabilitySink",
    "add_format",
    "channel_names",
    "check_like",
    "code_color",
    "color_code",
    "format_of",
    "frame_files",
    "frame_number",
    "has_label",
    "has_signals",
    "image_shape",
    "is_annotated",
    "is_color",
    "is_series",
    "is_video",
    "label_suffix",
    "nearest_sample",
    "open_labels",
    "open_probabilities",
    "open_source",
    "open_valid",
    "read_annotations",
    "read_header",
    "read_image",
    "read_label",
    "read_values",
    "read_words",
    "require_rgb",
    "single_channel",
    "stack_values",
    "stem",
    "suffix_of",
    "write_label",
    "write_probabilities",
]
