"""Names of the package are the field's: this table holds those that an engineer had to ask about, and what to use."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "edgeseg"
INSTEAD = {
    "Wish": "InferenceRequest",
    "Done": "InferenceResult",
    "doubts": "CalibrationWarning",
    "Caveat": "Diagnostic",
    "Seen": "TensorStatistics",
    "seen": "on_result, or the thing's own name",
    "movers": "SHAPE_ONLY_OPS",
    "MOVERS": "SHAPE_ONLY_OPS",
    "causes": "diagnose",
    "Suspect": "FailingLayer",
    "Cuts": "SubgraphComparator",
    "first_off": "first_divergent",
    "decide": "autotune",
    "explore": "inspection",
    "street": "synthetic",
    "Lane": "ExecutionContext",
    "Slot": "IOBinding",
    "Room": "StagingBuffer",
    "Ends": "NetworkIO",
    "Pending": "InferenceFuture",
    "Order": "BuildRequest",
    "Opened": "LoadedEngine",
    "Written": "BuildResult",
    "Job": "BuildJob",
    "race": "benchmark",
    "Lap": "TimingRun",
    "Trial": "Evaluator",
    "Field": "CandidateSet",
    "Panel": "EvaluationSet",
    "Question": "SearchRequest",
    "Maker": "CandidateBuilder",
    "weigh": "ablation",
    "flips": "label_changes",
    "verdict": "summary",
    "gate": "verify",
    "plain": "reference",
    "frame_codes": "uint8_input",
    "frame_bytes": "fold_input_normalisation",
    "halved": "to_float16",
    "Origin": "CheckpointFormat",
    "dialect": "variant",
    "marks": "signature",
    "likeness": "match_score",
    "Start": "InitialWeights",
    "Standing": "TrainingState",
    "Request": "TrainRequest, ConversionRequest, ...",
    "Length": "Duration",
    "found": "the thing's own name",
    "kept": "the thing's own name",
    "told": "the thing's own name",
    "heard": "the thing's own name",
    "about": "the thing's own name",
    "given": "the thing's own name",
    "picture": "image or frame",
    "pictures": "images or frames",
    "Picture": "Image or Frame",
    "Pictures": "Images or Frames",
}
# Words of the field in other senses, by module: a BiSeNet has gates, a web server has requests.
ALLOWED = {
    ("gate", "models/bisenetv1.py"),
    ("gate", "models/cgnet.py"),
    ("Request", "live/page/app.py"),
    ("Request", "live/observers.py"),
}
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that the code gives or uses, with its line."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                yield name, line
            case ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, line
            case ast.keyword(arg=str(name)) | ast.alias(asname=str(name)):
                yield name, line


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_names_are_the_fields(module: Path) -> None:
    names = [(part, 1) for part in module.with_suffix("").parts]
    names += identifiers(ast.parse((PACKAGE / module).read_text("utf-8")))
    old = {
        f"{module}:{line}: {name} -> {INSTEAD[name.lstrip('_')]}"
        for name, line in names
        if name.lstrip("_") in INSTEAD and (name.lstrip("_"), module.as_posix()) not in ALLOWED
    }
    assert not old, "\n".join(sorted(old))
