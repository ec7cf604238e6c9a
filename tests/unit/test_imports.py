"""Lists as committees keep them: headers, encodings, dates and numbers of every kind, and what is wrong where."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from services.ledger.domain import cells, export, headings
from services.ledger.domain.cells import Wrong
from services.ledger.domain.imports import Imports
from services.ledger.domain.people import PeopleCatalogue, portrait
from services.ledger.domain.rows import fields_of, marks_of
from services.ledger.files.export import Listing, sent
from services.ledger.files.receiving import received
from services.ledger.imports.importing import Order
from services.ledger.imports.reading import Reading
from shared.catalogue import load
from shared.contracts.catalogue import AbilityCatalogue
from shared.contracts.ledger import RegisterPerson
from shared.contracts.refusal import Refusal
from shared.sealing import Lookup
from shared.settings import Settings
from tests import world
from tests.lists import HEADER, as_csv, as_workbook, as_xlsx, number_of, somebody, with_macros

FOLDER = Settings().catalogue_dir
IMPORTS = load(FOLDER / "imports.yaml", Imports)
PEOPLE = load(FOLDER / "people.yaml", PeopleCatalogue)


def reading(**changes: Any) -> Reading:
    return Reading(
        **{
            "community": world.TIEBEI,
            "source": "import",
            "words": headings.words(IMPORTS, PEOPLE, "usual"),
            "people": PEOPLE,
            "buildings": world.GRID_OF,
            "today": date(2026, 11, 24),
            "lookup": Lookup(b"x" * 32),
            **changes,
        }
    )


def read(content: bytes, **changes: Any) -> tuple[list[RegisterPerson], list[tuple[int, str, str]]]:
    """The good rows, and where what is wrong."""
    mine = reading(**changes)
    good = [one for some in mine.chunks(content) for one in some]
    return good, [(one.row, one.column, one.code) for one in mine.problems]


def refused(content: bytes) -> str:
    with pytest.raises(Refusal) as refusal:
        read(content)
    return refusal.value.problems[0].code


# What comes in


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_a_list_is_read_in_whatever_encoding(encoding: str, delimiter: str) -> None:
    """And whatever stands between its cells."""
    good, wrong = read(as_csv(HEADER, somebody(1), somebody(2), encoding=encoding, delimiter=delimiter))
    assert ([one.name for one in good], wrong) == (["王丁", "王丂"], [])
    assert good[0].address.model_dump() == {"building": "2", "unit": "1", "room": "201"}


def test_a_file_in_two_encodings_is_refused_with_the_row() -> None:
    """Two lists were put together."""
    with pytest.raises(Refusal) as refusal:
        read(as_csv(HEADER, somebody(1)) + as_csv(somebody(2), encoding="gb18030"))
    (problem,) = refusal.value.problems
    assert (problem.code, "row 3" in problem.message) == ("mixed_encodings", True)


def test_titles_above_the_header_and_headings_over_several_columns_are_understood() -> None:
    """As spreadsheets have them."""
    content = as_xlsx(
        ["铁北社区居民台账", None, None, None, None],
        [None, None, None, None, None],
        ["姓 名*", "联系方式(必填)", "住　　址", None, None],
        [None, "手机", "楼 号", "单元", "房间号"],
        ["李奶奶", 13800000000.0, "1号楼", 1, 101.0],
        ["合计", 1, None, None, None],
        merged=["A1:E1", "A3:A4", "C3:E3"],
    )
    good, wrong = read(content)
    assert wrong == []
    (one,) = good
    assert (one.name, one.phone, one.address.model_dump()) == (
        "李奶奶",
        "13800000000",
        {"building": "1", "unit": "1", "room": "101"},
    )


OWN = ("13800000000", ())
PING = [("李萍", "10000000002", "女儿")]


@pytest.mark.parametrize(
    ("header", "row", "own", "contacts", "unknown"),
    [
        (
            [("姓名", "电话", "楼号", "紧急联系人", "", ""), ("", "", "", "姓名", "电话", "关系")],
            ("甲", "13800000000", "1", "李萍", "10000000002", "女儿"), OWN, PING, (),
        ),
        (
            [("姓名", "楼号", "家属信息", "", "", ""), ("", "", "姓名", "联系电话", "关系", "住址")],
            ("甲", "1", "李萍", "10000000002", "女儿", "2-1-502"), (None, ()), PING, ("家属信息 住址",),
        ),
        (
            [("姓名", "楼号", "紧急联系人"), ("", "", "", "手机", "关系")],
            ("甲", "1", "李萍", "10000000002", "女儿"), (None, ()), PING, (),
        ),
        (
            [("基本情况", "", "", "紧急联系人", "", "", ""), ("姓名", "楼号", "电话", "姓名", "电话", "关系", "")],
            ("甲", "1", "13800000000", "李萍", "10000000002", "女儿", ""), OWN, PING, (),
        ),
        (
            [("联系人", "王主任", "", ""), ("姓名", "楼号", "电话", "单元")],
            ("甲", "1", "13800000000", "1"), OWN, [], (),
        ),
        (
            [("姓名", "联系电话", "楼号", "紧急联系人", "关系", "联系电话")],
            ("甲", "13800000000", "1", "李萍", "女儿", "10000000002"), OWN, PING, (),
        ),
        (
            [("姓名", "楼号", "联系方式", ""), ("", "", "微信", "手机")],
            ("甲", "1", "wx_123", "13800000000"), OWN, [], ("微信",),
        ),
    ],
    ids=["below", "no column of its own", "shorter than what is below", "above", "a title", "beside", "no known part"],
)  # fmt: skip
def test_what_stands_below_or_beside_whom_to_call_is_not_the_persons_own(
    header: Sequence[Sequence[str]],
    row: Sequence[str],
    own: tuple[str | None, tuple[str, ...]],
    contacts: list[tuple[str, str, str]],
    unknown: tuple[str, ...],
) -> None:
    """A part of a heading is read with what is over it; what is not read is told."""
    mine = reading()
    ((one,),) = mine.chunks(as_csv(*header, row))
    assert (one.name, one.phone, one.other_phones) == ("甲", *own)
    assert [(found.name, found.phone, found.relation) for found in one.contacts] == contacts
    assert (mine.unknown, mine.problems) == (unknown, [])


def test_of_two_columns_that_say_the_same_both_are_read_or_the_second_is_told() -> None:
    """Telephones, notes and illnesses are put together; somebody has one name, and one door."""
    mine = reading()
    header = ("姓名", "楼号", "联系电话", "手机号", "备注", "说明", "病史", "慢性病", "居民姓名", "楼栋", "联系人")
    rows = [
        ("甲", "1", "13800000000", 13900000000.0, "一", "二", "高血压", "糖尿病", "乙", "2", "李萍"),
        ("丙", "1", "", "13900000000", "", "二", "无", "糖尿病", "", "", ""),
        ("丁", "1", "13800000000", "13800000000", "", "", "", "", "", "", ""),
    ]
    (good,) = mine.chunks(as_csv(header, *rows))
    assert [(one.name, one.address.building, one.phone, one.other_phones) for one in good] == [
        ("甲", "1", "13800000000", ("13900000000",)),
        ("丙", "1", "13900000000", ()),
        ("丁", "1", "13800000000", ()),
    ]
    assert [(one.note, one.illnesses) for one in good[:2]] == [("一、二", ("高血压", "糖尿病")), ("二", ("糖尿病",))]
    assert (mine.unknown, mine.problems) == (("居民姓名", "楼栋", "联系人"), [])


def test_of_several_contacts_each_has_the_number_that_stands_with_the_name_and_one_without_is_told() -> None:
    header = ("姓名", "楼号", "家属姓名", "家属电话", "紧急联系人", "紧急联系电话")
    rows = [
        ("甲", "1", "李萍", "10000000002", "李刚", "10000000003"),
        ("乙", "1", "", "10000000002", "李刚", "10000000003"),
        ("丙", "1", "李萍", "", "李刚", "10000000003"),
    ]
    good, wrong = read(as_csv(header, *rows))
    assert [[(found.name, found.phone) for found in one.contacts] for one in good] == [
        [("李萍", "10000000002"), ("李刚", "10000000003")],
        [("家属", "10000000002"), ("李刚", "10000000003")],
    ]
    assert wrong == [(4, "家属电话、紧急联系电话", "required")]


@pytest.mark.parametrize(
    "cell",
    ["1936-05-01", "1936/5/1", "1936.5.1", "1936年5月1日", "19360501", "１９３６－０５－０１", 13271, "13271", 13271.0,
     date(1936, 5, 1), datetime(1936, 5, 1, tzinfo=UTC), "1936-05-01 00:00:00"],
)  # fmt: skip
def test_a_day_is_a_day_however_it_is_written(cell: Any) -> None:
    assert cells.day(cell) == date(1936, 5, 1)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("1936-02-30", "impossible_birthday"),
        ("19361301", "impossible_birthday"),
        ("五月", "bad_date"),
        ("-1", "bad_date"),
    ],
)
def test_what_is_no_day_is_told(cell: str, code: str) -> None:
    with pytest.raises(Wrong, match=code):
        cells.day(cell)


@pytest.mark.parametrize(
    "cell", ["1954.03", "1954年3月", "195403", 1954.03, "1954-3", "1954/03", 195403, 195403.0, "1954.3"]
)
def test_a_month_is_a_month_however_it_is_written(cell: Any) -> None:
    """No day is made up."""
    assert cells.day(cell) == (1954, 3)


@pytest.mark.parametrize("cell", [1954.1, "1954.1"])
def test_a_number_that_may_be_january_or_october_is_a_year(cell: Any) -> None:
    """1954.10 in a spreadsheet is 1954.1."""
    assert cells.day(cell) == 1954


def test_a_list_with_months_of_birth_and_several_numbers_in_a_cell_is_taken() -> None:
    """The first number is the one to call; a wrong one is told in its column."""
    header = ("姓名", "楼号", "出生年月", "联系电话")
    rows = [
        ("甲", "1", "1954年3月", "13800000000/0451-5551234"),
        ("乙", "1", "195410", "13800000000 13900000000、13700000000"),
        ("丙", "1", "195413", "13800000000"),
        ("丁", "1", "1954", "13800000000/无"),
        ("戊", "1", "2090", "13800000000"),
        ("己", "1", "2026年12月", "13800000000"),
        ("庚", "1", "2026年11月", "（0432）62345678，13800000000（儿子 李刚）"),
    ]
    good, wrong = read(as_csv(header, *rows))
    assert [(one.birth_year, one.birth_month, one.phone, one.other_phones) for one in good] == [
        (1954, 3, "13800000000", ("0451-5551234",)),
        (1954, 10, "13800000000", ("13900000000", "13700000000")),
        (2026, 11, "0432-62345678", ("13800000000",)),
    ]
    assert wrong == [
        (4, "出生年月", "impossible_birthday"),
        (5, "联系电话", "bad_format"),
        (6, "出生年月", "impossible_birthday"),
        (7, "出生年月", "impossible_birthday"),
    ]


def test_a_year_alone_is_a_year_and_nothing_is_nothing() -> None:
    assert [cells.day(one) for one in ("1936", "1936年", "", None)] == [1936, 1936, None, None]


@pytest.mark.parametrize(
    ("cell", "text"),
    [("13800000000.0", "13800000000"), (13800000000.0, "13800000000"), ("１３８", "138"), (" 李 ", "李"), ("'+8", "+8"),
     (None, ""), (True, "True"), ("3.50", "3.50"), ("a\x00b", "ab")],
)  # fmt: skip
def test_a_cell_is_read_as_the_text_that_was_meant(cell: Any, text: str) -> None:
    assert cells.plain(cell) == text


def test_every_sheet_that_has_a_header_is_read_with_its_own_columns() -> None:
    """A wrong row is told with its sheet, and a sheet without a header by its name; what is hidden is not read."""
    sheets = {
        "1号楼": [("姓名", "楼号", "电话"), ("甲", "1", "13800000001"), ("乙", "1", "不详")],
        "填表说明": [("每栋楼一页",)],
        "空": [],
        "2号楼": [("2号楼居民",), ("楼号", "姓名", "微信", "房号"), ("2", "丙", "", "201"), ("1", "甲", "", "")],
        "3号楼": [("姓名", "电话", "微信"), ("丁", "13800000004", "")],
        "去年": [("姓名", "楼号"), ("戊", "1")],
    }
    mine = reading()
    (good,) = mine.chunks(as_workbook(sheets, hidden="去年"))
    assert [(one.name, one.address.building, one.phone) for one in good] == [
        ("甲", "1", "13800000001"),
        ("丙", "2", None),
        ("甲", "1", None),
    ]
    assert [(one.sheet, one.row, one.column, one.code) for one in mine.problems] == [
        ("1号楼", 3, "电话", "bad_format"),
        ("3号楼", 2, "building", "required"),
    ]
    assert (mine.rows, mine.unknown, mine.unread) == (5, ("微信",), ["填表说明"])


def test_a_number_whose_last_digits_a_spreadsheet_lost_is_told() -> None:
    """Of eleven that end in zeros, one has the right check digit."""
    number = next(one for one in (number_of("1956-05-01", order) for order in range(1000)) if one.endswith("000"))
    header = ("姓名", "楼号", "身份证号", "电话", "燃气卡号")
    rows = [
        ("甲", 1.0, float(number), 13800000000.0, 123456789012345.0),
        ("乙", 1.0, number, 1380000000000000.0, ""),
        ("丙", 1.0, number, 13800000000.0, "1.23457E+18"),
        ("丁", 1.0, number, 13800000000.0, 123456789012345.0),
    ]
    good, wrong = read(as_xlsx(header, *rows))
    assert [(one.name, one.id_number, one.gas_card) for one in good] == [("丁", number, "123456789012345")]
    assert wrong == [(2, "身份证号", "digits_lost"), (3, "电话", "digits_lost"), (4, "燃气卡号", "digits_lost")]


def test_an_address_in_one_cell_is_taken_apart() -> None:
    """Where there are no columns of their own."""
    content = as_csv(("姓名", "住址"), ("甲", "铁北社区2号楼1单元502室"), ("乙", "2-1-502"), ("丙", "不详"))
    good, wrong = read(content)
    assert [one.address.model_dump() for one in good] == [{"building": "2", "unit": "1", "room": "502"}] * 2
    assert wrong == [(4, "住址", "required")]


@pytest.mark.parametrize("piece", ["(", "1号楼", "1-", "a"])
def test_a_text_as_long_as_a_book_is_no_heading_and_no_door(piece: str) -> None:
    """Nor is it searched for one, which would not end."""
    book = (piece * 30_000)[:30_000]
    content = as_csv(("姓名", "住址", book), ("甲", "2-1-502", ""), ("乙", book, book))
    good, wrong = read(content)
    assert ([one.name for one in good], wrong) == (["甲"], [(3, "住址", "required")])


def test_a_building_is_named_as_on_the_books() -> None:
    """What stands behind its number is taken away only where no building is called so."""
    content = as_csv(("姓名", "楼号"), ("甲", "A座"), ("乙", "2号楼"), ("丙", "B座"))
    good, wrong = read(content, buildings={"A座": "g1", "2": "g1", "B": "g1"})
    assert ([one.address.building for one in good], wrong) == (["A座", "2", "B"], [])


@pytest.mark.parametrize(
    ("cell", "illnesses"),
    [
        ("高血压 糖尿病", ("高血压", "糖尿病")),
        ("type 2 diabetes、COPD", ("type 2 diabetes", "COPD")),
        ("type 2 diabetes", ("type 2 diabetes",)),
    ],
)
def test_a_blank_parts_illnesses_in_chinese_alone(cell: str, illnesses: tuple[str, ...]) -> None:
    (one,), wrong = read(as_csv(("姓名", "楼号", "病史"), ("甲", "1", cell)))
    assert (one.illnesses, wrong) == (illnesses, [])


@pytest.mark.parametrize(
    ("language", "needs", "codes"),
    [
        ("中文", "听障、轮椅", ("zh", ("deaf", "wheelchair"))),
        ("韩文", "Woman only，聋 oxygen_at_night", ("ko", ("woman_only", "deaf", "oxygen_at_night"))),
        ("ug", "无", ("ug", ())),
    ],
)
def test_languages_and_needs_are_read_as_people_write_them(
    language: str, needs: str, codes: tuple[str, tuple[str, ...]]
) -> None:
    """A code stands for itself; what is neither is told."""
    header = ("姓名", "楼号", "语言", "特殊需求")
    good, wrong = read(as_csv(header, ("甲", "1", language, needs), ("乙", "1", "火星语", ""), ("丙", "1", "", "喵喵")))
    assert [(one.language, one.needs) for one in good] == [codes]
    assert wrong == [(3, "语言", "bad_format"), (4, "特殊需求", "bad_format")]


def test_every_language_and_need_of_which_helpers_know_can_be_written_and_no_word_means_two() -> None:
    known = load(FOLDER / "abilities.yaml", AbilityCatalogue)
    assert known.languages.keys() <= IMPORTS.languages.keys()
    assert known.needs.keys() <= IMPORTS.needs.keys()
    for spelled in (IMPORTS.languages, IMPORTS.needs):
        words = [headings.header(one) for code, names in spelled.items() for one in {code, *map(str.lower, names)}]
        assert len({*words}) == len(words)


@pytest.mark.parametrize("cell", ["Old and living alone、cancer", "elderly_alone cancer", "独居老人 cancer"])
def test_a_category_may_have_blanks_in_its_name(cell: str) -> None:
    """Where it is no name as it stands, blanks part several."""
    good, wrong = read(as_csv(("姓名", "楼号", "人员类别"), ("甲", "1", cell)))
    assert ([one.categories for one in good], wrong) == ([("elderly_alone", "cancer")], [])


def test_categories_yes_and_several_things_in_one_cell_are_read() -> None:
    """By their names in either language."""
    header = ("姓名", "楼号", "人员类别", "独居", "病史", "紧急联系人", "家属电话")
    rows = [
        ("甲", "1", "独居老人、慢性病患者", "√", "高血压，糖尿病", "李萍", "10000000002"),
        ("乙", "1", "cancer", "否", "", "", ""),
    ]
    good, wrong = read(as_csv(header, *rows), lists=("found_by_community",), categories=("newcomer",))
    assert wrong == []
    assert good[0].categories == ("elderly_alone", "chronic_illness", "newcomer")
    assert (good[0].lives_alone, good[0].illnesses) == (True, ("高血压", "糖尿病"))
    assert [one.relation for one in good[0].contacts] == ["家属"]
    assert (good[1].categories, good[1].lists) == (("cancer", "newcomer"), ("found_by_community",))


@pytest.mark.parametrize(
    ("names", "phones", "contacts"),
    [
        ("李萍", "+86 100 0000 0002", [("李萍", "+86 100 0000 0002")]),
        ("李萍、李刚", "10000000002 10000000003", [("李萍", "10000000002"), ("李刚", "10000000003")]),
        ("李萍 李刚", "10000000002/0451-5551234", [("李萍", "10000000002"), ("李刚", "0451-5551234")]),
        ("李萍", "10000000002；10000000003", [("李萍", "10000000002"), ("李萍", "10000000003")]),
        ("一、二、三", "10000000002，10000000003", [("一、二、三", "10000000002"), ("一、二、三", "10000000003")]),
    ],
)  # fmt: skip
def test_several_whom_to_call_may_stand_in_one_cell(names: str, phones: str, contacts: list[tuple[str, str]]) -> None:
    """One name for each number; where there are not as many, all of them for each."""
    (one,), wrong = read(as_csv(("姓名", "楼号", "紧急联系人", "家属电话"), ("甲", "1", names, phones)))
    assert wrong == []
    assert [(found.name, found.phone) for found in one.contacts] == contacts


def test_every_wrong_row_is_told_by_row_column_and_code() -> None:
    """And the others are good."""
    bad = number_of("1956-05-01", 3)
    bad = bad[:-1] + ("0" if bad[-1] != "0" else "1")
    header = (*HEADER, "出生日期", "独居", "人员类别")
    rows = [
        (*somebody(1), "", "", ""),
        (*somebody(2, id_number=bad), "", "", ""),
        (*somebody(1, room="999", phone=""), "", "", ""),
        (*somebody(4, building="99"), "", "", ""),
        (*somebody(5, name=""), "", "", ""),
        (*somebody(6, id_number=""), "2036-01-01", "", ""),
        (*somebody(7, id_number=""), "1936-02-30", "", ""),
        (*somebody(8, phone="不详"), "", "", ""),
        (*somebody(9), "", "也许", ""),
        (*somebody(10), "", "", "宇航员"),
        (*somebody(11, building=""), "", "", ""),
        (*somebody(12), "1956-05-02", "", ""),
    ]
    good, wrong = read(as_csv(header, *rows))
    assert [one.name for one in good] == ["王丁"]
    assert wrong == [
        (3, "身份证号", "bad_check_digit"),
        (4, "身份证号", "duplicate_in_file"),
        (5, "楼号", "unknown_building"),
        (6, "姓名", "required"),
        (7, "出生日期", "impossible_birthday"),
        (8, "出生日期", "impossible_birthday"),
        (9, "联系电话", "bad_format"),
        (10, "独居", "neither_yes_nor_no"),
        (11, "人员类别", "unknown_category"),
        (12, "楼号", "required"),
        (13, "出生日期", "birthday_differs"),
    ]


def test_a_father_and_his_son_of_one_name_are_two_rows_and_one_without_a_number_is_a_repetition() -> None:
    """Behind one door."""
    father, son = somebody(1), somebody(1, id_number=number_of("1986-05-01", 1))
    unknown = somebody(1, id_number="", phone="")
    good, wrong = read(as_csv(HEADER, father, son, unknown))
    assert len(good) == 2
    assert wrong == [(4, "姓名", "duplicate_in_file")]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"\r\n\r\n,,,\r\n", "empty"),
        (as_csv(("甲", "乙"), ("丙", "丁")), "no_header"),
        (as_csv(HEADER[:1], ("甲",)), "no_header"),
        (b"PK\x03\x04 and nothing else", "not_readable"),
        (b"\xd0\xcf\x11\xe0 and nothing else", "not_readable"),
        (with_macros(as_xlsx(HEADER, somebody(1))), "macros"),
        (b"\xef\xbb\xbf\xff\xff\xff", "mixed_encodings"),
        (as_csv(HEADER, ["x" * 40_000]), "not_readable"),
    ],
    ids=[
        "nothing",
        "empty rows",
        "no header",
        "names alone",
        "no zip",
        "no workbook",
        "macros",
        "not its mark",
        "a cell",
    ],
)
def test_a_file_that_is_no_list_is_refused_as_a_whole(content: bytes, code: str) -> None:
    assert refused(content) == code


def test_a_million_empty_rows_are_not_walked_through() -> None:
    """Nor do a few between people matter."""
    good, wrong = read(as_csv(HEADER, somebody(1)) + b",,,,,\r\n" * 20 + as_csv(somebody(2)) + b",,,,,\r\n" * 1_000_000)
    assert (len(good), wrong) == (2, [])


@pytest.mark.parametrize("cell", ["XFD1048576", "J1048576"])
def test_one_cell_that_was_left_far_away_is_told_and_ends_nothing(cell: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The library lays out all between: half a terabyte, or more than there is; its last words are in the log."""
    assert refused(as_xlsx(HEADER, somebody(1), left={cell: "x"})) == "too_large"
    assert "emory" in capfd.readouterr().err


