"""What any service publishes when it opens sealed personal data for somebody."""

from typing import ClassVar

from shared.contracts.envelope import Event


class PersonalDataOpened(Event):
    """Sealed data was opened for `reader`."""

    wire: ClassVar[str] = "doorstep.personal-data.opened.v1"
    key: ClassVar[str] = "personal-data.opened"

    record: str
    """What was opened, such as `task:<id>`."""
    reader: str
    role: str
    purpose: str
    request_id: str | None = None


EVENTS = (PersonalDataOpened,)
