"""dataset.toml, which describes two folders of images and label files.

name = "yard"                      # optional, appears in records
images = "images/{split}"          # folders, relative to this file; {split} is optional
labels = "masks/{split}"
splits = ["train", "val"]          # optional
label_suffix = "_L"                # optional, as image_suffix: x.jpg goes with x_L.png
kind = "color"                     # label files have colours; "index": ids, as grey levels or palette indices
ignore = [0, 0, 0]                 # ignored: an id, a colour, a list of them, or "others": all other values;
                                   # a class with only ignored values is removed
classes = "labels.txt"             # or a table for each class:

[[classes]]
name = "road"
color = [[128, 64, 128], [128, 0, 192]]   # one or several; the first is for display; optional for kind = "index"
id = 7                                    # kind = "index": one or several; default: the position in the list
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.datasets.label_files import IGNORE, Color, ColorReader, IndexReader, LabelReader
from edgeseg.errors import FileProblem, FormatError, UnknownNameError
from edgeseg.files import exists, toml_from_file
from edgeseg.labels import labels_from_file, labels_from_names
from edgeseg.spec import LabelSet, is_byte

FILE = "dataset.toml"
KINDS = ("index", "color")
OTHERS = "others"
TYPE_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
TEXTS = {"name": "", "images": "images", "labels": "labels", "image_suffix": "", "label_suffix": "", "kind": "index"}
KEYS = (*TEXTS, "splits", "ignore", "classes")
CLASS_KEYS = ("name", "color", "id")


@dataclass(frozen=True)
class Definition:
    """The content of a dataset.toml. files: the file, and the list of classes if it names one."""

    name: str
    images: str
    labels: str
    splits: tuple[str, ...]
    image_suffix: str
    label_suffix: str
    classes: LabelSet
    reader: LabelReader
    files: tuple[Path, ...]


def definition_from_file(file: Path) -> Definition:
    """Read `file`. FormatError, with the key, for invalid content."""
    if not exists(file):
        raise FileProblem(
            f"no such file: {file}", hint='write it: images = "images", labels = "masks", classes = "labels.txt"'
        )
    data = data_from_toml(file)
    texts = {key: checked(file, key, data.get(key, default), str) for key, default in TEXTS.items()}
    if texts["kind"] not in KINDS:
        raise UnknownNameError.among(f"kind in {file}", texts["kind"], KINDS)
    splits = checked(file, "splits", data.get("splits", []), list)
    listed = data.get("classes")
    tables = [] if isinstance(listed, str) else class_tables(file, listed)
    classes = labels_from_file(file.parent / listed) if isinstance(listed, str) else labels_from_tables(file, tables)
    color = texts.pop("kind") == "color"
    entries: list[list[Any]] = color_entries(file, classes, tables) if color else id_entries(file, classes, tables)
    if "ignore" in data:
        classes, entries = without_ignored(file, classes, entries, ignored_values(file, color, data["ignore"]))
    files = (file, file.parent / listed) if isinstance(listed, str) else (file,)
    return Definition(
        **texts,
        splits=tuple(checked(file, "splits", split, str) for split in splits),
        classes=classes,
        reader=reader_from_entries(file, color, entries, data.get("ignore", [] if color else IGNORE)),
        files=files,
    )


def data_from_toml(file: Path) -> dict[str, Any]:
    """The content of the file. UnknownNameError for an unknown key."""
    data = toml_from_file(file, hint='write lines such as images = "images"')
    for key in data:
        if key not in KEYS:
            raise UnknownNameError.among(f"key in {file}", key, KEYS)
    return data


def checked(file: Path, key: str, value: Any, kind: type) -> Any:
    """`value` if it is of `kind`."""
    if not isinstance(value, kind):
        expected = TYPE_NAMES[kind]
        raise FormatError(f"{file}: {key} = {value!r} is not {expected}", hint=f"write {key} as {expected}")
    return value


def class_tables(file: Path, tables: Any) -> list[dict[str, Any]]:
    """The [[classes]] of the file. FormatError, UnknownNameError for invalid ones."""
    if not isinstance(tables, list) or not tables:
        raise FormatError(f"{file} has no classes", hint='write classes = "labels.txt", or [[classes]] for each')
    for table in tables:
        for key in checked(file, "classes", table, dict):
            if key not in CLASS_KEYS:
                raise UnknownNameError.among(f"key of a class in {file}", key, CLASS_KEYS)
        checked(file, "name", table.get("name"), str)
    names = [table["name"] for table in tables]
    if len(set(names)) != len(names):
        raise FormatError(f"{file} has a class twice", hint="put several ids or colours of a class in one list")
    return tables


def labels_from_tables(file: Path, tables: list[dict[str, Any]]) -> LabelSet:
    """Names, and the first colour of each class if it has one."""
    colors = [colors_from(file, table["color"])[0] if "color" in table else None for table in tables]
    return labels_from_names([table["name"] for table in tables], colors)


def color_entries(file: Path, classes: LabelSet, tables: list[dict[str, Any]]) -> list[list[Any]]:
    """The colours of each class in label files."""
    for table in tables:
        if "color" not in table:
            raise FormatError(f"{file}: the class {table['name']} has no color", hint="write color = [128, 64, 128]")
    if tables:
        return [list(colors_from(file, table["color"])) for table in tables]
    return [[color] for color in classes.palette]


def id_entries(file: Path, classes: LabelSet, tables: list[dict[str, Any]]) -> list[list[Any]]:
    """The ids of each class in label files."""
    if tables:
        return [ids_from(file, "id", table.get("id", index)) for index, table in enumerate(tables)]
    return [[index] for index in range(len(classes))]


def ignored_values(file: Path, color: bool, ignore: Any) -> list[Any]:
    """The ignored ids or colours; none for "others"."""
    if ignore in (OTHERS, []):
        return []
    return list(colors_from(file, ignore)) if color else ids_from(file, "ignore", ignore)


def without_ignored(
    file: Path, classes: LabelSet, entries: list[list[Any]], ignored: list[Any]
) -> tuple[LabelSet, list[list[Any]]]:
    """The classes with other than ignored ids or colours, and these."""
    remaining = [[value for value in values if value not in ignored] for values in entries]
    indices = [index for index, values in enumerate(remaining) if values]
    if not indices:
        raise FormatError(f"{file} ignores every class", hint="remove ignore, or keep one class")
    names = tuple(classes.names[index] for index in indices)
    palette = tuple(classes.palette[index] for index in indices)
    return LabelSet(names, palette, classes.ignore), [remaining[index] for index in indices]


def reader_from_entries(file: Path, color: bool, entries: list[list[Any]], ignore: Any) -> LabelReader:
    """A reader that maps the ids or colours `entries` of each class to it, and those of `ignore` to 255."""
    others = ignore == OTHERS
    classes: dict[Any, int] = {}
    for label, values in [*enumerate(entries), (IGNORE, ignored_values(file, color, ignore))]:
        for value in values:
            if value in classes:
                raise FormatError(f"{file}: {value} belongs to two classes", hint="list it in one of them")
            classes[value] = label
    return ColorReader(classes, others) if color else IndexReader(classes, others)


def colors_from(file: Path, value: Any) -> list[Color]:
    """The colours of [r, g, b] or of a list of such."""
    colors = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
    for color in colors:
        if not (isinstance(color, list) and len(color) == 3 and all(is_byte(part) for part in color)):
            raise FormatError(f"{file}: {color!r} is not a colour", hint="write [128, 64, 128], each from 0 to 255")
    return [(color[0], color[1], color[2]) for color in colors]


def ids_from(file: Path, key: str, value: Any) -> list[int]:
    """The ids of 7 or [7, 8]."""
    ids = value if isinstance(value, list) else [value]
    if not ids or not all(is_byte(i) for i in ids):
        raise FormatError(f"{file}: {key} = {value!r} is not a label id", hint=f"write {key} = 7, from 0 to 255")
    return ids
