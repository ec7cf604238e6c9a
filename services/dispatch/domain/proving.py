"""What shows that it was done: a note, photos, the resident's code, a call."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.dispatch.domain.task import Actor, Decision, Photo, Situation, Task, event, had, known
from shared.contracts.dispatch import DeliveryFlagged, DeliveryPhotographed
from shared.contracts.envelope import Event, Problem
from shared.contracts.refusal import Refusal, refusal

MOST_PHOTOS = 12
SHOWS_FAILURE = ("note", "photo")
"""What can show an attempt that failed."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What whoever did it says for himself."""

    note: str = ""
    goods: str = "intact"
    code: bool = False
    """The resident's code was told, and is right."""
    called_back: bool = False
    told: str | None = None


NOTHING = Evidence()


def proof_of(
    task: Task,
    actor: Actor,
    situation: Situation,
    evidence: Evidence,
    among: Sequence[str] = ("note", "photo", "code", "call_back"),
) -> tuple[str, ...]:
    """What shows it.

    Raises:
        Refusal: something is asked for that is not there. Whoever leads can do without, and says why in a note.
    """
    there = {
        "note": bool(evidence.note),
        "photo": bool(task.photos),
        "code": evidence.code,
        "call_back": evidence.called_back,
    }
    missing = [proof for proof in among if proof in situation.roster.need.proof and not there[proof]]
    if missing and not (actor.leads and evidence.note):
        fields = {"call_back": "called_back"}
        raise Refusal(
            *(
                Problem(field=fields.get(one, one), code="proof_required", message=f"this asks for proof: {one}")
                for one in missing
            ),
            status=409,
        )
    return tuple(proof for proof in among if there[proof])


def photograph(task: Task | None, actor: Actor, photo: Photo, parts: Sequence[str]) -> Decision | None:
    """A photo was taken as proof, of success or of an attempt; None if it is there. `parts` of it find it again."""
    task, _ = known(task)
    had(task, actor)
    if any(one.photo == photo.photo for one in task.photos):
        return None
    if len(task.photos) >= MOST_PHOTOS:
        raise refusal("photo", "too_many", f"a task has at most {MOST_PHOTOS} photos", status=409)
    looks = [*task.looks, *(one for one in parts if one not in task.looks)]
    pictured = [*task.pictured, photo.look]
    kept = task.model_copy(update={"photos": [*task.photos, photo], "pictured": pictured, "looks": looks})
    told: list[Event] = [event(DeliveryPhotographed, kept, photo=photo.photo, same_as=photo.same_as, at=actor.at)]
    return kept, told if photo.same_as is None else [*told, event(DeliveryFlagged, kept, reason="same_photo")]


def count_wrong_code(task: Task | None) -> Decision:
    """Somebody told a code that is not the resident's."""
    task, _ = known(task)
    return task.model_copy(update={"wrong_codes": task.wrong_codes + 1}), []
