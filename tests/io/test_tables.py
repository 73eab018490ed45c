import csv
import io
import json

import pytest

from adasearch.io.tables import FORMATS, Column, fraction, number, render, times

COLUMNS = [
    Column("name", "name"),
    Column("val_error", "val error", fraction),
    Column("speedup", "speed-up", times),
    Column("size", "mean batch", number),
]
ROWS: list[dict[str, object]] = [
    {"name": "deba", "val_error": 0.0315, "speedup": 1.5, "size": 40.0, "hidden": 7},
    {"name": "constant", "val_error": None, "speedup": None, "size": 128, "hidden": None},
]


def test_values_are_written_for_people() -> None:
    assert fraction(0.1) == "10.0 %"
    assert fraction(0) == "0.0 %"
    assert number(40) == "40.0"
    assert times(0.875) == "0.88x"
    assert Column("x", "x").cell({"x": 0.000123456}) == "0.0001235"
    assert Column("x", "x").cell({"x": 123456}) == "123456"
    assert Column("x", "x").cell({"x": "as it is"}) == "as it is"


def test_missing_value_is_a_dash() -> None:
    assert Column("x", "x").cell({}) == "-"
    assert Column("x", "x", fraction).cell({"x": None}) == "-"
    assert Column("x", "x", fraction).cell({"x": 0.0}) == "0.0 %"


def test_text_is_aligned_words_left_and_numbers_right() -> None:
    assert render(ROWS, COLUMNS, "text", title="Search").splitlines() == [
        "Search",
        "name      val error  speed-up  mean batch",
        "deba          3.1 %     1.50x        40.0",
        "constant          -         -       128.0",
    ]


def test_text_is_neither_wrapped_nor_marked_up() -> None:
    long = "[red]x[/red] :heart: " + "y" * 300
    text = render([{"name": long}], [Column("name", "name")], "text")
    assert text.splitlines()[1] == long
    assert "\x1b" not in text


def test_markdown_is_a_table_with_a_title() -> None:
    text = render(ROWS, COLUMNS, "markdown", title="Search")
    assert text.splitlines() == [
        "**Search**",
        "",
        "| name | val error | speed-up | mean batch |",
        "| --- | --- | --- | --- |",
        "| deba | 3.1 % | 1.50x | 40.0 |",
        "| constant | - | - | 128.0 |",
    ]


def test_markdown_escapes_the_column_mark() -> None:
    assert "| a\\|b |" in render([{"name": "a|b"}], [Column("name", "name")], "markdown")


def test_json_holds_every_raw_value() -> None:
    assert json.loads(render(ROWS, COLUMNS, "json", title="Search")) == {"rows": ROWS}


def test_csv_holds_every_raw_value() -> None:
    rows = list(csv.DictReader(io.StringIO(render(ROWS, COLUMNS, "csv", title="Search"))))
    assert rows[0] == {"name": "deba", "val_error": "0.0315", "speedup": "1.5", "size": "40.0", "hidden": "7"}
    assert rows[1] == {"name": "constant", "val_error": "", "speedup": "", "size": "128", "hidden": ""}


def test_csv_quotes_and_fills_rows_that_differ() -> None:
    rows: list[dict[str, object]] = [{"a": 'x,"y"'}, {"b": 2}]
    read = list(csv.DictReader(io.StringIO(render(rows, [], "csv"))))
    assert read == [{"a": 'x,"y"', "b": ""}, {"a": "", "b": "2"}]


@pytest.mark.parametrize("form", FORMATS)
def test_no_rows_leave_the_headers(form: str) -> None:
    text = render([], COLUMNS, form)
    assert text.endswith("\n")
    if form == "json":
        assert json.loads(text) == {"rows": []}
    else:
        assert "name" in text
        assert len(text.splitlines()) == (2 if form == "markdown" else 1)