def test_a_million_empty_rows_of_a_spreadsheet_are_no_matter() -> None:
    """The last of them has a cell that says something."""
    good, wrong = read(as_xlsx(HEADER, somebody(1), left={"A1048576": " "}))
    assert (len(good), wrong) == (1, [])


def test_a_formula_counts_as_the_value_that_was_stored_with_it() -> None:
    """One that was never computed is an empty cell; nothing is computed here."""
    _, wrong = read(as_xlsx(HEADER, ["=A1", *somebody(1)[1:]]))
    assert wrong == [(2, "姓名", "required")]


@given(st.lists(st.lists(st.one_of(st.none(), st.text(max_size=12), st.floats(), st.dates()), max_size=9), max_size=9))
def test_whatever_stands_below_a_header_is_a_row_or_a_problem(rows: Sequence[Sequence[Any]]) -> None:
    """Never a failure."""
    mine = reading()
    at = headings.columns([(*HEADER, "出生日期", "独居", "人员类别")], mine.words)
    assert at is not None
    for row in rows:
        with suppress(Wrong):
            assert marks_of(fields_of(row, at, mine.words))


@given(st.binary(max_size=400))
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes) -> None:
    """With a code."""
    with suppress(Refusal):
        assert read(content)[0] == []


def on_its_way(name: str, asked: list[str]) -> Request:
    """A file on its way, which is noted when somebody asks for it."""

    async def receive() -> Message:
        asked.append(name)
        return {"type": "http.request", "body": name.encode()}

    return Request({"type": "http"}, receive)


