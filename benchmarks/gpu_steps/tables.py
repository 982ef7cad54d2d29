"""The results of the jobs, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from record import Table

from gpu_steps.nets import split_item

Outcomes = Mapping[str, Mapping[str, Any]]


def tables_from_outcomes(outcomes: Outcomes) -> list[Table]:
    """One table per step with results, and last the jobs that failed."""
    made = [make(outcomes) for make in (device, rtx, engines, kernels, pipeline, torch_modes, layers)]
    failed = [[job, outcome["error"]] for job, outcome in outcomes.items() if "error" in outcome]
    return [shown(table) for table in (*made, Table("what failed", ["job", "why"], failed)) if table.rows]


def shown(table: Table) -> Table:
    """`table` without the sign that would end a cell; messages of others have it."""
    return Table(table.title, table.columns, [[cell.replace("|", "/") for cell in row] for row in table.rows])


def device(outcomes: Outcomes) -> Table:
    results = results_by(outcomes, "device").get("", {})
    rows = [[key, str(value)] for part in ("gpu", "state") for key, value in results.get(part, {}).items()]
    for name, each in results.get("libraries", {}).items():
        rows.append([name, each.get("version") or "yes" if each["usable"] else f"no: {each['why']}"])
    return Table("The GPU when the run began, and what can be imported", ["what", "value"], rows)


def rtx(outcomes: Outcomes) -> Table:
    results = results_by(outcomes, "rtx").get("", {})
    rows = [
        [form, "yes", share(each["agreement"]["labels"]), each["agreement"].get("why", "")]
        if each["runs"]
        else [form, "no", "", each["error"]]
        for form, each in results.get("forms", {}).items()
    ]
    title = f"Does TensorRT-RTX run here: {results.get('net', '')} fp32"
    return Table(title, ["compiled for", "runs", "labels as the CPU's %", "note"], rows)


def engines(outcomes: Outcomes) -> Table:
    columns = ["net", "precision", "engine", "h2d p50 ms", "compute p50/p90/p99 ms", "d2h p50 ms", "engine fps"]
    columns += ["1080p to labels fps", "labels as the CPU's %", "mIoU %", "note"]
    rows = []
    for item, engine, each in by_engine(outcomes, "engines"):
        net, precision = split_item(item)
        row = [net, str(precision), engine]
        if "error" in each:
            rows.append([*row, *[""] * 7, each["error"]])
            continue
        stages, agreement, accuracy = each["stages"], each["agreement"], each["accuracy"]
        row += [p50(stages["h2d"]), "/".join(ms(stages["compute"][key]) for key in PERCENTILES), p50(stages["d2h"])]
        row += [f"{each['infer']['fps']:.0f}", f"{each['end_to_end']['fps']:.0f}", share(agreement["labels"])]
        notes = [agreement.get("why", agreement.get("note", "")), accuracy.get("why", "")]
        notes.append("" if each["on_device"] else "pixels on the CPU")
        rows.append([*row, share(accuracy["miou"]), "; ".join(filter(None, notes))])
    return Table("Engines", columns, rows)


def kernels(outcomes: Outcomes) -> Table:
    results = results_by(outcomes, "kernels").get("", {})
    rows = [
        [name, ms(each["ms"]["p50_ms"]), ms(each["ms"]["p99_ms"]), f"{100 * each['equal']:.4f}", str(each["most_away"])]
        for name, each in results.get("kernels", {}).items()
    ]
    height, width = results.get("size", (0, 0))
    title = f"Pixel kernels at {width}x{height}, {results.get('classes')} classes, against their CPU twins"
    return Table(title, ["kernel", "p50 ms", "p99 ms", "equal %", "most away"], rows)


def pipeline(outcomes: Outcomes) -> Table:
    columns = ["net", "engine", "compute fps", "engine fps by threads", "1080p to labels fps, one by one"]
    columns += ["pipelined, by threads", "share", "streamed to masks", "to overlays", "note"]
    rows = []
    for item, engine, each in by_engine(outcomes, "pipeline"):
        if "error" in each:
            rows.append([item, engine, *[""] * 7, each["error"]])
            continue
        row = [item, engine, f"{each['compute_fps']:.0f}", counts(each["infer"]), f"{each['one_by_one']:.0f}"]
        streamed = [f"{each['streamed'][kind]:.0f}" for kind in ("mask", "overlay")]
        rows.append([*row, counts(each["pipelined"]), f"{100 * pipelined_share(each):.0f}%", *streamed, ""])
    return Table("Pipelined: an engine a thread, two decoded images under way in each", columns, rows)


def torch_modes(outcomes: Outcomes) -> Table:
    rows = []
    for item, results in results_by(outcomes, "torch").items():
        cells = [each.get("error") or f"{p50(each)}/{ms(each['p99_ms'])}" for each in results.values()]
        rows.append([item, *cells])
    columns = ["net", "eager p50/p99 ms", "CUDA graph p50/p99 ms", "torch.compile p50/p99 ms"]
    return Table("torch, fp16, channels last: the network alone", columns, rows)


def layers(outcomes: Outcomes) -> Table:
    results = results_by(outcomes, "layers").get("", {})
    rows = [
        [name, "", "", each["error"]] if "error" in each else [name, p50(each), ms(each["p99_ms"]), ""]
        for name, each in results.get("layers", {}).items()
    ]
    title = f"CUDA layers: a call of {results.get('net')} fp16 on {results.get('engine')}"
    return Table(title, ["layer", "p50 ms", "p99 ms", "note"], rows)


def pipelined_share(figures: Mapping[str, Any]) -> float:
    """The highest frames per second from image to labels, divided by the highest of the engine alone."""
    return float(max(figures["pipelined"].values()) / max(figures["compute_fps"], *figures["infer"].values()))


def results_by(outcomes: Outcomes, step: str) -> dict[str, Any]:
    """The results of the jobs of `step`, by item."""
    return {
        job.partition("/")[2]: outcome["found"]
        for job, outcome in outcomes.items()
        if job.partition("/")[0] == step and "found" in outcome
    }


def by_engine(outcomes: Outcomes, step: str) -> Iterator[tuple[str, str, Any]]:
    """Item, engine and figures of a step that has them by engine."""
    for item, results in results_by(outcomes, step).items():
        for engine, each in results.items():
            yield item, engine, each


PERCENTILES = ("p50_ms", "p90_ms", "p99_ms")


def ms(value: float) -> str:
    return f"{value:.3f}"


def p50(summary: Mapping[str, float]) -> str:
    return ms(summary["p50_ms"])


def share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"


def counts(fps: Mapping[str, float]) -> str:
    return ", ".join(f"{threads}: {value:.0f}" for threads, value in fps.items())
