"""Every error that a user can cause, as one tree.

    EdgeSegError
    ├── FileProblem       ES-FILE       a file or folder is missing, unreadable or cannot be written
    ├── FormatError       ES-FORMAT     a file or value does not have the expected format
    ├── SizeError         ES-SIZE       an image or input size does not fit the model, tensor or video
    ├── UnknownNameError  ES-NAME       a model, engine, source or option has an unknown name ("did you mean")
    ├── UnavailableError  ES-MISSING    this machine lacks an engine, device or library
    ├── MismatchError     ES-MISMATCH   two files or options do not belong together (range table, weights, sidecar)
    ├── DataError         ES-DATA       images or labels cannot be used (ids out of range, empty folder)
    └── AgreementError    ES-AGREEMENT  the labels of an export or engine differ from those of its source

Each error carries a `hint` (what to type or change) and a stable `code`: that of its class, or a narrower one given
where it is raised (`ES-FILE-EXISTS`). Programs and tests compare codes; wording may change. CODES lists them all.
The command line prints `error [CODE]: ...` and `hint: ...`, and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

# code: meaning, in one line. The page on troubleshooting lists them; a test holds them against the source.
CODES = {
    "ES-ERROR": "Any other error.",
    "ES-USAGE": "The command line cannot be parsed: an option is unknown, or a value is missing or out of range.",
    "ES-SYSTEM": "The operating system refused an operation: a path, a permission, or a full disk.",
    "ES-FILE": "A file or folder cannot be used.",
    "ES-FILE-MISSING": "There is no file or folder at this path.",
    "ES-FILE-KIND": "The path is a folder where a file is needed, or a file where a folder is needed.",
    "ES-FILE-READ": "The file or folder exists but cannot be read.",
    "ES-FILE-FETCH": "A source by URL cannot be listed or read at the moment: network, server or credentials.",
    "ES-FILE-WRITE": "The file or folder cannot be written.",
    "ES-FILE-EXISTS": "The output exists and would be overwritten.",
    "ES-FILE-SAME": "Two outputs, or an input and an output, are the same file.",
    "ES-FORMAT": "A file or value does not have the expected format.",
    "ES-FORMAT-TOML": "The file is not valid TOML.",
    "ES-FORMAT-CONFIG": "A value in the file given with --config has the wrong type.",
    "ES-FORMAT-LABELS": "The file of class names cannot be used.",
    "ES-FORMAT-NUMBERS": "An option takes three numbers and did not get them.",
    "ES-FORMAT-CHECKPOINT": "The file is not a known checkpoint.",
    "ES-FORMAT-RUN": "A run file does not have the expected form; the message has the line.",
    "ES-FORMAT-SHARD": "The text given with --shard is not i/n with i from 1 to n.",
    "ES-FORMAT-LIVE": "A batch takes recordings, and this source has no end.",
    "ES-FORMAT-TRIGGER": "The share, time or zone of a trigger is not valid.",
    "ES-FORMAT-SERVER": "The address of a model on a server has an unknown form.",
    "ES-FORMAT-EVENTS": "The URI of an observer of events has an unknown form.",
    "ES-FORMAT-OPTION": "An option of a source, sink, data set or variant has no valid value.",
    "ES-FORMAT-MATRIX": "A matrix of benchmark runs has an unknown key or an invalid value.",
    "ES-FORMAT-RECORD": "The file is not a record of edgeseg bench, or of another version.",
    "ES-FORMAT-EVAL-SHARD": "The file is not a shard of edgeseg eval.",
    "ES-FORMAT-SCALE": "Mean and standard deviation are on different scales.",
    "ES-FORMAT-BUILD": "TensorRT cannot compile the model.",
    "ES-FORMAT-LAYERS": "The build log or inspector file does not describe the layers of a plan.",
    "ES-FORMAT-SIDECAR": "The sidecar of an engine is damaged.",
    "ES-FORMAT-SPEC": "The model spec is missing, incomplete or invalid.",
    "ES-FORMAT-ONNX": "The file is not a valid ONNX.",
    "ES-SIZE": "An image or input size does not fit the model, tensor or video.",
    "ES-SIZE-BATCH": "The batch size is malformed, or the engine was not built for it.",
    "ES-SIZE-TILES": "Tiles cannot be placed with this overlap, or the output of the engine has no whole stride.",
    "ES-TILES": "The output of the engine cannot be computed in tiles, or not be stitched in this way.",
    "ES-CRF": "A dense CRF needs logits for whole frames, which the engine or its tiles do not give.",
    "ES-THREADS": "The number of threads is not allowed.",
    "ES-NAME": "A name is unknown; the hint has the nearest known one.",
    "ES-MISSING": "This machine lacks an engine, device or library.",
    "ES-MISSING-WEIGHTS": "The package that has an encoder's weights is not installed.",
    "ES-MISSING-LOADGEN": "bench --loadgen needs the package mlcommons-loadgen.",
    "ES-MISSING-CRF": "A dense CRF needs the package pydensecrf2.",
    "ES-MISSING-MQTT": "Events over MQTT need the package paho-mqtt.",
    "ES-MISSING-TRITON": "A Triton repository needs the package tritonclient.",
    "ES-MISSING-WEB": "The live page or the report needs the packages of the extra web.",
    "ES-MISSING-RAY": "--ray needs the package ray[data], or no cluster answers at this address.",
    "ES-MISSING-REMOTE": "A source by URL needs fsspec and the package of its protocol.",
    "ES-MISSING-GSTREAMER": "The source needs GStreamer's gst-launch-1.0, which is not installed.",
    "ES-MISSING-CUDA": "No library for CUDA calls is installed, or a CUDA call failed.",
    "ES-MISSING-DRIVER": "There is no NVIDIA driver, or it is too old.",
    "ES-MISSING-COMPILER": "No compiler for the GPU kernels is installed, or it cannot compile them.",
    "ES-MISSING-MEMORY": "The build or the engine needs more memory than is free.",
    "ES-MISSING-GPU": "TensorRT-RTX does not support this compute capability, or this combination.",
    "ES-MISSING-PRECISION": "The device does not compute in this precision.",
    "ES-MISSING-DLA": "The device does not have this DLA core.",
    "ES-CLOSED": "The engine has been closed.",
    "ES-SINK": "An output failed, or did not close in time; the others go on.",
    "ES-PUBLISH": "The server takes no stream at the moment: frames are dropped until it does.",
    "ES-RUN": "The runtime failed to load or run the engine.",
    "ES-RAY": "A Ray job failed as a whole.",
    "ES-BATCH-DIED": "Processes died while they did a unit of a batch, or while they opened its engine.",
    "ES-STOPPED": "A unit of a batch was stopped before its end (in its row).",
    "ES-DEVICE-MISSING": "This machine, or the engine's runtime on it, lacks the device.",
    "ES-SERVER": "The server of a model answered with an error.",
    "ES-SERVER-UNREACHABLE": "No server answers at this host and port.",
    "ES-SERVER-TIMEOUT": "The server did not answer in time.",
    "ES-SERVER-AUTH": "The server rejected the user name or the password.",
    "ES-SERVER-KIND": "The server does not hand out the configurations of its models.",
    "ES-SERVER-MODEL": "The server has no model of this name.",
    "ES-SERVER-ANSWER": "The server's model, or its answer, is not what its model spec says.",
    "ES-PORT": "The page cannot be served at this address and port.",
    "ES-ENCODER": "The video encoder cannot write this kind of file.",
    "ES-MISMATCH": "Two files or options do not belong together.",
    "ES-MISMATCH-OPTIONS": "Two options exclude each other, or one needs another that is missing.",
    "ES-MISMATCH-BATCH": "The batch of the model cannot be made dynamic.",
    "ES-MISMATCH-VERSION": "The plan is for another TensorRT version.",
    "ES-MISMATCH-REFERENCE": "The reference is not the float model of this engine.",
    "ES-MISMATCH-PRECISION": "The ONNX, or a layer of the engine, does not have the requested precision.",
    "ES-MISMATCH-TARGET": "The INT8 ONNX was quantised for another engine.",
    "ES-MISMATCH-GPU": "The plan is for another kind of GPU.",
    "ES-MISMATCH-ENGINE": "The engine file has another engine, precision or size than the options ask for.",
    "ES-FORMAT-CONSTANT": "An output of the ONNX does not depend on its input.",
    "ES-MISMATCH-ENCODER": "The family has no encoder that weights of other code fit, or these do not fit it.",
    "ES-MISMATCH-RUN": "The folder holds a training that was begun with other options.",
    "ES-MISMATCH-DATA": "The data has changed since the training was begun.",
    "ES-MISMATCH-RECORDS": "The records of two benchmark runs differ in device, versions or conditions.",
    "ES-MISMATCH-SHARDS": "The files are not all shards of one evaluation: some differ, are missing or given twice.",
    "ES-MISMATCH-CLASSES": "Two models have no class in common.",
    "ES-MISMATCH-SIMULATED": "The engine only simulates int8, so its times say nothing about other engines.",
    "ES-RANGES-MISSING": "INT8 needs activation ranges, and there is neither a range table nor images.",
    "ES-RANGES-OTHER": "The range table was made with another network.",
    "ES-RANGES-CHANNELS": "The range table has no statistics by channel; an older version wrote it.",
    "ES-OPERATOR": "The target runtime cannot read an operator of the model.",
    "ES-OUTPUT": "The outputs of the model are ambiguous, or cannot be joined or interpreted.",
    "ES-UNSTATED": "The model does not state a property of its input or classes; the hint has the option to add.",
    "ES-NOT-FINITE": "The weights of the model give NaN or infinities.",
    "ES-OPSET": "The ONNX opset of the model is too old to read, or too new for the target.",
    "ES-TOO-LARGE": "The model file is larger than an ONNX may be.",
    "ES-QDQ": "The Q/DQ nodes of the model are not in the canonical form.",
    "ES-QUANTISED": "The model is quantised already.",
    "ES-NO-LAYERS": "The option needs layers, and a weights file has none.",
    "ES-TASK": "The model solves another task than the call asks for.",
    "ES-DATA": "Images or labels cannot be used.",
    "ES-DATA-FEW": "Too few images remain to evaluate on.",
    "ES-DATA-SHORT": "A video has fewer frames than the two that bench needs.",
    "ES-DATA-EMPTY": "There are no images.",
    "ES-DATA-NO-RECORDS": "The folders hold no record of edgeseg bench.",
    "ES-DATA-UNSETTLED": "No record of a benchmark run has settled.",
    "ES-DATA-NOT-FINITE": "A weight or tensor of the network holds NaN or infinity.",
    "ES-DATA-DIVERGED": "The loss or a gradient of a training is not finite.",
    "ES-DATA-UNLABELLED": "No pixel of the training data has a class.",
    "ES-AGREEMENT": "The labels of an export or engine differ from those of its source.",
    "ES-AGREEMENT-ONNX": "The engine computes something else than its own ONNX.",
    "ES-SOURCE-NOT-FOUND": "The server does not know this path, or there is no such camera.",
    "ES-SOURCE-REFUSED": "The host refused the connection, or another program uses the camera.",
    "ES-SOURCE-TIMEOUT": "The source sent no data in time.",
    "ES-SOURCE-UNREACHABLE": "The host or its network cannot be reached.",
    "ES-SOURCE-AUTH": "The source rejected the user name or password, or this user may not open the camera.",
    "ES-SOURCE-SERVER": "The server answered with an error.",
    "ES-SOURCE-CLOSED": "The server closed the connection.",
    "ES-SOURCE-DNS": "The host name cannot be resolved.",
    "ES-SOURCE-TLS": "No TLS connection could be made.",
    "ES-SOURCE-FORMAT": "The source is not a video.",
    "ES-SOURCE-CODEC": "This FFmpeg has no decoder for the codec of the video.",
    "ES-SOURCE-UNDECODABLE": "No frame of the video could be decoded.",
    "ES-SOURCE-CUT-SHORT": "The video file is incomplete.",
    "ES-SOURCE-DAMAGED": "Some frames of the video are damaged (reported as a loss).",
    "ES-SOURCE-ENDED": "An error ended a recording before its end (reported as a loss).",
    "ES-SOURCE-SKIPPED": "Images that cannot be read were left out (reported as a loss).",
    "ES-SOURCE-DEVICE": "A camera or screen does not open, or not with these options.",
    "ES-SOURCE-BEHIND": "The frames of a live source are too old and do not catch up; edgeseg connects again.",
    "ES-SOURCE-COMMAND": "The command or GStreamer pipeline of a source cannot run, or ended.",
    "ES-SOURCE-AUDIO": "Audio is not copied (reported as a loss).",
}


class EdgeSegError(Exception):
    """Base of all errors that edgeseg raises on purpose.

    message: one line, what is wrong, naming the file or value.
    hint: one line, what to type or change.
    code: stable; that of the class unless given.
    """

    class_code: ClassVar[str] = "ES-ERROR"

    def __init__(self, message: str, *, hint: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.class_code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"

    @staticmethod
    def of(problem: BaseException, code: str = "") -> EdgeSegError:
        """`problem` itself if it is one of these errors; else one with its text and `code`, and without a hint."""
        return problem if isinstance(problem, EdgeSegError) else EdgeSegError(str(problem), hint="", code=code)


class FileProblem(EdgeSegError):  # noqa: N818 - "FileError" would read as the builtin FileExistsError family
    """A file or folder is missing, unreadable or cannot be written."""

    class_code: ClassVar[str] = "ES-FILE"


class FormatError(EdgeSegError):
    """A file or value does not have the expected format."""

    class_code: ClassVar[str] = "ES-FORMAT"


class SizeError(EdgeSegError):
    """An image or input size does not fit the model, tensor or video."""

    class_code: ClassVar[str] = "ES-SIZE"


class UnknownNameError(EdgeSegError):
    """A name is in no table."""

    class_code: ClassVar[str] = "ES-NAME"

    @classmethod
    def among(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """The error for `name`, with the nearest of the `known` names in its hint."""
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        return cls(f"unknown {kind}: {name}", hint=hint)


class UnavailableError(EdgeSegError):
    """An engine, device or library is missing on this machine."""

    class_code: ClassVar[str] = "ES-MISSING"


class MismatchError(EdgeSegError):
    """Two files or options do not belong together."""

    class_code: ClassVar[str] = "ES-MISMATCH"


class DataError(EdgeSegError):
    """Images or labels cannot be used."""

    class_code: ClassVar[str] = "ES-DATA"


class AgreementError(EdgeSegError):
    """The labels of an export or engine differ from those of its source."""

    class_code: ClassVar[str] = "ES-AGREEMENT"
