"""Help whose flags stand in groups, for commands that have many."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

__all__ = ["InSections"]


class InSections(click.Command):
    """A command that shows its options under headings.

    Args:
        sections: names of options' values by heading, in order; what is in none comes last, as "Options".
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        known = {parameter.name for parameter in self.params}
        lost = {name for names in sections.values() for name in names} - known
        assert not lost, f"no options of these names: {sorted(lost)}"
        self._sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section's options as a list of definitions."""
        grouped = {name for names in self._sections.values() for name in names}
        rest = [each.name or "" for each in self.get_params(ctx) if each.name not in grouped]
        for heading, names in {**self._sections, "Options": rest}.items():
            records = [each.get_help_record(ctx) for each in self.get_params(ctx) if each.name in names]
            with formatter.section(heading):
                formatter.write_dl([record for record in records if record is not None])
