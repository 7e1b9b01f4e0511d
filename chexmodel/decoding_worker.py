"""The process that decodes films for `decoding.Decoders`: a file at a time, within limits, until told to end.

It may be lost at any moment, to a bad file, a limit or a signal: the server and other people's films are not.

A message on its standard input and output, framed here for both sides, is four bytes of length and that much
JSON, then raw bytes whose number the JSON tells.
"""

import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from chexmodel import dicom_header, images, isolated
from chexmodel.dicom_header import Peek
from chexmodel.errors import ImageError
from chexmodel.film import InputAudit, as_image_error, too_much_memory
from chexmodel.language import Language, using

LONGEST_HEAD: Final = 2**20
"""Most bytes of JSON in a message."""

Buffer = TypeVar("Buffer", bytearray, NDArray[Any])


class Request(BaseModel):
    """A film to read, or a DICOM whose header to peek at. Past `seconds` give it up.

    size: bytes that follow: the file's, or those of its path.
    """

    model_config = ConfigDict(frozen=True)

    size: int
    is_path: bool
    peek: bool
    frame: int
    language: Language
    seconds: float


class Reply(BaseModel):
    """What became of it: an audit, and the pixels follow; a peek; a sentence; or a defect of the reader's.

    Empty, and first of all, it says that the worker's imports are done.
    """

    model_config = ConfigDict(frozen=True)

    audit: InputAudit | None = None
    dtype: Literal["uint8", "float32"] = "uint8"
    peek: Peek | None = None
    refused: str = ""
    defect: str = ""


def send(stream: IO[bytes], head: BaseModel, body: Any = b"") -> None:
    """Write a message to an unbuffered stream; body: bytes, or a contiguous array."""
    text = head.model_dump_json().encode()
    for part in (memoryview(len(text).to_bytes(4) + text), memoryview(body).cast("B")):
        left = part
        while left:
            left = left[stream.write(left) :]


def receive(stream: IO[bytes]) -> bytes:
    """Read the JSON of a message; `EOFError` where the stream ends, or no length of a message comes."""
    length = int.from_bytes(fill(stream, bytearray(4)))
    if length > LONGEST_HEAD:
        raise EOFError
    return bytes(fill(stream, bytearray(length)))


def fill(stream: IO[bytes], body: Buffer) -> Buffer:
    """Read as many bytes as a buffer holds, into it; `EOFError` where the stream ends before."""
    left = memoryview(cast(Any, body)).cast("B")
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]
    return body


def answer(request: Request, body: bytes) -> tuple[Reply, NDArray[Any] | bytes]:
    """Do what is asked: the reply, and the pixels (H, W) that go with it."""
    try:
        with using(request.language):
            if request.peek:
                with as_image_error("DICOM"):
                    return Reply(peek=dicom_header.peek(body)), b""
            source = Path(os.fsdecode(body)) if request.is_path else body
            film = images.read(source, frame=request.frame)
            return Reply(audit=film.audit, dtype=film.grey.dtype.name), np.ascontiguousarray(film.grey)
    except ImageError as error:
        # A path is not always text.
        return Reply(refused=str(error).encode(errors="backslashreplace").decode()), b""
    except MemoryError:
        with using(request.language):
            return Reply(refused=str(too_much_memory())), b""
    except Exception as error:
        # Where it happened, and not its text: that may quote the file.
        last = traceback.extract_tb(error.__traceback__)[-1]
        return Reply(defect=f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"), b""


def limit() -> None:
    """Bound what a file can make of this process."""
    isolated.limit_memory()
    isolated.expendable()
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold a patient's film
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # films stay in memory
    with suppress(OSError):  # where memory runs out all the same, the kernel is to end this one
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def serve() -> None:
    """Answer requests until standard input ends, which it does with the server."""
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # decoders print
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal, meant for the server
    limit()
    send(replies, Reply())
    os.dup2(nothing, 2)  # what they print may quote the file; until here it told why a start failed
    with suppress(EOFError, BrokenPipeError):
        while True:
            request = Request.model_validate_json(receive(requests))
            body = bytes(fill(requests, bytearray(request.size)))
            _give_up_after(request.seconds)
            send(replies, *answer(request, body))
            _give_up_after(0)


def _give_up_after(seconds: float) -> None:
    """End this process by a signal, should the server not be there any more to do it; 0 calls it off."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    serve()
