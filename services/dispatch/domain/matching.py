"""Who is able to do what: constraints that are checked, not notes that somebody may read."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.dispatch.domain.roster import Worker
from services.dispatch.domain.shifts import on_duty
from shared.contracts.catalogue import AbilityCatalogue, Kinds
from shared.contracts.intake import RequestFacts

PHRASE_SHEET = "phrase_sheet"
"""Helps whoever does not speak the resident's language."""
LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What whoever does a task must be, have and speak."""

    kind: str
    skills: frozenset[str] = frozenset()
    language: str | None = None
    """The resident's, unless everybody speaks it."""
    language_is_must: bool = False
    sexes: frozenset[str] = frozenset()
    """Wished for; two different wishes cannot be met by anybody."""
    never: frozenset[str] = frozenset()
    """Workers whom that door does not want again."""
    proof: frozenset[str] = frozenset()
    """What must show that it was done."""


def requirement(
    facts: RequestFacts, kinds: Kinds, abilities: AbilityCatalogue, never: Iterable[str] = ()
) -> Requirement:
    """What a request asks of whoever comes, by kind, by the resident's needs and by language."""
    kind = kinds.kinds.get(facts.kind)
    aids = [abilities.needs[need] for need in facts.needs if need in abilities.needs]
    return Requirement(
        kind=facts.kind,
        skills=frozenset(kind.skills if kind else ()).union(*(aid.skills for aid in aids)),
        language=facts.language,
        language_is_must=kind is not None and kind.language,
        sexes=frozenset(aid.sex for aid in aids if aid.sex is not None),
        never=frozenset(never),
        proof=frozenset(kind.proof if kind else ()).union(*(aid.proof for aid in aids)),
    )


def lacks(worker: Worker, need: Requirement, now: datetime) -> tuple[str, ...]:
    """What keeps a worker from it; empty: nothing. `language` stands last, and alone it can be helped."""
    found = [f"skill:{skill}" for skill in sorted(need.skills - set(worker.skills))]
    if worker.worker_id in need.never:
        found.append("not_wanted")
    if any(wish != worker.sex for wish in need.sexes):
        found.append("sex")
    if worker.kinds and need.kind not in worker.kinds:
        found.append("not_agreed")
    if worker.standing != "approved":
        found.append("not_approved")
    if worker.is_away(now) or not on_duty(worker.shifts, now):
        found.append("off_duty")
    if need.language is not None and need.language not in worker.languages:
        found.append(LANGUAGE)
    return tuple(found)


def aids(worker: Worker | None, need: Requirement) -> tuple[str, ...]:
    """What makes up for what he lacks."""
    foreign = worker is not None and need.language is not None and need.language not in worker.languages
    return (PHRASE_SHEET,) if foreign else ()


@dataclass(frozen=True, slots=True)
class Able:
    """Who is able, of all who help in a community."""

    speakers: frozenset[str]
    """Those who lack nothing at all."""
    others: frozenset[str]
    """Those who lack the language only, where a phrase sheet will do."""


def able(workers: Iterable[Worker], need: Requirement, now: datetime, without: Collection[str] = ()) -> Able:
    """Sort out who is able; `without`: those who said no."""
    speakers: set[str] = set()
    others: set[str] = set()
    for worker in workers:
        if worker.worker_id in without:
            continue
        missing = lacks(worker, need, now)
        if not missing:
            speakers.add(worker.worker_id)
        elif missing == (LANGUAGE,) and not need.language_is_must:
            others.add(worker.worker_id)
    return Able(frozenset(speakers), frozenset(others))


def nearest(
    workers: Sequence[Worker], need: Requirement, now: datetime, without: Collection[str] = ()
) -> tuple[str, tuple[str, ...]] | None:
    """Who lacks least, and what: somebody must be asked, and a coordinator shall see whom help would make able."""
    # Who is not wanted or not approved cannot be helped.
    hopeless = {"not_wanted", "not_approved"}
    missing = ((worker.worker_id, lacks(worker, need, now)) for worker in workers if worker.worker_id not in without)
    return min(
        (one for one in missing if hopeless.isdisjoint(one[1])), key=lambda one: (len(one[1]), one[0]), default=None
    )
