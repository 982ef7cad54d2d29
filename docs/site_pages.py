"""A hook of mkdocs: the pages of the site that are made when it is built, so that no copy of them can fall behind.

`cli.md` comes from the commands themselves, `python.md` from `edgeseg.__all__`, `families.md` with its pictures from
the families of networks, and the table in `troubleshooting.md` from `edgeseg.errors.CODES`. Pages of the repository
outside docs/ become pages of the site, too.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import edgeseg
from edgeseg.cli import COMMANDS, LazyGroup
from edgeseg.errors import CODES, EdgeSegError
from edgeseg.models import FAMILIES

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "calib.md": "calib/README.md",
    "benchmarks.md": "benchmarks/README.md",
    "results.md": "benchmarks/RESULTS.md",
    "older-results.md": "benchmarks/archive/RESULTS.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
CODES_MARK = "<!-- codes -->"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    made = {"cli.md": cli_page(), "python.md": api_page(), **family_pages()}
    made |= {page: site_links((ROOT / path).read_text(encoding="utf-8"), path) for page, path in OUTSIDE.items()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point links from docs/ to files outside it at their pages on the site, and fill in the table of error codes."""
    if page.file.src_uri in OUTSIDE:
        return markdown
    markdown = markdown.replace(CODES_MARK, codes_table())
    return site_links(markdown, f"docs/{page.file.src_uri}")


def site_links(markdown: str, path: str) -> str:
    """`markdown`, the text of the repository's file `path`, with its relative links as the site has them."""
    pages = {(ROOT / source).resolve(): page for page, source in OUTSIDE.items()}

    def site_link(link: re.Match[str]) -> str:
        target, anchor = link[1], link[2] or ""
        file = ((ROOT / path).parent / target).resolve()
        if file in pages:
            return f"]({pages[file]}{anchor})"
        if not path.startswith("docs/") and file.is_relative_to(ROOT / "docs"):
            return f"]({file.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        return link[0]

    return re.sub(r"\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)", site_link, markdown)


def cli_page() -> str:
    """The reference of the command line: what `--help` says, as a page."""
    lines = [
        "# Command line",
        "",
        "Every command with its arguments and options, made from the commands themselves.",
        "",
    ]
    for name in COMMANDS:
        command = LazyGroup().get_command(None, name)
        context = command.context_class(command, info_name=f"edgeseg {name}")
        context.help_option_names = ["-h", "--help"]
        usage = " ".join(command.collect_usage_pieces(context)).replace("[[", "[").replace("]]", "]")
        lines += [
            f"## edgeseg {name}",
            "",
            f"    edgeseg {name} {re.sub('[{}]', '', usage)}",
            "",
            *prose(command.help or ""),
            "",
        ]
        for title, rows in command.sections(context).items():
            lines += [f"| {title} | |", "| --- | --- |"]
            lines += [f"| {cell(spelling, code=True)} | {cell(text)} |" for spelling, text in rows]
            lines += [""]
        title, _, examples = command.epilog.partition("\n")
        lines += [title, "", "```sh", inspect.cleandoc(examples), "```", ""]
    return "\n".join(lines)


def prose(text: str) -> list[str]:
    """The paragraphs of a help text; those that start with a `\\b`, or are indented, as code."""
    paragraphs = inspect.cleandoc(text).replace("\f", "").split("\n\n")
    lines: list[str] = []
    for paragraph in paragraphs:
        if paragraph.startswith("\b") or paragraph.startswith("  "):
            code = inspect.cleandoc(paragraph.lstrip("\b\n"))
            lines += ["```text", code, "```", ""]
        else:
            lines += [*map(escaped, paragraph.splitlines()), ""]
    return lines


def cell(text: str, *, code: bool = False) -> str:
    """`text` for one cell of a table."""
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`{text}`" if code else escaped(text)


def escaped(text: str) -> str:
    """`text` without what Markdown reads as markup."""
    return re.sub(r"([*_\[\]>`])", r"\\\1", text).replace("<", "&lt;")  # Markdown has no escape for it


def api_page() -> str:
    """The reference of the Python package: every public name, functions first."""
    names = sorted(edgeseg.__all__, key=str.casefold)
    errors = [name for name in names if is_error(name)]
    functions = [name for name in names if inspect.isfunction(getattr(edgeseg, name))]
    classes = [name for name in names if name not in (*errors, *functions)]
    lines = ["# Python", "", "The public names of `edgeseg`. Importing it loads no framework.", ""]
    for title, group in (("Functions", functions), ("Types", classes), ("Errors", errors)):
        lines += [f"## {title}", ""]
        for name in group:
            public = getattr(edgeseg, name)
            lines += [f"::: {public.__module__}.{public.__qualname__}"]
            lines += [f"    options: {{heading: edgeseg.{name}, toc_label: {name}}}", ""]
    return "\n".join(lines)


def family_pages() -> dict[str, str]:
    """The page of the families by the table of `edgeseg models --families`, and a picture of each."""
    import torch

    from edgeseg.models.diagram import parts_of, svg_from_parts
    from edgeseg.models.shelf import CLASSES, SIZE, devices_measured, shelf

    rows = shelf()
    lines = [(ROOT / "docs" / "families.txt").read_text(encoding="utf-8"), ""]
    lines += [f"- int8{cell(mark)}: of {text}" for mark, text in devices_measured()]
    lines += ["", "| family | group | parameters, M | GMACs | int8 | published |"]
    lines += ["| --- | --- | --: | --: | --: | --- |"]
    for row in rows:
        counts = f"{row.counts.parameters / 1e6:.2f} | {row.counts.macs / 1e9:.2f}"
        link, published = f"[{row.family.name}](#{row.family.name})", cell(row.family.reference.result)
        lines += [f"| {link} | {row.family.group} | {counts} | {cell(row.int8_shares())} | {published} |"]
    pages = {}
    for row in rows:
        family = row.family
        with torch.device("meta"):
            network = family.module(CLASSES, **family.variants[row.variant])
        picture = f"images/families/{family.name}.svg"
        title = f"{family.name} {row.variant}"
        pages[picture] = svg_from_parts(parts_of(network, *SIZE), *SIZE, title)
        rule = family.size_rule
        lines += ["", f"## {family.name}", "", *prose(import_module(FAMILIES[family.name]).__doc__ or ""), ""]
        lines += [f"![The parts of {title}, and what flows between them]({picture})", ""]
        lines += [f"- variants: {', '.join(f'`{name}`' for name in family.published_variants)}"]
        lines += [f"- input: multiples of {rule.multiple}, at least {rule.floor_minimum}; logits at 1/{family.stride}"]
        lines += [f"- checkpoints: {', '.join(row.formats) or 'those of edgeseg alone'}"]
        lines += [f"- source: {cell(family.origin)}; licence of the reference weights: {family.reference.licence}"]
    return {"families.md": "\n".join(lines) + "\n", **pages}


def is_error(name: str) -> bool:
    """Whether a public name is that of an exception."""
    public = getattr(edgeseg, name)
    return inspect.isclass(public) and issubclass(public, EdgeSegError)


def codes_table() -> str:
    """The codes of all errors with their meaning."""
    lines = ["| code | meaning |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{code}` | {cell(meaning)} |" for code, meaning in CODES.items())])
