"""Files of microscopes, byte by byte, since nothing writes them but the microscopes' own programs."""

import struct

import numpy as np

NUMBERS = {"X": 1, "Y": 2, "Z": 3, "T": 4, "M": 10}


def write_lif(path, images, names=("Blue", "Green"), apart=None, more=""):
    """Leica's format: a header of XML, then a block of memory for each image.

    Args:
        path: the file.
        images: name of each image to its axes (`TCZYX`, a part of them in this order, or `ZYXS`) and values.
        names: of the channels.
        apart: distance of positions along each axis, in meters and seconds.
        more: XML beside the images.
    """
    elements, blocks = "", b""
    for number, (name, (axes, pixels)) in enumerate(images.items()):
        values = np.ascontiguousarray(pixels)
        step = dict(zip(axes, values.strides, strict=True))
        size = dict(zip(axes, values.shape, strict=True))
        channel = "C" if "C" in axes else "S"
        about = (
            f'DataType="{int(values.dtype.kind == "f")}" Resolution="{8 * values.itemsize}" NameOfMeasuredQuantity="" '
            'Min="0" Max="1" Unit="" IsLUTInverted="0" BitInc="0"'
        )
        channels = "".join(
            f'<ChannelDescription {about} ChannelTag="{c + 1 if channel == "S" else 0}" '
            f'LUTName="{names[c % len(names)]}" BytesInc="{c * step.get(channel, 0)}"/>'
            for c in range(size.get(channel, 1))
        )
        dimensions = "".join(
            f'<DimensionDescription DimID="{NUMBERS[axis]}" NumberOfElements="{size[axis]}" Origin="0" '
            f'Length="{(apart or {}).get(axis, 0) * (size[axis] - 1)}" Unit="{"s" if axis == "T" else "m"}" '
            f'BytesInc="{step[axis]}" BitInc="0"/>'
            for axis in axes
            if axis not in "CS"
        )
        image = f"<Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions>"
        elements += (
            f'<Element Name="{name}"><Data><Image><ImageDescription>{image}</ImageDescription></Image></Data>'
            f'<Memory Size="{values.nbytes}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        block = f"MemBlock_{number}".encode("utf-16-le")
        blocks += struct.pack("<IIBQBI", 0x70, 14 + len(block), 0x2A, values.nbytes, 0x2A, len(block) // 2) + block
        blocks += values.tobytes()
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="{path.name}">'
        f"<Children>{more}{elements}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    path.write_bytes(struct.pack("<IIBI", 0x70, 5 + len(xml), 0x2A, len(xml) // 2) + xml + blocks)
    return path
