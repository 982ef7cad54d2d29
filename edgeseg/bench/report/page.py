"""Benchmark records as one HTML page that loads nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeseg.bench.report.classes import ClassTable, class_tables
from edgeseg.bench.report.highlights import Highlight, highlights
from edgeseg.bench.report.images import EmbeddedImage, embedded_images
from edgeseg.bench.report.pairs import Pair, pairs_from_entries
from edgeseg.bench.report.reasons import SharedDiagnostic, diagnostics_from_entries, reasons
from edgeseg.bench.report.samples import SampleList, sample_list
from edgeseg.bench.report.scatter import Scatter, colours_from_entries, scatters_from_entries
from edgeseg.bench.report.section import STATE, Entry, Section, flat
from edgeseg.bench.report.stages import StageChart, stage_chart
from edgeseg.bench.report.stored import UnreadableRecord
from edgeseg.bench.report.table import Column, columns_of, formatted
from edgeseg.errors import UnavailableError

if TYPE_CHECKING:
    from jinja2 import Environment

FILTERS = ("model", "size", "engine", "precision", "scenario")


@dataclass(frozen=True)
class ScenarioView:
    """The table and the charts of mIoU of one scenario."""

    name: str
    entries: tuple[Entry, ...]
    columns: tuple[Column, ...]
    scatters: tuple[Scatter, ...]

    @property
    def on_line(self) -> set[str]:
        """The ids of the records on a Pareto line."""
        return {marker.entry.id for scatter in self.scatters for marker in scatter.ranking}

    @property
    def groups(self) -> list[tuple[Column, int]]:
        """The upper line of headings: the first column of each group, and their number."""
        groups: list[tuple[Column, int]] = []
        for column in self.columns:
            if groups and column.group and groups[-1][0].group == column.group:
                groups[-1] = (groups[-1][0], groups[-1][1] + 1)
            else:
                groups.append((column, 1))
        return groups


@dataclass(frozen=True)
class SectionView:
    """Everything that the page shows of a device."""

    section: Section
    highlights: tuple[Highlight, ...]
    scenarios: tuple[ScenarioView, ...]
    stages: StageChart | None
    samples: SampleList | None
    classes: tuple[ClassTable, ...]
    pairs: tuple[Pair, ...]
    images: tuple[EmbeddedImage, ...]
    diagnostics: tuple[SharedDiagnostic, ...]


def page_from_sections(
    sections: Sequence[Section], unreadable: Iterable[UnreadableRecord] = (), title: str = "Benchmark report"
) -> str:
    """The page as text. UnavailableError where Jinja2 is not installed."""
    environment = _environment()
    script = _source(environment, "script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    views = [_view(section) for section in sections]
    return environment.get_template("report.html").render(
        title=title,
        views=views,
        unreadable=list(unreadable),
        filters=_filters([entry for view in views for entry in view.section.entries]),
        style=_source(environment, "style.css"),
        script=script,
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
    )


def _environment() -> Environment:
    try:
        import jinja2
    except ImportError:
        message, hint = "the report needs Jinja2", 'pip install "edgeseg[web]"'
        raise UnavailableError(message, hint=hint, code="ES-MISSING-WEB") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgeseg.bench.report"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals.update(formatted=formatted, reasons=reasons, facts=_facts)
    return environment


def _source(environment: Environment, name: str) -> str:
    """A file of the templates as markup, as it is."""
    from markupsafe import Markup

    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def _view(section: Section) -> SectionView:
    entries = section.entries
    colours, pairs = colours_from_entries(entries), pairs_from_entries(entries)
    return SectionView(
        section,
        tuple(highlights(section, pairs)),
        tuple(
            ScenarioView(name, tuple(each), tuple(columns_of(each)), tuple(scatters_from_entries(each, colours)))
            for name, each in section.scenarios.items()
        ),
        stage_chart(entries),
        sample_list(entries),
        tuple(class_tables(entries)),
        tuple(pairs),
        tuple(embedded_images(section.everything)),
        tuple(diagnostics_from_entries(entries)),
    )


def _filters(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """The values to choose from, of what differs."""
    values = {name: list(dict.fromkeys(filter_values(entry)[name] for entry in entries)) for name in FILTERS}
    return {name: sorted(each) for name, each in values.items() if len(each) > 1}


def filter_values(entry: Entry) -> dict[str, str]:
    """What a record can be filtered by."""
    model = entry.record.model
    values = (model.name, entry.size, model.engine, model.precision, entry.scenario)
    return dict(zip(FILTERS, values))


def _facts(entry: Entry) -> list[tuple[str, str]]:
    """What else the record says: file, conditions, run."""
    record = entry.record
    facts: dict[str, Any] = {
        "command": record.command,
        "when": record.when,
        "record": entry.stored.path.name,
        "file": record.model.file,
        "sha256": record.model.sha256,
        "weights": record.model.weights,
        "output": record.model.output,
        "device": record.conditions.device,
        "threads": record.conditions.threads or "all",
        "frames": record.conditions.images,
        "warm-up": record.warm_up,
        "attempts": record.attempts,
        "energy counter": record.resources.counter,
        **(state if isinstance(state := record.device.get(STATE), dict) else {}),
    }
    return flat(facts)
