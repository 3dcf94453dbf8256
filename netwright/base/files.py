"""The one module that writes. Whole files appear under their name or not at all.

A write goes to a temporary name beside the target, is flushed to disk and renamed; the folder entry is
flushed too, so that a finished write survives a power cut. Tests make any call here fail by `fail_at`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from netwright.base.errors import LearningError

_TEMPORARY = ".part-"


class _Faults:
    """Counts the calls that touch the disk and fails the k-th: the seam of the fault tests."""

    def __init__(self) -> None:
        self.calls = 0
        self.fail_at: int | None = None
        self.error = errno.ENOSPC

    def touch(self, call: str, path: Path) -> None:
        self.calls += 1
        if self.fail_at is not None and self.calls == self.fail_at:
            raise OSError(self.error, f"{os.strerror(self.error)} ({call})", str(path))


faults = _Faults()


@contextlib.contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Turns an operating-system error about `path` into a LearningError with a way out."""
    try:
        yield
    except OSError as error:
        free = _free_megabytes(path)
        hint = {
            errno.ENOSPC: f"free some space ({free} MB left) and run the same command again.",
            errno.EDQUOT: "your quota is used up: free some space and run the same command again.",
            errno.EACCES: "choose a folder that you may write to with --out.",
            errno.EROFS: "choose a folder that can be written to with --out.",
        }.get(error.errno or 0, "see to the disk, then run the same command again.")
        reason = error.strerror or str(error)
        raise LearningError(f"cannot write '{path}': {reason}.", hint=hint) from error


def _free_megabytes(path: Path) -> int:
    for folder in (path, *path.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(folder).free // 1_000_000
    return 0


def make_folder(path: Path) -> None:
    """Makes the folder and those above it; no error if it is there.

    Raises:
        LearningError: If it cannot be made.
    """
    with plainly(path):
        faults.touch("mkdir", path)
        path.mkdir(parents=True, exist_ok=True)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Writes the file whole: temporary name, flush, rename, flush the folder.

    Raises:
        LearningError: If any of it fails; the old file, if there was one, is untouched.
    """
    temporary = path.with_name(f"{_TEMPORARY}{os.getpid()}-{path.name}")
    with plainly(path):
        try:
            faults.touch("open", temporary)
            with temporary.open("wb") as stream:
                faults.touch("write", temporary)
                stream.write(content)
                stream.flush()
                faults.touch("fsync", temporary)
                os.fsync(stream.fileno())
            faults.touch("rename", path)
            temporary.replace(path)
            _flush_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of the text in UTF-8."""
    write_bytes(path, content.encode())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Appender:
    """A file that grows by whole lines; each line is on its way to disk when `line` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with plainly(path):
            faults.touch("open", path)
            self._stream: IO[bytes] = path.open("ab")

    def line(self, text: str, *, flush: bool = False) -> None:
        """Appends one line; with `flush` it is on the disk when this returns.

        Raises:
            LearningError: If it cannot be written.
        """
        with plainly(self.path):
            faults.touch("write", self.path)
            self._stream.write(text.encode() + b"\n")
            self._stream.flush()
            if flush:
                faults.touch("fsync", self.path)
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Closes the file; safe to call twice."""
        with contextlib.suppress(OSError):
            self._stream.close()


def cut(path: Path, size: int) -> None:
    """Shortens the file to `size` bytes: drops a line that a kill tore in two."""
    with plainly(path):
        faults.touch("write", path)
        os.truncate(path, size)


def remove(path: Path) -> None:
    """Removes the file or folder if it is there."""
    with plainly(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes temporary files that a killed process left behind."""
    for leftover in folder.glob(f"**/{_TEMPORARY}*"):
        remove(leftover)


class Scratch:
    """A file without a name for what does not fit in memory: it is gone when nobody has it open any more.

    Attributes:
        size: Bytes that were appended.
    """

    def __init__(self, folder: Path | None) -> None:
        """Opens the file.

        Args:
            folder: Where it lies, or the nearest folder above that is there; None: where temporary files do.

        Raises:
            LearningError: If it cannot be made.
        """
        there = folder and next((each for each in (folder, *folder.absolute().parents) if each.is_dir()), None)
        self._place = there or Path(tempfile.gettempdir())
        self.size = 0
        with plainly(self._place):
            faults.touch("open", self._place)
            with tempfile.TemporaryFile(dir=self._place) as stream:
                self._handle = os.dup(stream.fileno())
        weakref.finalize(self, os.close, self._handle)

    def append(self, content: memoryview) -> None:
        """Writes behind what is there.

        Raises:
            LearningError: If the disk is full or fails.
        """
        with plainly(self._place):
            faults.touch("write", self._place)
            while content:
                written = os.write(self._handle, content)
                self.size += written
                content = content[written:]

    def read(self, start: int, into: memoryview) -> None:
        """Fills `into` with the bytes from `start` on; several threads may read at once.

        Raises:
            LearningError: If the disk fails.
        """
        with plainly(self._place):
            while into:
                count = os.preadv(self._handle, [into], start)
                if not count:
                    raise OSError(errno.EIO, "its end comes too early")
                start, into = start + count, into[count:]


class Lock:
    """A run folder belongs to one process at a time; the kernel frees it when the process ends."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".lock"
        self._stream: Any = None

    def __enter__(self) -> Lock:
        """Takes the lock.

        Raises:
            LearningError: If another process holds it.
        """
        with plainly(self._path):
            faults.touch("open", self._path)
            self._stream = self._path.open("a+b")
        if not _try_lock(self._stream):
            self._stream.seek(0)
            owner = self._stream.read().decode(errors="replace").strip() or "another process"
            self._stream.close()
            raise LearningError(
                f"the run folder '{self._path.parent}' is being written by {owner}.",
                hint="wait for it to end, or choose another folder with --out.",
            )
        self._stream.truncate(0)
        self._stream.write(f"process {os.getpid()}".encode())
        self._stream.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _try_lock(stream: IO[bytes]) -> bool:
    try:
        import fcntl
    except ImportError:  # a system without flock: one process is the user's own affair
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
