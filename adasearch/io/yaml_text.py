"""YAML from a file or a flag: plain values alone, with an error of one line for whatever else it holds."""

import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import ErrorDetails
from yaml.events import AliasEvent
from yaml.nodes import ScalarNode

from adasearch.errors import InputError, text_of

__all__ = ["parse_yaml", "plain_error", "read_document", "read_yaml"]

MAX_DOCUMENT_CHARACTERS = 2**20  # characters of a document
GREATEST = 2**63  # of a whole number; what Arrow's columns hold


def read_yaml(path: str | Path, origin: str) -> Any:
    """Return what a YAML file holds.

    Raises:
        InputError: as :func:`parse_yaml`, or it cannot be read.
    """
    return parse_yaml(read_document(path, origin), origin)


def read_document(path: str | Path, origin: str) -> str:
    """Return the text of a YAML file, no more of it than a document may have and a character.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_DOCUMENT_CHARACTERS + 1).decode()
    except OSError as error:
        raise InputError(f"{origin}: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{origin} is not YAML: {' '.join(str(error).split())}") from error


def parse_yaml(text: str, origin: str) -> Any:
    """Return what a YAML document holds; nothing in it is executed.

    Aliases, of which a few lines can make billions of values, are refused, as are whole numbers beyond 63
    bits.

    Raises:
        InputError: it is no such document; the message begins with ``origin``.
    """
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise InputError(f"{origin} must have at most {MAX_DOCUMENT_CHARACTERS} characters")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    # What a date that does not exist, or a tag with nothing behind it, makes of the reader.
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
        raise InputError(f"{origin} is not YAML: {text_of(error)}") from error
    except RecursionError:
        raise InputError(f"{origin} is nested too deeply") from None


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            what = f"aliases (*{event.anchor}) are not read here"
            raise yaml.MarkedYAMLError(problem=what, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if abs(value) >= GREATEST:
            raise yaml.MarkedYAMLError(problem="a whole number beyond 63 bits", problem_mark=node.start_mark)
        return int(value)


_PlainLoader.add_constructor("tag:yaml.org,2002:int", _PlainLoader.construct_yaml_int)


KINDS = {
    **dict.fromkeys(("tuple_type", "list_type"), "must be a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be a text",
}
"""What a person is told in place of what pydantic says of a value of another kind."""


def plain_error(error: ErrorDetails) -> str:
    """Return pydantic's finding as one line that names place, rule and value."""
    inner = [part for part in error["loc"] if part != "fields"]
    place = " ".join(str(part) for part in inner or error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "unknown key"
    elif error["type"] in ("dict_type", "model_type"):
        message = f"must be a mapping but got {reprlib.repr(error['input'])}"
    elif error["type"] != "value_error":
        message = f"{KINDS.get(error['type'], message)} but got {reprlib.repr(error['input'])}"
    return text_of(f"{place}: {message}".removeprefix(": "))
