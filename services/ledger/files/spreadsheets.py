"""Files into rows: CSV in whatever encoding, and spreadsheets. Nothing in a file is run or computed."""

import csv
import io
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from subprocess import PIPE
from typing import IO, Any

from charset_normalizer import from_bytes

from services.ledger.files.unpacking import End
from shared.contracts.refusal import refusal

Row = list[object]

FILE_LIMIT = 32 * 1024 * 1024
"""The largest file, in bytes."""
UNPACKED_LIMIT = 400 * 1024 * 1024
"""What a spreadsheet may hold when it is unpacked, in bytes."""
_PROGRAM = (sys.executable, "-m", "services.ledger.files.unpacking")
_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_CHINESE = re.compile("[一-鿿]")
_LONGEST_CELL = 32_768
_TOP = 20
"""Rows in which a sheet must say something, to be the one with the list."""


def sheets(content: bytes) -> Iterator[tuple[str | None, Iterator[Row]]]:
    """The sheets of a file, each as its rows from the top, with its name where there are several; a CSV has one.

    Raises:
        Refusal: `macros`, `too_large`, `not_readable`, `mixed_encodings`, `empty`.
    """
    if not content.strip(b"\r\n\t ,;\x00"):
        raise refusal("file", "empty", "there is nothing in this file")
    if content.startswith((_ZIP, _OLD)):
        yield from _workbook(content)
    else:
        yield None, _csv(decoded(content))


def _workbook(content: bytes) -> Iterator[tuple[str | None, Iterator[Row]]]:
    if content.startswith(_ZIP):
        _look_inside(content)
    parts = _unpacked(content)
    names: list[str] = next(parts, [])
    for first, name in zip(parts, names, strict=True):
        rows = _sheet(chain([first], parts))
        yield name if len(names) > 1 else None, rows
        # A sheet of which nobody wanted the rest.
        for _ in rows:
            pass


def _sheet(parts: Iterator[list[Row] | None]) -> Iterator[Row]:
    for some in parts:
        if some is None:
            return
        yield from some


def _unpacked(content: bytes) -> Iterator[Any]:
    """The names of the sheets; then some rows at a time, and None after each sheet."""
    with subprocess.Popen(_PROGRAM, stdin=PIPE, stdout=PIPE, start_new_session=True) as process:
        try:
            # If it ends before it has read all, it says why by its exit code.
            with suppress(BrokenPipeError), _stream(process.stdin) as given:
                given.write(content)
            with suppress(EOFError, pickle.UnpicklingError):
                while True:
                    yield pickle.load(_stream(process.stdout))  # noqa: S301  # by a process of our own
            _check(process.wait())
        finally:
            process.kill()


def _check(code: int) -> None:
    match code:
        case End.READ:
            return
        case End.PASSWORD:
            raise refusal("file", "not_readable", "this file has a password; save it without")
        case End.DAMAGED:
            raise refusal("file", "not_readable", "this is no spreadsheet, or a damaged one")
        case _:
            message = "this is too much; delete what stands far below or far beside the list, or save it as CSV"
            raise refusal("file", "too_large", message, status=413)


def _stream(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _look_inside(content: bytes) -> None:
    """Before anything is unpacked: no macros, and not much more than it looks."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = archive.infolist()
    except zipfile.BadZipFile:
        raise refusal("file", "not_readable", "this file is damaged") from None
    if any(one.filename.lower().endswith("vbaproject.bin") for one in inside):
        raise refusal("file", "macros", "this file has macros; save it as .xlsx without")
    if sum(one.file_size for one in inside) > UNPACKED_LIMIT:
        raise refusal("file", "too_large", "there is too much in this file", status=413)


def decoded(content: bytes) -> str:
    """The text: by its byte order mark, else UTF-8, else GB18030, else what it looks like.

    Raises:
        Refusal: `mixed_encodings` when some lines are in one and some in another; `not_readable`.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _strictly(content, encoding)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if b"\x00" not in content[:4096]:
        lines = [_chinese_utf8(line) for line in content.splitlines() if not line.isascii()]
        if any(lines) and not all(lines):
            row = next(
                n for n, line in enumerate(content.splitlines(), 1) if not line.isascii() and not _chinese_utf8(line)
            )
            raise refusal("file", "mixed_encodings", f"row {row} is in another encoding than others; save it as UTF-8")
        try:
            return content.decode("gb18030")
        except UnicodeDecodeError:
            pass
    best = from_bytes(content[:100_000]).best()
    if best is None:
        raise refusal("file", "not_readable", "nobody can tell its encoding; save it as UTF-8")
    return _strictly(content, best.encoding)


def _chinese_utf8(line: bytes) -> bool:
    """Whether a line is Chinese in UTF-8; a word or two of GB18030 may be letters of other scripts in it by chance."""
    try:
        return _CHINESE.search(line.decode("utf-8")) is not None
    except UnicodeDecodeError:
        return False


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        raise refusal("file", "mixed_encodings", f"parts of this file are not {encoding}; save it as UTF-8") from None


def _csv(text: str) -> Iterator[Row]:
    head = "\n".join(text.splitlines()[:_TOP]) if len(text) < 100_000 else text[:4000]
    mark = max(",\t;", key=head.count)
    csv.field_size_limit(_LONGEST_CELL)
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark):
            yield list(row)
    except csv.Error as error:
        raise refusal("file", "not_readable", f"this is no CSV: {error}") from None
