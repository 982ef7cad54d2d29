"""Write benchmarks/RESULTS.md from the records in benchmarks/results/, and the published figures beside them.

python benchmarks/report.py [--results FOLDER] [--out FILE]

For each device the records of `edgeseg bench` in its folder bench/ come first, then those of the scripts here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from papers import papers_table
from record import FOLDER, RESULTS, Table

from edgeseg.bench.report.markdown import markdown_from_section
from edgeseg.bench.report.section import sections_from_records
from edgeseg.bench.report.stored import RECORDS, records_from_paths
from edgeseg.files import existing_folder, whole_file


def section(record: dict[str, Any]) -> str:
    """One record as markdown."""
    tables = "\n\n".join(f"**{table['title']}**\n\n{Table(**table).markdown()}" for table in record["tables"])
    verdicts = "\n".join(
        f"* {'met' if verdict['met'] else '**not met**'}: {verdict['found']} (target: {verdict['target']})"
        for verdict in record["verdicts"]
    )
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    how = f"{record['how']}. Foreign load: {record['foreign_cores']:.2f} cores. Versions: {versions}."
    return f"### {record['question']}\n\n    {record['command']}\n\n{tables}\n\n{verdicts}\n\n{how}\n"


def device_line(device: dict[str, Any]) -> str:
    """The device that a folder of records is of."""
    name = device["board"] or device["cpu"]
    isa = ", ".join(device["isa"])
    return f"{name}, {device['threads']} threads ({isa}), {device['memory_mib']} MiB, Python {device['python']}"


def report(results: Path) -> str:
    """All records, device by device."""
    parts = [f"# Results\n\nMade by `python benchmarks/report.py` from `benchmarks/{results.name}/`: do not edit.\n"]
    for folder in sorted(path for path in results.iterdir() if path.is_dir()):
        records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
        bench = bench_tables(folder / RECORDS)
        if records or bench:
            parts.append(f"## {folder.name}\n")
            parts += [bench] if bench else [f"{device_line(records[0]['device'])}\n"]
            parts += [section(record) for record in records]
    if not any(results.glob(f"*/{RECORDS}/*.json")):  # nothing to hold published figures against
        return "\n".join(parts)
    published = papers_table(results)
    note = "What is published, and where, is in `benchmarks/papers.toml`; a dash: no record of that size."
    parts.append(f"## {published.title}\n\n{note}\n\n{published.markdown()}\n")
    return "\n".join(parts)


def bench_tables(folder: Path) -> str:
    """The records of `edgeseg bench` in a folder; "" without any."""
    if not any(folder.glob("*.json")):
        return ""
    collection = records_from_paths([folder])
    for each in collection.unreadable:
        print(f"left out: {each.reason}", file=sys.stderr)
    return "".join(map(markdown_from_section, sections_from_records(collection.records)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=FOLDER / "RESULTS.md")
    options = parser.parse_args()
    with whole_file(options.out) as partial:
        partial.write_text(report(existing_folder(options.results)), encoding="utf-8")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
