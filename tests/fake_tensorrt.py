"""A TensorRT that computes nothing: every name, argument and keyword is checked against the real bindings.

`Fake(cls)` stands for an object of the class `cls` of a release. It has the members of `cls` and no others, and its
methods take what the signatures in the docstrings of pybind11 say. What it answers is given to it, or is a plain value
of the kind that the signature returns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((.*)\)(?: -> .*)?$")


class Fake:
    """An object of the class `cls`. answers: member name -> its value, or what computes it for a method."""

    def __init__(self, cls: type, **answers: Any) -> None:
        for name in answers:
            if not hasattr(cls, name):
                raise AttributeError(f"{cls.__name__} has no {name}")
        object.__setattr__(self, "_cls", cls)
        object.__setattr__(self, "_answers", answers)

    def __getattr__(self, name: str) -> Any:
        member = inspect.getattr_static(self._cls, name, None)
        if member is None:
            raise AttributeError(f"{self._cls.__name__} has no {name}")
        if isinstance(member, property):
            return self._answers.get(name, 0)
        return checked(self._cls.__name__, name, getattr(self._cls, name), self._answers.get(name))

    def __setattr__(self, name: str, value: Any) -> None:
        member = inspect.getattr_static(self._cls, name, None)
        if not isinstance(member, property) or member.fset is None:
            raise AttributeError(f"{self._cls.__name__} has no {name} that can be set")
        self._answers[name] = value


class FakeModule:
    """The bindings `real`, with classes whose objects need the library replaced by what makes a Fake."""

    def __init__(self, real: Any, **makers: Callable[..., Any]) -> None:
        self._real, self._makers = real, makers

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in self._makers:
            return real
        return checked(name, "__init__", real.__init__, self._makers[name])


def checked(owner: str, name: str, real: Any, answer: Any) -> Callable[..., Any]:
    """A function that takes what `real` takes; TypeError for anything else."""
    known = signatures(real.__doc__ or "")

    def call(*args: Any, **keywords: Any) -> Any:
        if known and not any(binds(each, args, keywords) for each in known):
            given = [*map(repr, args), *(f"{key}={value!r}" for key, value in keywords.items())]
            raise TypeError(f"{owner}.{name} does not take ({', '.join(given)}): it takes {known[0]}")
        return answer(*args, **keywords) if callable(answer) else answer

    return call


def signatures(doc: str) -> list[inspect.Signature]:
    """The signatures in a docstring of pybind11, without self; several where the function is overloaded."""
    lines = [match[1] for line in doc.splitlines() if (match := SIGNATURE.match(line.strip()))]
    return [signature(line) for line in lines if line != "*args, **kwargs"]


def signature(text: str) -> inspect.Signature:
    """The parameters of "self: x, name: type = default, ..."."""
    parameters = []
    for part in parts(text)[1:]:
        name, _, rest = part.partition(":")
        default = None if "=" in rest else inspect.Parameter.empty
        parameters.append(inspect.Parameter(name.strip(), inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    return inspect.Signature(parameters)


def parts(text: str) -> list[str]:
    """`text` cut at the commas outside brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "(": 1, "<": 1, "]": -1, ")": -1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            found.append("")
        else:
            found[-1] += letter
    return found


