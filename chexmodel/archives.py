"""ZIP archives → their files, inflated one by one when asked for; limits are checked before."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePosixPath
from typing import Final

from chexmodel.errors import ImageError
from chexmodel.film import check_bytes
from chexmodel.language import tr

MAX_MEMBERS: Final = 5000
"""Most files that an archive may list."""

# `zipfile` bounds what deflate gives at a time; of bzip2, 4 kB become gigabytes before it looks at the size.
_COMPRESSIONS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_JUNK_FOLDERS: Final = ("__MACOSX",)
_JUNK_FILES: Final = ("dicomdir", "thumbs.db", "desktop.ini", "autorun.inf", "lockfile", "version")
_OFFICE: Final = ("[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF")


@dataclass(frozen=True, eq=False)
class Member:
    """A file in an archive: its path there and its declared size in bytes; nothing of it is kept."""

    name: str
    size: int
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo

    def check(self) -> None:
        """Raise `ImageError` if it is empty, too large, encrypted or oddly packed; nothing is inflated."""
        check_bytes(self.size)
        if self._info.flag_bits & 1:
            raise ImageError(
                tr("This file is encrypted: unpack the archive with its password, then choose the films.")
            )
        if self._info.compress_type not in _COMPRESSIONS:
            raise ImageError(
                tr("This file is compressed in a way that is not read: pack it again as a plain ZIP.")
            )

    def read(self, most: int | None = None) -> bytes:
        """Inflate the file, or its first `most` bytes; never more than it declared.

        Raises:
            ImageError: as `check`, or the archive is damaged here.
        """
        self.check()
        try:
            with self._archive.open(self._info) as file:
                return file.read(self.size if most is None else min(most, self.size))
        except Exception as error:  # zlib and zipfile fail in a dozen ways on bad bytes
            raise ImageError(tr("The archive is damaged here: pack it again.")) from error


def members(data: bytes) -> Iterator[Member]:
    """List the files of a ZIP, without folders and without what systems and disc writers leave in it.

    Args:
        data: the archive's bytes; held as long as a member is.

    Raises:
        ImageError: it is damaged, an Office document or a program, or lists more than `MAX_MEMBERS` files.
    """
    try:
        archive = zipfile.ZipFile(BytesIO(data))
        listed = [info for info in archive.infolist() if not info.is_dir()]
    except Exception as error:
        raise ImageError(
            tr("This ZIP archive is damaged or incomplete: copy it again from its source.")
        ) from error
    if any(info.filename in _OFFICE for info in listed):
        raise ImageError(
            tr("This looks like an Office document, which is not read here: export the picture in it as PNG.")
        )
    if len(listed) > MAX_MEMBERS:
        raise ImageError(
            tr(
                "This ZIP archive lists {count:,} files; the limit is {most:,}: pack the films alone.",
                count=len(listed),
                most=MAX_MEMBERS,
            )
        )
    for info in listed:
        name = info.filename.replace("\\", "/")
        if not is_junk(name):
            yield Member(name, info.file_size, archive, info)


def is_junk(path: str) -> bool:
    """Whether a path names what systems and disc writers add to folders; a DICOMDIR only lists the films."""
    *folders, file = PurePosixPath(path).parts or ("",)
    hidden = any(part.startswith(".") and part != ".." for part in (*folders, file))
    return hidden or any(part in _JUNK_FOLDERS for part in folders) or file.lower() in _JUNK_FILES
