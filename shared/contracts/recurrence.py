"""When something comes again: which rules of RFC 5545 are taken."""

import re

PARTS = {
    "FREQ": "DAILY|WEEKLY|MONTHLY",
    "INTERVAL": "[1-9][0-9]?",
    "COUNT": "[1-9][0-9]{0,3}",
    "UNTIL": r"[0-9]{8}(T[0-9]{6})?",
    "BYDAY": "([1-4]?(MO|TU|WE|TH|FR|SA|SU),?){1,7}",
    "BYMONTHDAY": "(([1-9]|1[0-9]|2[0-8]),?){1,28}",
    "BYHOUR": "(([0-9]|1[0-9]|2[0-3]),?){1,24}",
    "WKST": "MO|SU",
}
"""Parts of a rule, and their values: those with which it comes again soon, so that none can be searched for ever."""


def wrong_part(rule: str) -> str | None:
    """What is wrong with a rule, for a person; None: nothing."""
    for part in rule.split(";"):
        name, _, value = part.partition("=")
        if name not in PARTS or not re.fullmatch(PARTS[name], value):
            return f"{part!r} is not a part of a rule that is taken here: {', '.join(PARTS)}"
    return None
