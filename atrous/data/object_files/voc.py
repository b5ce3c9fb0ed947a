"""Pascal VOC: an XML file for each image, with boxes in pixels that count from 1 and include their last pixel."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from atrous.data.description import read_names
from atrous.data.formats import FileFault, stem
from atrous.data.object_files.base import AnnotatedImage, AnnotatedObject, Box, ObjectFolder
from atrous.data.object_files.index import FileIndex, split_in
from atrous.data.object_files.text import number, read_xml
from atrous.data.problems import relative

FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")
LISTS = "ImageSets/Main"
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def find_voc(index: FileIndex) -> list[Path]:
    """Return the XML files of annotations: those in a folder called so, and those beside an image of their name."""
    named = set(index.below(".xml", *FOLDERS))
    files = [path for path in index.texts.get(".xml", []) if path in named or index.beside(path) is not None]
    return [path for path in files if _is_annotation(path)]


def _is_annotation(path: Path) -> bool:
    """Whether a file begins as one of VOC does, or is empty as one that was not written to its end."""
    with path.open("rb") as file:
        head = file.read(4096).replace(b"\0", b"")
    return b"<annotation" in head or not head.strip()


def read_voc(index: FileIndex, files: Sequence[Path]) -> ObjectFolder:
    """Read the annotations; what is wrong with one file is a problem in the result."""
    folder = ObjectFolder(index.root, "Pascal VOC")
    used: dict[Path, Path] = {}
    for file in files:
        try:
            root = read_xml(file)
            objects = tuple(_objects(folder, file, root))
        except FileFault as fault:
            folder.unreadable(fault, *index.find(stem(file), file))
            continue
        split = split_in(file.relative_to(index.root).parts[:-1])
        image = _image(folder, index, file, root, split)
        if image is None:
            continue
        if image in used:
            what = f"{relative(used[image], index.root)} annotates the same image"
            folder.error(file, what, "keep one of the two", "two files")
            continue
        used[image] = file
        folder.add(split, AnnotatedImage(image, file, objects, _size(root)))
    names = {one.name for images in folder.images.values() for image in images for one in image.objects}
    folder.classes = sorted(names - {""})
    folder.lists, folder.list_file = _lists(index), LISTS
    return folder


def _lists(index: FileIndex) -> dict[str, tuple[str, ...]]:
    """Names in `ImageSets/Main/{train,val,test}.txt`; `trainval.txt` stands for train where there is no other."""
    place = index.root / LISTS
    files = {stem(path): path for path in index.texts.get(".txt", []) if path.parent == place}
    if "train" not in files and "trainval" in files:
        files["train"] = files["trainval"]
    return {split: read_names(files[split]) for split in ("train", "val", "test") if split in files}


def _image(folder: ObjectFolder, index: FileIndex, file: Path, root: Element, split: str | None) -> Path | None:
    """The image that has the name of the file; else the one that is named in it, which is often out of date."""
    said = (root.findtext("filename") or "").strip()
    for name in (stem(file), said):
        found = index.find(name, file, split) if name else []
        if len(found) == 1:
            return found[0]
        if found:
            both = " and ".join(relative(path, index.root) for path in found[:2])
            folder.error(file, f"it fits the images {both}", "give every image a name of its own", "ambiguous image")
            return None
    named = f" (it names {said[:80]!r})" if said and said != stem(file) else ""
    folder.error(file, f"its image is not there{named}", "copy the image into the folder, or remove it", "no image")
    return None


def _size(root: Element) -> tuple[int, int] | None:
    """Height and width; some tools write 0 where they do not know them."""
    height, width = (number(root.findtext(f"size/{side}")) for side in ("height", "width"))
    return (round(height), round(width)) if height and width else None


def _objects(folder: ObjectFolder, file: Path, root: Element) -> Iterator[AnnotatedObject]:
    if root.tag != "annotation":
        raise FileFault(file, f"is XML of another kind (<{root.tag[:40]}>)", "give annotations of Pascal VOC")
    for place, element in enumerate(root.iter("object"), 1):
        name = (element.findtext("name") or "").strip()
        where = f"object {place} ({name})" if name else f"object {place}"
        if not name:
            folder.error(file, f"{where} has no name", "name its class, or remove it", "no class")
            continue
        box = _box(element)
        if box is None:
            folder.error(
                file, f"{where} has no box of four numbers", "write <bndbox> with xmin ymin xmax ymax", "no box"
            )
            continue
        difficult = (element.findtext("difficult") or "").strip() == "1"
        yield AnnotatedObject(name, where, box, ignored=difficult)


def _box(element: Element) -> Box | None:
    """The first pixel is 1, and the last one belongs to the box: so it starts at xmin - 1 and stops at xmax."""
    top, left, bottom, right = (number((element.findtext(f"bndbox/{side}") or "").strip()) for side in _SIDES)
    if top is None or left is None or bottom is None or right is None:
        return None
    return (top - 1, left - 1, bottom, right)
