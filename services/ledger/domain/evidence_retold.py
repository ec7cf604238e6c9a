"""What is owed and its days, made again of what their events say."""

from services.ledger.domain.evidence import Report
from services.ledger.domain.rebuilding import Told, but
from shared.contracts.envelope import Event
from shared.contracts.evidence import (
    EvidenceDoubted,
    EvidenceDue,
    EvidenceForgiven,
    EvidenceNamed,
    EvidenceOwed,
    EvidenceRecorded,
    EvidenceReminded,
)


def retold_owing(known: Told, event: Event) -> Told:
    """What is told of what is owed, after one more event."""
    match event:
        case EvidenceOwed():
            told: Told = {
                "owing_id": event.owing_id,
                "community": event.community,
                "partner": event.worker,
                "kind": event.kind,
                "places": list(event.places),
                "forgiven": False,
            }
            if event.fingerprint is None:
                return told
            names = ("reminded", "named", "begins", "ends", "zone", "fingerprint")
            return {**told, **{name: getattr(event, name) for name in names}}
        case EvidenceForgiven():
            return {**known, "forgiven": True}
        case _:
            return known


def retold_day(known: Told, event: Event) -> Told:
    """What is told of a day, after one more event. Where all was reported, nobody says that it is over."""
    match event:
        case EvidenceDue():
            facts = event.model_dump(include={"owing_id", "community", "kind", "day", "names_at"})
            told: Told = {"partner": event.worker, "places": list(event.places), "reports": [], "named": []}
            return {**facts, **told, "stage": "owed", "due_at": event.reminds_at}
        case EvidenceRecorded() if "reports" in known:
            return _reported(known, event)
        case EvidenceDoubted() if "reports" in known:
            *before, last = known["reports"]
            return {**known, "reports": [*before, last.model_copy(update={"same_as": event.same_as})]}
        case EvidenceReminded() if known:
            return {**known, "stage": "reminded", "due_at": known["names_at"]}
        case EvidenceNamed():
            return {**known, "stage": "over", "due_at": None, "named": list(event.places)}
        case _:
            return known


def _reported(known: Told, event: EvidenceRecorded) -> Told:
    if event.report_id is None or event.at is None:
        return but(known, "reports")
    told = Report(
        report_id=event.report_id,
        place=event.place,
        at=event.at,
        by=event.by or "",
        pictures=list(event.shown),
        late=event.late,
    )
    return {**known, "reports": [*known["reports"], told]}
