"""Seals: only the right key and the right context open them, keys rotate, and hashes tell nothing."""

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.sealing import KEPT, CannotOpen, Lookup, Sealer, gone, without_seals
from shared.settings import Secrets, SettingsError

OLD, NEW = os.urandom(32), os.urandom(32)
SEALER = Sealer({"k1": OLD}, "k1")
LOOKUP = Lookup(OLD)


@given(st.text(max_size=200), st.text(max_size=40))
def test_what_was_sealed_is_opened_again(text: str, context: str) -> None:
    """Whatever it says, in whatever script."""
    assert SEALER.open(SEALER.seal(text, context), context) == text


def test_a_seal_shows_nothing_and_never_looks_the_same() -> None:
    """Two seals of one text cannot be told to be equal."""
    first, second = SEALER.seal("王先生", "request:r1"), SEALER.seal("王先生", "request:r1")
    assert first != second
    assert "王先生".encode() not in base64.b64decode(first.partition(".")[2])


def test_a_seal_cannot_be_moved_to_another_record() -> None:
    """The context is part of it."""
    with pytest.raises(CannotOpen, match="request:r2"):
        SEALER.open(SEALER.seal("王先生", "request:r1"), "request:r2")


@pytest.mark.parametrize("position", [0, 11, 12, 20, -1])
def test_a_seal_that_was_tampered_with_does_not_open(position: int) -> None:
    """One bit is enough, in nonce, text or tag."""
    key_id, _, encoded = SEALER.seal("王先生在家", "request:r1").partition(".")
    data = bytearray(base64.b64decode(encoded))
    data[position] ^= 1
    with pytest.raises(CannotOpen):
        SEALER.open(f"{key_id}.{base64.b64encode(data).decode()}", "request:r1")


@pytest.mark.parametrize("seal", ["", "k1", "k1.", "k1.AAAA", "k1.not base64", "k9.AAAA", "."])
def test_what_is_no_seal_does_not_open(seal: str) -> None:
    """And raises nothing else."""
    with pytest.raises(CannotOpen):
        SEALER.open(seal, "request:r1")


def test_after_a_rotation_old_seals_open_and_new_ones_use_the_new_key() -> None:
    """Sealed again, an old one needs the old key no more."""
    old = SEALER.seal("王先生", "request:r1")
    rotated = Sealer({"k1": OLD, "k2": NEW}, "k2")
    assert rotated.open(old, "request:r1") == "王先生"
    fresh = rotated.reseal(old, "request:r1")
    assert fresh.startswith("k2.")
    assert rotated.reseal(fresh, "request:r1") == fresh
    only_new = Sealer({"k2": NEW}, "k2")
    assert only_new.open(fresh, "request:r1") == "王先生"
    with pytest.raises(CannotOpen, match="no key k1"):
        only_new.open(old, "request:r1")


def test_a_key_of_the_same_name_with_other_bytes_opens_nothing() -> None:
    """Another installation's seals stay closed."""
    with pytest.raises(CannotOpen):
        Sealer({"k1": NEW}, "k1").open(SEALER.seal("王先生", "request:r1"), "request:r1")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"active": "k2", "keys": {"k1": base64.b64encode(OLD).decode()}}, "active key k2 is not among"),
        ({"active": "k1", "keys": {"k1": "AAAA"}}, "sealing key k1 holds 3 bytes"),
        ({"active": "k1", "keys": {"k1": "?"}}, "sealing key k1 is not base64"),
        ({"keys": {}}, "must hold"),
        (["k1"], "must hold"),
    ],
)
def test_wrong_sealing_keys_stop_the_start_with_a_message(tmp_path: Path, content: object, message: str) -> None:
    """That says what is wrong, and shows no key."""
    (tmp_path / "sealing-keys.json").write_text(json.dumps(content))
    with pytest.raises(SettingsError, match=message):
        Sealer.from_secrets(Secrets(tmp_path))


@pytest.mark.parametrize(("text", "message"), [(None, "is missing"), ("  \n", "is empty"), ("{", "is not JSON")])
def test_a_secret_that_is_not_there_says_what_to_do(tmp_path: Path, text: str | None, message: str) -> None:
    """By name and folder."""
    if text is not None:
        (tmp_path / "access-tokens.json").write_text(text)
    with pytest.raises(SettingsError, match=f"access-tokens.json {message}"):
        Secrets(tmp_path).json("access-tokens.json")


# Hashes to find again


