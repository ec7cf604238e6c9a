"""Proof on a real broker and database: photos, codes, a second look."""

import io
from datetime import timedelta
from typing import Any

import httpx
import pytest
from PIL import Image, ImageDraw

from services.dispatch.photos import LARGEST, forget
from services.dispatch.store import Store
from tests import world
from tests.component.conftest import Room
from tests.running import eventually, problems

PLACE = {1: "N", 2: (39.0, 54.0, 0.0), 3: "E", 4: (116.0, 23.0, 0.0)}
"""What a telephone writes into a picture: where it was taken, with the tags of EXIF 2.3."""
SCRIPT = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def photo(seed: int = 0, *, size: tuple[int, int] = (2400, 1800), quality: int = 90) -> bytes:
    """A picture as a telephone takes it, place included."""
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for number in range(8):
        spot = (seed * 7 + number * 13) % 64
        left, top = spot % 8 * size[0] // 8, spot // 8 * size[1] // 8
        draw.rectangle((left, top, left + size[0] // 6, top + size[1] // 6), fill=(number * 30, 40, 90))
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8825).update(PLACE)
    kept = io.BytesIO()
    picture.save(kept, "JPEG", quality=quality, exif=exif)
    return kept.getvalue()


def bomb() -> bytes:
    """A small file that is a huge picture once it is unpacked."""
    kept = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(kept, "PNG")
    assert len(kept.getvalue()) < 100_000
    return kept.getvalue()


async def send(room: Room, task_id: str, content: bytes, who: str = "grid_worker", **params: Any) -> httpx.Response:
    """A photo, as a browser sends a file."""
    return await room.dispatch.call(
        "POST",
        f"/tasks/{task_id}/photos",
        who=who,
        content=content,
        headers={"Content-Type": "image/jpeg"},
        params=params,
    )


async def under_way(room: Room, request_id: str, **changes: Any) -> str:
    task_id = await room.offered(request_id, **changes)
    for verb in ("accept", "start"):
        assert (await room.act(task_id, verb, "grid_worker", verb)).status_code == 200
    return task_id


async def test_a_photo_shows_that_it_was_done_and_only_the_picture_is_kept(room: Room) -> None:
    """Without it there is no end; with it, whoever leads can look, and that is noted."""
    task_id = await under_way(room, "r1", kind="disinfection")
    refused = await room.act(task_id, "complete", "grid_worker", "early")
    assert (refused.status_code, problems(refused)) == (409, [("photo", "proof_required")])

    answer = await send(room, task_id, photo(), at="2026-11-24T17:00:00+08:00")
    assert answer.status_code == 201, answer.text
    name = answer.json()["photo"]
    assert (await room.act(task_id, "complete", "grid_worker", "done")).json()["state"] == "completed"

    looked = await room.dispatch.call("GET", f"/tasks/{task_id}/photos/{name}", who="coordinator")
    assert looked.headers["content-type"] == "image/jpeg"
    assert looked.headers["cache-control"] == "no-store"
    with Image.open(io.BytesIO(looked.content)) as kept:
        assert max(kept.size) == 1600
        assert dict(kept.getexif()) == {}
    assert b"Exif" not in looked.content
    stranger = await room.dispatch.call("GET", f"/tasks/{task_id}/photos/{name}", who="volunteer")
    assert stranger.status_code == 404
    await eventually(
        lambda: [one for one in room.events.heard if "opened" in (one.type or "") and name in one.body.decode()]
    )
    (stored,) = await room.dispatch.stored("photos")
    assert b"JFIF" not in str(stored).encode(), "sealed where it rests"


async def test_a_photo_sent_twice_is_one_and_in_another_task_it_is_noticed(room: Room) -> None:
    """Smaller and saved anew, too: a coordinator is told to look."""
    first = await under_way(room, "r1")
    answers = [await send(room, first, photo()) for _ in range(2)]
    assert [one.json()["status"] for one in answers] == ["accepted", "duplicate"]
    other = await under_way(room, "r2", household="household-2-1-503")
    same = (await send(room, other, photo(size=(1200, 900), quality=50))).json()
    assert same["same_as"] == first
    third = await under_way(room, "r3", household="household-2-1-504")
    assert (await send(room, third, photo(seed=5))).json()["same_as"] is None
    shown = await room.dispatch.get(f"/tasks/{other}", who="coordinator")
    assert [one["same_as"] for one in shown["photos"]] == [first]
    await eventually(lambda: "flagged" in room.told("r2"))


async def test_a_photo_of_a_task_that_was_opened_again_is_still_known(room: Room) -> None:
    """What proved it the first time proves nothing elsewhere."""
    first = await under_way(room, "r1")
    assert (await send(room, first, photo())).status_code == 201
    assert (await room.act(first, "complete", "grid_worker", "c1", told="phone")).status_code == 200
    assert (await room.act(first, "reopen", "coordinator", "c2")).status_code == 200
    assert (await room.task(first))["state"]["photos"] == []
    other = await under_way(room, "r2", household="household-2-1-503")
    assert (await send(room, other, photo())).json()["same_as"] == first


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (SCRIPT, ("photo", "not_a_photo")),
        (b"#!/bin/sh\nrm -rf /\n", ("photo", "not_a_photo")),
        (b"", ("photo", "not_a_photo")),
        (b"GIF89a" + bytes(20), ("photo", "not_a_photo")),
        (b"\xff\xd8\xff\xe0 a picture that breaks off", ("photo", "not_a_photo")),
        (b"\xff" * (LARGEST + 1), ("", "too_large")),
        (bomb(), ("photo", "too_large")),
    ],
    ids=["svg", "script", "nothing", "gif", "broken", "too large", "bomb"],
)
async def test_what_is_no_photo_is_refused_and_leaves_nothing(
    room: Room, content: bytes, problem: tuple[str, str]
) -> None:
    """Whatever it calls itself."""
    task_id = await under_way(room, "r1")
    refused = await send(room, task_id, content)
    assert problems(refused) == [problem]
    assert await room.dispatch.stored("photos") == []
    assert (await room.task(task_id))["state"]["photos"] == []


