"""Images in class folders, on disk or in zip files."""

from __future__ import annotations

import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filterscope.data.decode import EXTENSIONS, UnreadableImageError

EXPECTED = (
    "expected one folder a class (PATH/CLASS/IMAGE), or train/ and test/ with class folders in "
    "them, or train.zip and test.zip, or one zip file of either form"
)
TEST_NAMES = ("test", "val", "valid", "validation")

_NO_IMAGE = f"its name does not end as an image's ({', '.join(EXTENSIONS)})"
_BESIDE = "it lies beside the class folders"

FILE_LIMIT = 2**28
"""Bytes of the largest file that is read, packed or not; a photograph of 100 megapixels has a
tenth of it."""


@dataclass
class Store:
    """Files under a root, in a folder or in a zip file, read by name.

    Args:
        root: The folder or the zip file.
        prefix: Folder inside the zip file, with a slash at its end; "" for its top.
    """

    root: Path
    prefix: str = ""
    _zips: dict[int, zipfile.ZipFile] = field(default_factory=dict, repr=False)

    def names(self) -> list[str]:
        """Every image in it, by its path from the root, sorted."""
        return sorted(name for name in self._files() if _is_image(name))

    def folders(self) -> list[str]:
        """The folders at its top, also the empty ones, sorted; hidden ones left out."""
        if self.root.is_file():
            found = {name.split("/")[0] for name in self._members() if "/" in name}
        else:
            found = {entry.name for entry in self.root.iterdir() if entry.is_dir()}
        return sorted(name for name in found if not name.startswith((".", "__MACOSX")))

    def below(self, folder: str) -> Store:
        """The store of one of its folders."""
        if self.root.is_file():
            return Store(self.root, f"{self.prefix}{folder}/")
        return Store(self.root / folder)

    def __call__(self, name: str) -> bytes:
        """Read a file.

        Raises:
            FileNotFoundError: There is no such file.
            UnreadableImageError: It is larger than `FILE_LIMIT`, no file but a pipe or a device,
                or damaged or encrypted in its archive.
        """
        if not self.root.is_file():
            return _read(self.root / name)
        archive = self._zip()
        try:
            member = archive.getinfo(self.prefix + name)
        except KeyError as error:
            raise FileNotFoundError(f"{self}/{name} does not exist") from error
        _refuse_large(member.file_size)
        try:
            return archive.read(member)
        except Exception as error:  # its decoders raise many kinds
            raise UnreadableImageError(f"damaged or locked in the archive: {error}") from error

    def __str__(self) -> str:
        return f"{self.root}/{self.prefix}".rstrip("/")

    def _files(self) -> list[str]:
        if self.root.is_file():
            return [name for name in self._members() if not name.endswith("/")]
        return [
            (Path(folder) / file).relative_to(self.root).as_posix()
            for folder, files in _walk(self.root)
            for file in files
        ]

    def _members(self) -> list[str]:
        start = len(self.prefix)
        names = self._zip().NameToInfo
        return [name[start:] for name in names if name.startswith(self.prefix) and name[start:]]

    def _zip(self) -> zipfile.ZipFile:
        """The open archive; one a process, because workers must not share a file position."""
        process = os.getpid()
        if process not in self._zips:
            try:
                archive = zipfile.ZipFile(self.root)
            except Exception as error:  # a damaged directory raises many kinds
                raise ValueError(
                    f"{self.root} is not readable as a zip file ({error}); {EXPECTED}"
                ) from error
            _refuse_odd_names(archive, self.root)
            self._zips[process] = archive
        return self._zips[process]

    def __getstate__(self) -> dict[str, object]:
        return {"root": self.root, "prefix": self.prefix, "_zips": {}}


