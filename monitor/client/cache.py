"""The last known good calibrator on disk, for a start without the server.

A file is a line with the SHA-256 of the rest, and JSON: the model, the time of the fetch, and the champion's sealed document, or
null while no calibrator is in service. It is written to a temporary file, synced and renamed, so that readers find the old content or
the new after any crash; several processes may share a directory without locks. The replaced content stays as a second file, which is
read if the first is unusable. After a rollback both files hold the new champion, so that the old one never returns from disk.
"""

import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from ..calibrators.document import verify
from .limited import LimitedWarnings, described
from .transport import LARGEST_ANSWER

MAGIC: Final = b"calwatch-cache 1 "
LARGEST_FILE: Final = LARGEST_ANSWER + (1 << 20)
LONGEST_SLUG: Final = 60
ABANDONED: Final = 3600.0
"""Seconds after which the writer of a temporary file counts as dead."""
CONFIRMED: Final = 3600.0
"""Seconds after which an unchanged file is rewritten with the time of the server's last answer."""

T = TypeVar("T")
Signature = tuple[int, int, int]


class Kept(NamedTuple):
    """The content of a file."""

    champion: Any  # a sealed document; None: no calibrator in service
    fetched_at: float  # seconds since 1970


class Loaded(NamedTuple):
    """The usable content of a file, and the time of its fetch."""

    value: Any
    fetched_at: float


class Cache:
    """The files of one client; no state of the disk raises an error."""

    def __init__(
        self, path: Path, warnings: LimitedWarnings, *, model: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._previous = path.with_name(f"{path.stem}.previous.json")
        self._warnings = warnings
        self._model = model
        self._clock = clock
        self._holds: tuple[Signature, str] | None = None  # the file as last seen, and the hash of its document
        self._stamped = 0.0  # time of the server's answer in the file
        self.reset()

    def reset(self) -> None:
        """Count from zero, as a forked child does."""
        self.corrupt = 0  # files that could not be read, or did not verify
        self.unwritten = 0  # failed writes

    def load(self, use: Callable[[Any], T]) -> Loaded | None:
        """Return the content of the newest usable file; None without one.

        Parameters
        ----------
        use : converts a document, or raises

        """
        for path in (self._path, self._previous):
            try:
                signature, kept = self._read(path)
                value = use(kept.champion)
            except FileNotFoundError:
                continue
            except Exception as error:  # noqa: BLE001  whatever is on the disk
                self.corrupt += 1
                self._warnings.warn(f"cache {path}", f"{path} is not used: {described(error)}")
                continue
            if path == self._path:
                self._hold(signature, kept)
            return Loaded(value, min(kept.fetched_at, self._clock()))
        return None

    def keep(self, champion: Any, fetched_at: float) -> None:
        """Store the champion unless it is stored already; renew the time of an unchanged file now and then."""
        try:
            known = self._holds == (_signature(self._path), _mark(champion))
            if not known or fetched_at - self._stamped > CONFIRMED:
                self._holds = None
                self._keep(Kept(champion, fetched_at))
        except Exception as error:  # noqa: BLE001  a full or read-only disk, most likely
            self.unwritten += 1
            self._warnings.warn("unwritten", f"{self._path} could not be written: {described(error)}")

    def _keep(self, new: Kept) -> None:
        signature, before = self._intact(self._path)
        if before is not None and _mark(before.champion) == _mark(new.champion):
            if new.fetched_at - before.fetched_at > CONFIRMED:
                signature, before = self._write(self._path, new), new
            self._hold(signature, before)
            return
        if before is not None and new.fetched_at < before.fetched_at <= self._clock():
            return  # another process has a newer answer
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clear()
        taken_back = before is not None and _number(new.champion) <= _number(before.champion)
        try:
            # The second file first: a crash in between leaves the first file unchanged, and the next write repeats both.
            self._write(self._previous, new if before is None or taken_back else before)
            self._hold(self._write(self._path, new), new)
        except Exception:
            if taken_back:
                self._remove_all_but(new)
            raise

    def _hold(self, signature: Signature, kept: Kept) -> None:
        self._holds, self._stamped = (signature, _mark(kept.champion)), kept.fetched_at

    def _remove_all_but(self, new: Kept) -> None:
        """Remove files of a replaced champion that could not be overwritten, which works on a full disk too."""
        for path in (self._path, self._previous):
            _, kept = self._intact(path)
            if kept is not None and _mark(kept.champion) != _mark(new.champion):
                with suppress(OSError):
                    path.unlink()

    def _intact(self, path: Path) -> tuple[Signature, Kept | None]:
        try:
            signature, kept = self._read(path)
            if kept.champion is not None:
                verify(kept.champion)
        except Exception:  # noqa: BLE001  an unusable file is replaced
            return (0, 0, 0), None
        return signature, kept

    def _read(self, path: Path) -> tuple[Signature, Kept]:
        signature, content = read_bounded(path, LARGEST_FILE)
        line, _, body = content.partition(b"\n")
        if line != MAGIC + sha256(body).hexdigest().encode():
            raise ValueError("its content does not fit its hash")
        stored = msgspec.json.decode(body, type=_Body)
        if stored.model != self._model:
            raise ValueError(f"it is of the model {stored.model!r}")
        return signature, Kept(stored.champion, stored.fetched_at)

    def _write(self, path: Path, kept: Kept) -> Signature:
        """Write a file atomically; return its signature."""
        body = msgspec.json.encode(_Body(self._model, kept.fetched_at, kept.champion))
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=self._prefix, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + sha256(body).hexdigest().encode() + b"\n" + body)
                file.flush()
                os.fsync(file.fileno())
                signature = _signature_of(os.fstat(file.fileno()))
            Path(name).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        _sync(path.parent)
        return signature

    def _clear(self) -> None:
        """Remove temporary files whose writers died."""
        for left in self._path.parent.iterdir():
            if left.name.startswith(self._prefix) and left.suffix == ".tmp":
                with suppress(OSError):
                    if self._clock() - left.lstat().st_mtime > ABANDONED:
                        left.unlink()

    @property
    def _prefix(self) -> str:
        return f".{self._path.stem}."