async def test_a_file_is_received_when_the_work_on_the_one_before_is_done() -> None:
    turn, asked = asyncio.Semaphore(1), list[str]()

    async def take(name: str) -> bytes:
        async with received(on_its_way(name, asked), turn) as content:
            return content

    async with received(on_its_way("first", asked), turn):
        second = asyncio.ensure_future(take("second"))
        await asyncio.sleep(0)
        assert asked == ["first"]
    assert await second == b"second"


async def test_a_file_that_does_not_arrive_keeps_nobody_waiting_for_long() -> None:
    turn, never = asyncio.Semaphore(1), asyncio.Future[Message]()
    with pytest.raises(Refusal) as refusal:
        async with received(Request({"type": "http"}, lambda: never), turn, within=0.0):
            pass
    assert (refusal.value.problems[0].code, turn.locked()) == ("too_slow", False)


@pytest.mark.parametrize(
    ("change", "same"),
    [({"needs": {}}, False), ({"contacts": ()}, False), ({"mappings": {"usual": {}}}, False), ({"printed": ()}, True)],
)
def test_a_file_that_is_read_by_other_words_is_another_import(change: dict[str, Any], same: bool) -> None:
    """What has nothing to do with reading it changes nothing."""
    order = Order("tiebei", b"")
    before, after = (headings.read_by(one, "usual") for one in (IMPORTS, IMPORTS.model_copy(update=change)))
    assert (order.import_id(before) == order.import_id(after)) is same


