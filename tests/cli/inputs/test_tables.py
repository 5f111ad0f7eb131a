"""Files of cases as other programs write them, read by the command line."""

from __future__ import annotations

import csv

import pytest

from flask_braintrust_evals.cli.inputs.cases import ignored_keys, parse_cases
from tests.tables import TableFile, table_files


@pytest.mark.parametrize("file", table_files(), ids=lambda file: file.path.name)
def test_a_file_of_cases_is_read_as_it_is_meant(file: TableFile) -> None:
    cases, error, ignored = None, None, None
    try:
        cases = parse_cases(file.path.read_bytes())
        ignored = ignored_keys(cases)
    except ValueError as raised:
        error = str(raised)
    file.check(cases, error, ignored)


def test_a_long_cell_changes_nothing_for_the_rest_of_the_process() -> None:
    before = csv.field_size_limit()
    (case,) = parse_cases(b"input,expected\n" + b"x" * 200_000 + b',"' + b'""' * 200_000 + b'"\n')
    assert (len(case["input"]), case["expected"]) == (200_000, '"' * 200_000)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"input": 1}\n{"input": ]}', "line 2 is not valid JSON: Expecting value: column 11"),
        (b'[\n{"input": ]}]', "not valid JSON: Expecting value: line 2 column 11 (char 12)"),
        (
            b'\n\x0c\r\n{"input": 1}\n \x0c {"input": ]}\n',
            "line 4 is not valid JSON: Expecting value: column 14",
        ),
        (
            b'\n\x0c{"data": [\n  {"input": 1},\n  {"input": ]}\n]}',
            "not valid JSON: Expecting value: line 4 column 13 (char 41)",
        ),
        (b'{"input":\n1}\n{"input": 2}', "not valid JSON: Extra data: line 3 column 1 (char 13)"),
    ],
    ids=["JSON Lines", "JSON", "JSON Lines with spaces", "object", "objects of several lines"],
)
def test_a_mistake_in_json_is_at_one_place_of_the_file(text: bytes, place: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_cases(text)
    assert str(refused.value) == place
