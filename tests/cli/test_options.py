"""The options of the command line, and the records that they fill."""

import inspect
from dataclasses import fields
from typing import get_type_hints

import pytest

from adasearch import commands
from adasearch.api.options import SearchOptions
from adasearch.cli.main import cli
from adasearch.runtime import RunOptions, Runtime
from adasearch.studies.request import Request

FIELDS = {each.name for kind in (Request, Runtime, RunOptions) for each in fields(kind)}


@pytest.mark.parametrize("name", cli.commands)
def test_every_option_is_a_parameter_of_its_function_or_command_or_a_field_of_a_record(name: str) -> None:
    command = cli.commands[name]
    assert command.callback is not None
    parameters = inspect.signature(command.callback).parameters
    taken = {each for each, kind in parameters.items() if kind.kind is not kind.VAR_KEYWORD}
    options = {each.name for each in command.params}
    assert taken <= options
    passed_on = FIELDS | inspect.signature(getattr(commands, name, cli)).parameters.keys()
    assert options - taken <= (passed_on if "options" in parameters else set())


def test_the_options_of_the_interface_are_fields_of_the_records_under_the_same_names() -> None:
    assert get_type_hints(SearchOptions).keys() - FIELDS == {"set"}