def binds(known: inspect.Signature, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    try:
        known.bind(*args, **keywords)
    except TypeError:
        return False
    return True


class FakeTensorRt:
    """The bindings `real` with a builder whose plan is the ONNX itself, and a runtime that runs it on ONNX Runtime.

    cuda: the EmulatedCuda whose memory the addresses are in. problems: what to fail with, by the name of a step
    ("builder", "parse", "build", "runtime", "deserialize", "context", "execute"): the line that TensorRT would log.
    told: what the builder was told, for a test to look at. obtained: what every layer computes in, "" for what it asks.
    """

    def __init__(self, real: Any, cuda: Any = None, *, dla_cores: int = 0, **problems: str) -> None:
        self.real, self.cuda, self.problems, self.dla_cores = real, cuda, problems, dla_cores
        self.obtained = ""
        self.told: dict[str, Any] = {"flags": [], "float_layers": []}
        self.module = FakeModule(real, Builder=self.builder, OnnxParser=self.parser, Runtime=self.runtime)

    def fails(self, step: str, sink: Any) -> bool:
        """Whether `step` is to fail; it then says why, as TensorRT does."""
        if step in self.problems:
            sink.log(self.real.ILogger.Severity.ERROR, self.problems[step])
        return step in self.problems

    def builder(self, sink: Any) -> Fake:
        if self.fails("builder", sink):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return Fake(
            self.real.Builder,
            create_network=self.network,
            create_builder_config=self.config,
            create_optimization_profile=lambda: Fake(self.real.IOptimizationProfile, set_shape=self.profile),
            build_serialized_network=lambda network, config: self.compiled(config, sink),
            num_DLA_cores=self.dla_cores,
        )

    def profile(self, name: str, *shapes: Any) -> None:
        self.told["profile"] = (name, shapes)

    def network(self, flags: int) -> Fake:
        self.told["network_flags"] = flags
        return Fake(
            self.real.INetworkDefinition,
            get_input=lambda index: Fake(self.real.ITensor, name=self.model().graph.input[0].name),
            get_layer=self.layer,
            num_layers=3,
        )

    def layer(self, index: int) -> Fake:
        """A convolution, a normalisation in float32 and a cast."""
        kind = self.real.LayerType
        types = (kind.CONVOLUTION, kind.NORMALIZATION, kind.CAST)
        layer = Fake(
            self.real.ILayer,
            name=f"layer{index}",
            type=types[index],
            num_outputs=1,
            get_output=lambda number: Fake(self.real.ITensor, dtype=self.real.float32),
        )
        self.told["float_layers"].append(layer)
        return layer

    def config(self) -> Fake:
        self.told["config"] = Fake(
            self.real.IBuilderConfig,
            set_flag=self.told["flags"].append,
            set_memory_pool_limit=lambda pool, size: self.told.setdefault("workspace", size),
            add_optimization_profile=lambda profile: 0,
            create_timing_cache=self.timing_cache,
            set_timing_cache=lambda cache, ignore: True,
            can_run_on_DLA=lambda layer: layer.name == "layer0",
        )
        return self.told["config"]

    def timing_cache(self, data: bytes) -> Fake:
        self.told["timings"] = data
        return Fake(self.real.ITimingCache, serialize=lambda: b"timings")

    def compiled(self, config: Any, sink: Any) -> bytes | None:
        """The plan, in one phase of two steps; None where that fails or is stopped."""
        if self.fails("build", sink):
            return None
        if not has(self.real.IBuilderConfig, "progress_monitor"):
            return self.onnx
        monitor = config.progress_monitor
        monitor.phase_start("Building engine", None, 2)
        goes_on = all(monitor.step_complete("Building engine", step) for step in range(2))
        monitor.phase_finish("Building engine")
        return self.onnx if goes_on else None

    def parser(self, network: Any, sink: Any) -> Fake:
        def parse(data: bytes, path: str | None = None) -> bool:
            self.onnx = data
            return not self.fails("parse", sink)

        return Fake(self.real.OnnxParser, parse=parse, num_errors=1, get_error=lambda index: self.parser_error())

    def parser_error(self) -> Any:
        names = [node.name for node in self.model().graph.node]

        class ParserError:
            node = staticmethod(lambda: names.index("conv1"))
            desc = staticmethod(lambda: self.problems["parse"])

        return ParserError

    def runtime(self, sink: Any) -> Fake:
        if self.fails("runtime", sink):
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return Fake(self.real.Runtime, deserialize_cuda_engine=lambda plan: self.deserialized(plan, sink))

    def deserialized(self, plan: bytes, sink: Any) -> Fake | None:
        if self.fails("deserialize", sink):
            return None
        self.onnx = plan
        self.told["deserialized"] = self.told.get("deserialized", 0) + 1
        model = self.model()
        ends = [*model.graph.input, *model.graph.output]
        sides = {each.name: shape_of(each) for each in ends}
        mode = self.real.TensorIOMode
        inputs = {each.name for each in model.graph.input}
        types = {each.name: each.type.tensor_type.elem_type for each in ends}
        memory = {
            name: 1 << 20
            for name in ("device_memory_size", "device_memory_size_v2")
            if has(self.real.ICudaEngine, name)
        }
        return Fake(
            self.real.ICudaEngine,
            num_io_tensors=len(ends),
            get_tensor_name=lambda index: ends[index].name,
            get_tensor_mode=lambda name: mode.INPUT if name in inputs else mode.OUTPUT,
            get_tensor_shape=sides.get,
            get_tensor_dtype=lambda name: {1: self.real.float32, 2: self.real.uint8}[types[name]],
            get_tensor_profile_shape=lambda name, index: self.profile_shapes(name, sides[name]),
            create_execution_context=lambda: None if self.fails("context", sink) else self.context(sink, sides),
            create_engine_inspector=lambda: Fake(
                self.real.EngineInspector, get_engine_information=lambda form: layers_json(model, self.obtained)
            ),
            **memory,
        )

    def profile_shapes(self, name: str, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
        return list(self.told["profile"][1]) if -1 in shape else [shape] * 3

    def context(self, sink: Any, sides: dict[str, tuple[int, ...]]) -> Fake:
        import onnxruntime

        self.told["contexts"] = self.told.get("contexts", 0) + 1
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(self.onnx, options, providers=["CPUExecutionProvider"])
        shapes, addresses = dict(sides), {}

        def set_input_shape(name: str, shape: Any) -> bool:
            shapes[name] = tuple(shape)
            for output in session.get_outputs():
                batch = (shape[0], *sides[output.name][1:])
                shapes[output.name] = batch if sides[output.name][0] == -1 else sides[output.name]
            return True

        def run() -> None:
            feed = {
                each.name: self.cuda.array(addresses[each.name], shapes[each.name], "uint8")
                for each in session.get_inputs()
            }
            for output, values in zip(session.get_outputs(), session.run(None, feed)):
                self.cuda.array(addresses[output.name], values.shape, values.dtype)[:] = values

        def execute(handle: int) -> bool:
            if self.fails("execute", sink):
                return False
            self.cuda.submit(handle, run)
            return True

        return Fake(
            self.real.IExecutionContext,
            set_input_shape=set_input_shape,
            get_tensor_shape=shapes.get,
            set_tensor_address=lambda name, address: addresses.update({name: address}) or True,
            execute_async_v3=execute,
        )

    def model(self) -> Any:
        import onnx

        return onnx.load_from_string(self.onnx)


WEIGHTS = {"Int8": "Int8", "FP32": "Float", "FP16": "Half"}


def has(cls: type, name: str) -> bool:
    return inspect.getattr_static(cls, name, None) is not None


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an ONNX input or output, -1 for a side with a name."""
    return tuple(side.dim_value or -1 for side in value.type.tensor_type.shape.dim)


def layers_json(model: Any, obtained: str) -> str:
    """What an engine inspector would say of a plan that computes every Conv as the ONNX states it, or in `obtained`."""
    import json

    quantised = {out for node in model.graph.node if node.op_type == "DequantizeLinear" for out in node.output}
    layers = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            kind = obtained or ("Int8" if set(node.input[:2]) <= quantised else "FP32")
            tensor = {"Dimensions": [1, 8, 8, 8], "Format/Datatype": f"Row major linear {kind.upper()} format"}
            layers.append({
                "Name": node.name, "LayerType": "CaskConvolution", "Inputs": [{"Name": "in", **tensor}],
                "Outputs": [{"Name": "out", **tensor}], "Weights": {"Type": WEIGHTS[kind], "Count": 9},
                "Metadata": f"[ONNX Layer: {node.name}]", "TacticName": "conv",
            })  # fmt: skip
    return json.dumps({"Layers": layers, "Bindings": []})


def install(monkeypatch: Any, real: Any, name: str = "tensorrt", **options: Any) -> FakeTensorRt:
    """Make `import tensorrt` give a FakeTensorRt, on a device that numpy emulates."""
    import sys

    from emulated_cuda import EmulatedCuda, use_cpu_kernels

    from edgeseg.engines.tensorrt import backend, device

    use_cpu_kernels(monkeypatch)
    cuda = EmulatedCuda(memory_mib=8192)
    monkeypatch.setattr(cuda, "close", lambda: None)  # one device for all that open it
    fake = FakeTensorRt(real, cuda, **options)
    monkeypatch.setitem(sys.modules, name, fake.module)
    for module in (backend, device):
        monkeypatch.setattr(module, "open_cuda", lambda text: cuda)
    monkeypatch.setattr(device, "gpu_count", lambda: 1)
    return fake
