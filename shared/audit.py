"""Every opening of sealed personal data is noted, before the data is shown."""

from collections.abc import Callable, Sequence
from datetime import datetime

from pydantic import BaseModel

from shared.access import Principal
from shared.aggregates import Aggregates
from shared.contracts.audit import PersonalDataOpened
from shared.contracts.envelope import Event, Meta


class Opening(BaseModel):
    """One opening."""

    subject: str
    record: str


class Openings:
    """Notes who opened what; the ledger enters it.

    Args:
        aggregates: where openings rest until the ledger has them.
        new_id: makes an id.
        clock: the time now, in UTC.
    """

    model = Opening

    def __init__(
        self, aggregates: Aggregates[Opening], new_id: Callable[[], str], clock: Callable[[], datetime]
    ) -> None:
        self._aggregates = aggregates
        self._new_id = new_id
        self._clock = clock

    async def note(
        self,
        reader: Principal,
        record: str,
        purpose: str,
        *,
        community: str | None = None,
        grid: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Note it.

        Raises:
            StorageUnavailable: it could not be noted, so nothing may be shown.
        """
        event = PersonalDataOpened(
            community=community,
            grid=grid,
            record=record,
            reader=reader.worker or reader.name,
            role=reader.role,
            purpose=purpose,
            request_id=request_id,
        )

        def decide(_: Opening | None) -> tuple[Opening, Sequence[Event]]:
            return Opening(subject=request_id or record, record=record), [event]

        identity = self._new_id()
        cause = Meta(identity, "", reader.name, self._clock(), request_id or "", actor=reader.name)
        await self._aggregates.update(identity, decide, cause, new=True)
