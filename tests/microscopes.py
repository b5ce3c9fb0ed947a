"""Files of microscopes, byte by byte, since nothing writes them but the microscopes' own programs."""

import struct
import zlib

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


def write_nd2(path, loops, pixels, names=None, apart=(0.1, 0.3, 2.0), packed=False, padding=0, left_out=()):
    """Nikon's format, version 3: chunks of planes and of metadata, and a map of them at the end.

    Args:
        path: the file.
        loops: what the first axes of the pixels go through, of the letters `T`, `P` and `Z`.
        pixels: `(*loops, H, W, C)`.
        names: of the channels.
        apart: micrometers of pixels and of slices, and seconds of time points; 0 for unknown pixels.
        packed: whether planes and metadata are packed by zlib.
        padding: bytes after every row.
        left_out: numbers of planes that are not written.
    """
    *_, height, width, channels = pixels.shape
    data = np.ascontiguousarray(pixels)
    planes = data.reshape(-1, height, width * channels).view(np.uint8)
    planes = np.pad(planes, ((0, 0), (0, 0), (0, padding)))
    bits = 8 * data.itemsize
    size = {"uiWidth": width, "uiHeight": height, "uiWidthBytes": planes.shape[2], "uiComp": channels}
    attributes = {**size, "uiBpcInMemory": bits, "uiBpcSignificant": bits, "uiSequenceCount": len(planes)}
    attributes |= {"uiTileWidth": width, "uiTileHeight": height, "eCompression": 0 if packed else 2}
    attributes["dCompressionParam"] = 0.0
    names = names or [f"c{c}" for c in range(channels)]
    described = {
        f"a{c}": {"sDescription": name, "uiCompCount": 1, "uiSampleIndex": c, "pFluorescentProbe": {"m_sName": "x"}}
        for c, name in enumerate(names)
    }
    shown = {"uiCount": len(names), "sPlaneNew": described}
    meta = {"dCalibration": float(apart[0]), "bCalibrated": apart[0] > 0, "sPicturePlanes": shown}
    experiment = {}
    for letter, count in reversed(list(zip(loops, pixels.shape, strict=False))):
        experiment = {**_loop(letter, count, apart), **({"ppNextLevelEx": {"": experiment}} if experiment else {})}
    chunks = [
        (f"ImageDataSeq|{i}!", struct.pack("<d", 0.0) + (zlib.compress(plane.tobytes()) if packed else plane.tobytes()))
        for i, plane in enumerate(planes)
        if i not in left_out
    ]
    for name, tree in (("Attributes", attributes), ("MetadataSeq", meta), ("Metadata", experiment)):
        root = {"Attributes": "SLxImageAttributes", "MetadataSeq": "SLxPictureMetadata"}.get(name, "SLxExperiment")
        encoded = _variant(root, tree)
        if packed:
            encoded = b"\x4c\x00" + struct.pack("<QH", len(encoded), 0) + zlib.compress(encoded)
        chunks.append((f"Image{name}LV{'|0' if name == 'MetadataSeq' else ''}!", encoded))
    content = _chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"), 32)
    places = b""
    for name, encoded in chunks:
        places += name.encode() + struct.pack("<QQ", len(content), len(encoded))
        content += _chunk(name.encode(), encoded, 4072)  # so that pixels begin 4096 bytes further on
    places += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(content))
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(content))
    path.write_bytes(content + _chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", places, 60) + end)
    return path


def _chunk(name, data, length):
    return struct.pack("<IIQ", 0x0ABECEDA, length, len(data)) + name.ljust(length, b"\0") + data


def _loop(letter, count, apart):
    if letter == "T":
        times = {"dStart": 0.0, "dPeriod": 1000.0 * apart[2], "dDuration": 1000.0 * apart[2] * count}
        return {"eType": 1, "uLoopPars": {"uiCount": count, **times}}
    if letter == "P":
        points = {"": [{"dPosX": float(i), "dPosY": 0.0, "dPosZ": 0.0} for i in range(count)]}
        return {"eType": 2, "uLoopPars": {"uiCount": count, "bUseZ": False, "Points": points}}
    steps = {"dZStep": float(apart[1]), "dZLow": 0.0, "dZHigh": apart[1] * (count - 1), "dZHome": 0.0, "iType": 0}
    return {"eType": 4, "uLoopPars": {"uiCount": count, **steps}}


def _variant(name, value):
    """A value as Nikon's "lite variant": type, length of the name, name, value; dictionaries hold records."""
    if isinstance(value, list):
        return b"".join(_variant(name, item) for item in value)
    kind = {bool: 1, int: 3, float: 6, str: 8, dict: 11}[type(value)]
    head = struct.pack("<BB", kind, len(name) + 1) + f"{name}\0".encode("utf-16-le")
    if kind == 11:
        parts = [_variant(key, item) for key, item in value.items()]
        count = sum(len(item) if isinstance(item, list) else 1 for item in value.values())
        inside = b"".join(parts)
        return head + struct.pack("<IQ", count, len(head) + 12 + len(inside)) + inside + bytes(8 * count)
    if kind == 8:
        return head + f"{value}\0".encode("utf-16-le")
    return head + struct.pack({1: "<B", 3: "<I", 6: "<d"}[kind], value)