async def test_who_never_had_the_task_cannot_prove_it(room: Room) -> None:
    """Nothing of his is kept."""
    task_id = await under_way(room, "r1")
    refused = await send(room, task_id, photo(), who="volunteer")
    assert refused.status_code in (404, 409)
    assert await room.dispatch.stored("photos") == []


async def test_photos_are_forgotten_when_their_time_is_over(room: Room) -> None:
    """After thirty days the picture is gone; that there was one is still known."""
    task_id = await under_way(room, "r1")
    name = (await send(room, task_id, photo())).json()["photo"]
    store, taken = Store(room.dispatch.runtime), room.clock()
    assert await forget(store, taken - timedelta(seconds=1)) == 0
    assert await forget(store, taken) == 1
    gone = await room.dispatch.call("GET", f"/tasks/{task_id}/photos/{name}", who="operator")
    assert (gone.status_code, problems(gone)) == (404, [("photo", "unknown_photo")])
    assert len((await room.task(task_id))["state"]["photos"]) == 1


async def test_the_code_that_the_resident_tells_is_compared_and_not_tried_out(room: Room) -> None:
    """Five wrong ones, and only whoever leads can say that it is done, with a note why."""
    task_id = await under_way(room, "r1", needs=("hands_only",))
    right = room.dispatch.runtime.lookup.door_code("r1")
    wrong = "0000" if right != "0000" else "0001"
    refused = await room.act(task_id, "complete", "grid_worker", "none")
    assert problems(refused) == [("code", "proof_required")]
    for number in range(5):
        refused = await room.act(task_id, "complete", "grid_worker", f"w{number}", code=wrong)
        assert (refused.status_code, problems(refused)) == (409, [("code", "wrong_code")])
    refused = await room.act(task_id, "complete", "grid_worker", "late", code=right)
    assert problems(refused) == [("code", "too_many_codes")]
    led = await room.act(task_id, "complete", "coordinator", "led", worker=world.ZHAO, note="called her")
    assert led.json()["state"] == "completed"

    other = await under_way(room, "r2", needs=("hands_only",))
    done = await room.act(other, "complete", "grid_worker", "c", code=room.dispatch.runtime.lookup.door_code("r2"))
    assert done.json()["state"] == "completed"


async def test_what_was_drawn_waits_for_a_second_look_by_somebody_else(room: Room) -> None:
    """It stands in a list of its own until then."""
    number = 0
    while True:
        task_id = await under_way(room, f"r{number}", kind="disinfection", household=f"h{number}")
        await send(room, task_id, photo(number))
        await room.act(task_id, "complete", "grid_worker", "done")
        if (await room.task(task_id))["state"]["check"]:
            break
        number += 1
        assert number < 60, "one in ten is drawn"
    assert [one["id"] for one in await room.dispatch.items("/tasks", check=True)] == [task_id]
    own = await room.act(task_id, "check", "grid_worker", "own", confirmed=True)
    assert problems(own) == [("worker", "own_work")]
    looked = await room.act(task_id, "check", "coordinator", "look", confirmed=False)
    assert looked.json()["state"] == "offered", "not as it should be"
    assert await room.dispatch.items("/tasks", check=True) == []