def test_a_door_is_recognised_however_it_is_written() -> None:
    """Blanks around and capitals make no difference."""
    assert LOOKUP.household("tiebei", "3", " A ", "502") == LOOKUP.household("tiebei", "3", "a", "502")


def test_neighbouring_doors_and_stairwells_differ() -> None:
    """Parts do not run into each other."""
    doors = [("1", "1", "11"), ("1", "11", "1"), ("11", "1", "1"), ("1", "1", None), ("1", None, "1")]
    assert len({LOOKUP.household("tiebei", *door) for door in doors}) == len(doors)
    assert LOOKUP.stairwell("tiebei", "1", "1") != LOOKUP.household("tiebei", "1", "1", None)


def test_a_phone_is_recognised_with_and_without_country_code() -> None:
    """Its last eleven digits count."""
    assert LOOKUP.phone("tiebei", "+86 100 0000 0001") == LOOKUP.phone("tiebei", "(100) 0000-0001")
    assert LOOKUP.phone("tiebei", "10000000001") != LOOKUP.phone("other", "10000000001")


def test_without_the_key_nothing_can_be_looked_up() -> None:
    """Another key, other hashes."""
    assert LOOKUP.phone("tiebei", "10000000001") != Lookup(NEW).phone("tiebei", "10000000001")


@pytest.mark.parametrize("size", [1, 32, 64, 65, 200])
def test_a_keyed_hash_is_hmac_sha_256(size: int) -> None:
    """As the standard library makes it, whatever the size of the key."""
    key = bytes(range(size))
    expected = hmac.new(key, b"phone\x1ftiebei\x1f10000000001", hashlib.sha256).hexdigest()[:32]
    assert Lookup(key).phone("tiebei", "100 0000 0001") == expected


# A key of one's own


def test_what_is_sealed_under_a_key_of_its_own_opens_with_that_key_alone() -> None:
    """And what was sealed before still opens with it."""
    before = SEALER.seal("李奶奶", "person:1")
    key = SEALER.own_key("person-key:1")
    own = SEALER.under(key, "person-key:1")
    seal = own.seal("李奶奶", "person:1")
    assert [own.open(one, "person:1") for one in (seal, before)] == ["李奶奶", "李奶奶"]
    with pytest.raises(CannotOpen, match="no key own"):
        SEALER.open(seal, "person:1")
    with pytest.raises(CannotOpen):
        SEALER.under(SEALER.own_key("person-key:1"), "person-key:1").open(seal, "person:1")
    with pytest.raises(CannotOpen):
        SEALER.under(key, "person-key:2")
    assert own.reseal(before, "person:1").startswith("own.")


def test_of_two_keys_one_beside_the_other_opens_as_well_and_what_is_gone_is_nothing() -> None:
    """What a destroyed key sealed is nothing; what the shared key cannot open is still a mistake."""
    kept = SEALER.under(SEALER.own_key("person-key:case:1"), "person-key:case:1", KEPT)
    both = kept.under(SEALER.own_key("person-key:1"), "person-key:1")
    seals = [one.seal("李奶奶", "case:1") for one in (SEALER, kept, both)]
    assert [one.partition(".")[0] for one in seals[1:]] == ["kept", "own"]
    assert [both.left(one, "case:1") for one in seals] == ["李奶奶"] * 3
    assert [kept.left(one, "case:1") for one in seals] == ["李奶奶", "李奶奶", None]
    assert [SEALER.left(one, "case:1") for one in seals] == ["李奶奶", None, None]
    other = SEALER.under(SEALER.own_key("person-key:case:1"), "person-key:case:1", KEPT)
    assert other.left(seals[1], "case:1") is None, "a key of the same name, made since"
    with pytest.raises(CannotOpen):
        SEALER.left(seals[0], "case:2")


def test_a_seal_that_all_could_open_can_be_thrown_away_and_one_with_its_own_key_stays() -> None:
    """What stands for it is the same each time, tells nothing, and is nothing when it is opened."""
    own = SEALER.under(SEALER.own_key("person-key:1"), "person-key:1").seal("她的", "person:1")
    seal = SEALER.seal("他的", "request:1")
    document = {"state": {"facts": {"sealed": seal, "kind": "x"}, "records": [{"sealed": own}, {"sealed": None}]}}
    thrown = without_seals(document)
    assert thrown["state"]["records"] == [{"sealed": own}, {"sealed": None}]
    assert thrown["state"]["facts"]["kind"] == "x"
    assert SEALER.left(thrown["state"]["facts"]["sealed"], "request:1") is None
    assert without_seals(thrown) == thrown
    assert thrown["state"]["facts"]["sealed"] == gone(seal)
