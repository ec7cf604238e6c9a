"""A spreadsheet into rows, in a process of its own: `python -m services.ledger.files.unpacking`, the file on its input.

The library lays out the whole rectangle up to the last cell, so one cell that somebody left in the last row of the last
column takes more memory than there is, and ends the process without a word. Better this one than the ledger's.
"""

import io
import pickle
import resource
import sys
from enum import IntEnum

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

MEMORY = 256 * 1024 * 1024
"""Bytes that this process may take: a list of 100,000 people takes half of it."""
TOGETHER = 500
"""Rows written at once."""


class End(IntEnum):
    """How it ended, as the process says it; whatever else it says, the memory was not enough."""

    READ = 0
    PASSWORD = 3
    DAMAGED = 4


def main() -> End:
    """Write the names of the sheets that one sees, then their rows, some at a time, and None after each sheet."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = sys.stdout.buffer
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        names = [
            one.name
            for one in workbook.sheets_metadata
            if (one.typ, one.visible) == (SheetTypeEnum.WorkSheet, SheetVisibleEnum.Visible)
        ]
        pickle.dump(names, out)
        for name in names:
            rows: list[list[object]] = []
            for row in workbook.get_sheet_by_name(name).iter_rows():
                rows.append(list(row))
                if len(rows) == TOGETHER:
                    pickle.dump(rows, out)
                    rows = []
            pickle.dump(rows, out)
            pickle.dump(None, out)
    except PasswordError:
        return End.PASSWORD
    except (CalamineError, OSError, ValueError):
        return End.DAMAGED
    return End.READ


if __name__ == "__main__":
    sys.exit(main())
