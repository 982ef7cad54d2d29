"""The help page of a command: options in panels where there are many, one style of default, examples at the end."""

from __future__ import annotations

import math
import re
from typing import Any

from typer.core import TyperCommand

UNLIMITED = 1e3
UNGROUPED_OPTIONS = 12  # a command with more options shows them in panels


class CommandWithPage(TyperCommand):
    """A typer command whose help page is plain text of 80 columns, written without rich, which takes long to import."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line; MODEL, not {MODEL}, for a required argument."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{(.*)\}$", r"\1", piece).replace("[[", "[").replace("]]", "]") for piece in pieces]

    def sections(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """The arguments and options as (spelling, text), by section: "Arguments", the panels, and "Options" last."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        params = self.get_params(ctx)
        grouped = sum(param.param_type_name == "option" for param in params) > UNGROUPED_OPTIONS
        for param in params:
            record = param.get_help_record(ctx)
            if record is None:
                continue
            name, text = record[0], plain_defaults(record[1])
            if param.param_type_name == "argument":
                sections["Arguments"].append((str(param.metavar or name), text))
            else:
                panel = getattr(param, "rich_help_panel", None) if grouped else None
                sections.setdefault(panel or "Options", []).append((name, text))
        sections["Options"] = sections.pop("Options")  # there is always --help
        return {title: rows for title, rows in sections.items() if rows}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        for title, rows in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples with their own line breaks."""
        if self.epilog:
            formatter.write("\n" + self.epilog.strip("\n") + "\n")


def plain_defaults(text: str) -> str:
    """Rewrite "[default: (that of the model); 0.0<=x<=1.0]" as "[default: that of the model; 0 to 1]"."""
    text = re.sub(r"default: \((.*?)\)(?=[;\]])", r"default: \1", text)
    text = re.sub(r"([^\s;\[]+)<=x<=([^\s;\]]+)", lambda match: range_text(float(match[1]), float(match[2])), text)
    return re.sub(r"x>=([^\s;\]]+)", lambda match: range_text(float(match[1])), text)


def range_text(low: float, high: float = math.inf) -> str:
    """ "0 to 1" or "at least 1"; a limit that only keeps infinity out is left out."""
    return f"{low:g} to {high:g}" if high < UNLIMITED else f"at least {low:g}"
