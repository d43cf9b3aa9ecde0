"""The images that label files speak of, in whatever way they write their paths."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path, PurePosixPath

from hmean.images import image_size, list_images, split_page
from hmean.labels.peek import IMAGE_SUFFIXES

_DRIVE = re.compile(r"^[A-Za-z]:")


class ImageNames:
    """Names of images in the folder that a user named.

    Args:
        folder: of the images; they may also lie in a folder there that is named like the label file (train, val).
        source: the label file or folder.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder = folder
        self._nested = folder / source.stem

    def path_of(self, name: str) -> Path:
        """Where the image of a name lies."""
        path = self.folder / name
        nested = self._nested / name
        if not _exists(path) and _exists(nested):
            return nested
        return path

    def name_of(self, written: str) -> str:
        """The name of an image whose path was written on any machine, with ``/`` or with backslashes.

        It is the longest end of the path that is a file in the folder; else the whole path, without its root.
        """
        parts = [part for part in PurePosixPath(_DRIVE.sub("", written.replace("\\", "/"))).parts if part != "/"]
        if ".." in parts:  # nothing outside of the folder is read
            parts = parts[len(parts) - parts[::-1].index("..") :]
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if _exists(self.path_of(name)):
                return name
        return "/".join(parts)

    def exists(self, name: str) -> bool:
        """Whether there is an image of this name in the folder."""
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            return False
        return _exists(self.path_of(name))

    def of_stem(self, stem: str) -> str | None:
        """The name of an image without its suffix, such as ``a`` or ``shop/a``; None if there is none."""
        return self._by_stem.get(stem)

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of the upright image.

        Raises:
            InputError: if there is no such image, or it is damaged.
        """
        return image_size(self.path_of(name))

    @cached_property
    def _by_stem(self) -> dict[str, str]:
        names: dict[str, str] = {}
        for folder in (self.folder, self._nested):
            if not folder.is_dir():
                continue
            for file in list_images(folder, suffixes=IMAGE_SUFFIXES):
                name = file.relative_to(folder)
                names.setdefault(name.with_suffix("").as_posix(), name.as_posix())
        return names


def _exists(path: Path) -> bool:
    try:
        return split_page(path)[0].is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False