def _read(file: Path) -> bytes:
    """Read a file, but no pipe or device, which may have no end."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImageError("no regular file")
    _refuse_large(status.st_size)
    return file.read_bytes()


def _refuse_large(size: int) -> None:
    if size > FILE_LIMIT:
        raise UnreadableImageError(f"{size} bytes, more than the {FILE_LIMIT} that are read")


def _refuse_odd_names(archive: zipfile.ZipFile, file: Path) -> None:
    """Raise where an archive names a file twice, or one outside of the folder it stands for."""
    names = archive.namelist()
    if len(names) > len(archive.NameToInfo):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ValueError(f"{file} holds {twice} more than once; pack the images again")
    for name in names:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{file} names {name}, which lies outside; pack the images again")


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below `root` with its files, links followed.

    Raises:
        ValueError: A link to a folder that holds it: there would be no end.
    """
    for folder, inner, files in os.walk(root, followlinks=True):
        here = os.path.realpath(folder)
        for name in inner:
            place = Path(folder, name)
            if place.is_symlink() and f"{here}/".startswith(f"{os.path.realpath(place)}/"):
                raise ValueError(f"{place} links to a folder that holds it; remove the link")
        yield folder, files


@dataclass(frozen=True)
class Found:
    """Labelled files of a split.

    Attributes:
        store: Where they are read.
        names: Their names in the store.
        classes: Class of each.
        masks: Object mask of each in the same store, None where one is missing; None for data
            without masks.
        ignored: Files that are not taken, each with the reason.
    """

    store: Store
    names: tuple[str, ...]
    classes: tuple[str, ...]
    masks: tuple[str | None, ...] | None = None
    ignored: tuple[tuple[str, str], ...] = ()


def find_images(path: Path) -> tuple[Found, Found | None]:
    """Find the images of a folder or zip file by their layout.

    Args:
        path: The folder or zip file.

    Returns:
        Training images, and test images where the layout has them.

    Raises:
        FileNotFoundError: Nothing there.
        ValueError: Another layout (the message says what was expected and found), or a class
            folder without images.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {EXPECTED}")
    train_zip = path / "train.zip"
    if train_zip.is_file():
        test_zip = next((f for n in TEST_NAMES if (f := path / f"{n}.zip").is_file()), None)
        train = _unwrapped(Store(train_zip))
        return _labelled(train), None if test_zip is None else _labelled(
            _unwrapped(Store(test_zip))
        )
    store = _unwrapped(Store(path))
    folders = {name.lower(): name for name in store.folders()}
    test_name = next((name for name in TEST_NAMES if name in folders), None)
    if "train" in folders and test_name is not None:
        train, test = store.below(folders["train"]), store.below(folders[test_name])
        return _labelled(train), _labelled(test)
    return _labelled(store.below(folders["train"]) if "train" in folders else store), None


def _unwrapped(store: Store) -> Store:
    """Step into a single folder around everything, as archives often have it."""
    names = store.names()
    if len(store.folders()) == 1 and names and all(name.count("/") >= 2 for name in names):
        return _unwrapped(store.below(store.folders()[0]))
    return store


def _labelled(store: Store) -> Found:
    """Label the images of a store by their first folder."""
    files = sorted(name for name in store._files() if not _is_hidden(name))
    names = tuple(name for name in files if "/" in name and _is_image(name))
    ignored = tuple(
        (f"{store}/{name}", _BESIDE if _is_image(name) else _NO_IMAGE)
        for name in files
        if not _is_image(name) or "/" not in name
    )
    if not names:
        raise ValueError(f"{store} holds {_content(store)}; {EXPECTED}")
    classes = tuple(name.split("/")[0] for name in names)
    empty = sorted(set(store.folders()) - set(classes))
    if empty:
        raise ValueError(f"{store}: class folder {empty[0]!r} holds no image")
    return Found(store, names, classes, ignored=ignored)


def _is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS) and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _content(store: Store) -> str:
    entries = sorted({name.split("/")[0] for name in [*store._files(), *store.folders()]})
    if not entries:
        return "nothing"
    return ", ".join(entries[:6]) + (f" and {len(entries) - 6} more" if len(entries) > 6 else "")
