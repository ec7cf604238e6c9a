"""How a picture looks, in 64 bits, so that the same one is known again after it was sent, shrunk or saved anew.

The difference hash: whether each of eight by eight spots is darker than its neighbour to the right
(https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html).
"""

from collections.abc import Sequence
from itertools import pairwise

WIDTH, HEIGHT = 9, 8
"""To which a picture is shrunk, in grey, before it is looked at."""
ALIKE = 3
"""Bits by which one and the same picture may differ."""
_PARTS = ALIKE + 1
"""Of two pictures that differ in `ALIKE` bits at most, one of so many parts is the same."""


def look_of(grey: bytes) -> str:
    """16 hexadecimal digits, from a picture of 9 by 8 spots, row by row."""
    bits = 0
    for row in range(HEIGHT):
        line = grey[row * WIDTH : (row + 1) * WIDTH]
        for left, right in pairwise(line):
            bits = bits << 1 | (left < right)
    return f"{bits:016x}"


def parts_of(look: str) -> tuple[str, ...]:
    """What an index holds: alike pictures have at least one of these in common."""
    size = len(look) // _PARTS
    return tuple(f"{number}:{look[number * size : (number + 1) * size]}" for number in range(_PARTS))


def alike(look: str, others: Sequence[str]) -> bool:
    """Whether one of the others shows the same."""
    return any((int(look, 16) ^ int(other, 16)).bit_count() <= ALIKE for other in others)
