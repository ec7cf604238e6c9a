"""Photos as proof: checked, freed of what a camera writes beside the picture, sealed, kept for a time."""

import asyncio
import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Literal

from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel

from services.dispatch.domain import proving
from services.dispatch.domain.looks import HEIGHT, WIDTH, alike, look_of, parts_of
from services.dispatch.domain.task import Actor, Photo
from services.dispatch.house import Dispatch
from services.dispatch.store import Store
from shared.contracts.envelope import Meta
from shared.contracts.refusal import refusal
from shared.identity import derived_id

LARGEST = 8 * 1024 * 1024
"""Bytes of a photo as it is sent."""
_MOST_PIXELS = 40_000_000
_MOST_DECODED = 25_000_000
"""Pixels that are held in memory at once; a JPEG can be read at a fraction of its size."""
_EDGE = 1600
"""Pixels of the longer side of what is kept."""
_FORMATS = ("JPEG", "PNG", "WEBP")
_ONE_AT_A_TIME = ThreadPoolExecutor(1, thread_name_prefix="photos")
"""A picture that is decoded is many times as large as its file."""


class PhotoAnswer(BaseModel):
    """What whoever sends a photo gets back."""

    status: Literal["accepted", "duplicate"]
    photo: str
    same_as: str | None
    """The task that had this picture before."""


async def keep(house: Dispatch, task_id: str, actor: Actor, raw: bytes, meta: Meta) -> PhotoAnswer:
    """Keep a photo with a task. The picture rests before the task tells of it, so what is told is there.

    Raises:
        Refusal: it is no picture, too large, of a task that he never had, or one too many.
    """
    now, store = house.runtime.clock(), house.store
    photo_id = derived_id("photo", task_id, hashlib.sha256(raw).hexdigest())
    photo = Photo(photo=photo_id, by=actor.worker, at=actor.at or now, look="")
    # Whoever may not is told before the work is done, and leaves nothing behind.
    proving.photograph(await store.tasks.get(task_id), actor, photo, ())
    jpeg, look = await asyncio.get_running_loop().run_in_executor(_ONE_AT_A_TIME, _prepared, raw)
    parts = parts_of(look)
    same_as = next((one for one, looks in await store.pictured(parts) if one != task_id and alike(look, looks)), None)
    sealed = house.runtime.sealer.seal(base64.b64encode(jpeg).decode(), f"photo:{photo_id}")
    kept = {"task": task_id, "at": now, "sealed": sealed}
    await store.photos.take({"_id": photo_id}, {"$setOnInsert": kept}, upsert=True)
    photo = photo.model_copy(update={"look": look, "same_as": same_as})
    outcome = await store.tasks.update(
        task_id, lambda known: proving.photograph(known, actor, photo, parts), meta.named(f"photo:{photo_id}")
    )
    return PhotoAnswer(status="accepted" if outcome.changed else "duplicate", photo=photo_id, same_as=same_as)


async def picture(house: Dispatch, task_id: str, photo_id: str) -> bytes:
    """The picture, as JPEG.

    Raises:
        Refusal: there is none, or its time is over.
    """
    document = await house.store.photos.get(photo_id)
    if document is None or document["task"] != task_id:
        raise refusal("photo", "unknown_photo", "there is no such photo, or its time is over", status=404)
    return base64.b64decode(house.runtime.sealer.open(document["sealed"], f"photo:{photo_id}"))


async def forget(store: Store, before: datetime) -> int:
    """Delete photos that were taken in before then; how many."""
    return await store.photos.delete({"at": {"$lte": before}})


def _prepared(raw: bytes) -> tuple[bytes, str]:
    """The picture alone, upright and not larger than needed, as JPEG; and how it looks."""
    try:
        with Image.open(io.BytesIO(raw), formats=_FORMATS) as found:
            pixels = found.width * found.height
            # A JPEG is read at a half or a quarter of its size, which is most of the work.
            found.draft("RGB", (_EDGE, _EDGE))
            if pixels > _MOST_PIXELS or found.width * found.height > _MOST_DECODED:
                raise refusal("photo", "too_large", f"the photo has {pixels} pixels; send it smaller", status=413)
            upright = ImageOps.exif_transpose(found).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise refusal("photo", "not_a_photo", f"a photo is a JPEG, PNG or WebP picture: {error}") from None
    upright.thumbnail((_EDGE, _EDGE))
    kept = io.BytesIO()
    # Written anew, nothing of place, time or camera goes with it.
    upright.save(kept, "JPEG", quality=80)
    return kept.getvalue(), look_of(upright.convert("L").resize((WIDTH, HEIGHT)).tobytes())