# What goes out


@pytest.mark.parametrize("text", ["=1+1", "+86 100", "-1", "@SUM(A1)", "\t=1", "李"])
def test_nothing_that_goes_out_is_a_formula_and_what_comes_back_is_the_same(text: str) -> None:
    sent = export.defused(text)
    assert not sent.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert cells.plain(sent) == text.strip()


async def test_nothing_is_left_of_a_spreadsheet_when_the_walk_through_the_people_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = partial(os.listdir, tmp_path)

    async def rows() -> AsyncIterator[list[list[str]]]:
        yield [["李奶奶"]]
        assert left()
        raise ConnectionError

    response = sent(Listing("", ("姓名", "楼号"), rows(), "合计"), "xlsx", "people")
    with pytest.raises(ConnectionError):
        _ = [piece async for piece in response.body_iterator]
    assert left() == []


def test_what_no_spreadsheet_can_hold_does_not_go_out() -> None:
    assert export.defused("a\x08b\x0b\x1f\ufffe\nc") == "ab\nc"


@pytest.mark.parametrize(
    "born",
    [
        {"id_number": number_of("1937-05-01", 2), "birth_year": None},
        {"birth_year": 1954, "birth_month": 10},
        {"birth_year": 1954},
    ],
)
def test_what_goes_out_comes_in_as_it_was(born: dict[str, Any]) -> None:
    """Every field of somebody of whom all is known."""
    told = RegisterPerson.model_validate(
        {
            **world.MRS_LI,
            **born,
            "other_phones": ["0451-5551234", "+86 100 0000 0005"],
            "contacts": [
                *world.MRS_LI["contacts"],
                {"name": "Ann Li", "phone": "10000000003", "relation": "son's wife"},
                {"name": "李刚、李强", "phone": "0451-5551234", "relation": "儿子"},
            ],
            "illnesses": ["高血压"],
            "hobbies": ["下棋"],
            "keys": "门卫",
            "needs": ["deaf", "woman_only", "oxygen_at_night"],
            "categories": ["newcomer"],
            "lists": ["found_by_community"],
            "gas_card": "1",
            "heating_card": "2",
            "note": "=不要相信",
        },
        strict=False,
    )
    known = portrait(told, PEOPLE, date(2026, 11, 24))
    names = export.fields(IMPORTS)
    row = [export.defused(one) for one in export.row(known, names, IMPORTS, PEOPLE)]
    assert {"中文", "听障、只要女性上门、oxygen_at_night"} <= {*row}
    content = as_csv(export.headings(IMPORTS, names), row, [IMPORTS.totals[0], "1"], encoding="utf-8-sig")
    (back,), wrong = read(content)
    assert wrong == []
    first, second, brothers = known.details.contacts
    together = brothers.model_copy(update={"name": "李刚,李强"})
    details = known.details.model_copy(update={"contacts": (first, second, together)})
    assert portrait(back, PEOPLE, date(2026, 11, 24)) == replace(known, details=details)