class _Body(msgspec.Struct):
    """A file's content after its first line."""

    model: str
    fetched_at: float
    champion: Any


def place(cache: str | os.PathLike[str], *, url: str, model: str, pin: int | None) -> Path:
    """Return the file of a client: the given one if it ends in .json, else one in that directory by server and model."""
    path = Path(cache)
    pinned = "" if pin is None else f".{pin}"
    if path.suffix == ".json":
        return path.with_name(f"{path.stem}{pinned}.json")
    return path / f"{stem(url, model)}{pinned}.json"


def stem(url: str, model: str) -> str:
    """Return a name for files of one server and model: readable, and unlike that of any other."""
    slug = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in model)[:LONGEST_SLUG]
    return f"{slug}-{blake2b(f'{url} {model}'.encode(), digest_size=8).hexdigest()}"


def read_bounded(path: Path, largest: int) -> tuple[Signature, bytes]:
    """Return the signature and the content of a regular file of bounded size.

    Raises
    ------
    OSError
        when it cannot be read.
    ValueError
        when it is no regular file, or too large.

    """
    # A pipe in place of the file must not block until somebody writes to it.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is no plain file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"it is larger than {largest} bytes")
    return _signature_of(status), content


def _signature(path: Path) -> Signature | None:
    try:
        return _signature_of(path.stat())
    except OSError:
        return None


def _signature_of(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_mtime_ns, status.st_size


def _mark(champion: Any) -> str:
    return str(champion["sha256"]) if isinstance(champion, Mapping) else ""


def _number(champion: Any) -> int:
    return int(champion["number"]) if isinstance(champion, Mapping) else 0


def _sync(folder: Path) -> None:
    """Sync a directory, where possible, so that a rename survives a power failure."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
