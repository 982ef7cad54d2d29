from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from residual_onnx import residual_model
from small_onnx import onnx_model

from edgeseg.errors import FormatError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.identity import graph_id, tensor_ids
from edgeseg.spec import Output


def ids(**options) -> dict[str, str]:
    return tensor_ids(ir.from_proto(residual_model(**options)))


def identity(**options) -> str:
    return graph_id(ir.from_proto(residual_model(**options)))


def test_same_ids_at_every_size_and_with_both_heads():
    for other in ({"width": 128, "height": 64}, {"output": Output.MASK}):
        assert ids() == ids(**other)
        assert identity() == identity(**other)


def test_names_do_not_count():
    renamed = ids(prefix="renamed/")
    assert list(renamed.values()) == list(ids().values())
    assert "renamed/fuse" in renamed
    assert identity() == identity(prefix="renamed/")


def test_every_float_activation_has_an_id_of_its_own():
    found = ids()
    assert len(set(found.values())) == len(found)
    assert {"picture", "stem", "squeeze", "logits"} <= set(found)
    assert not {"rgb", "float", "planar", "centred", "stem.w"} & set(found)


def test_weights_count():
    model = residual_model()
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "head.w")
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 1
    weight.CopyFrom(numpy_helper.from_array(values, "head.w"))
    changed = tensor_ids(ir.from_proto(model))
    assert graph_id(ir.from_proto(model)) != identity()
    assert changed["large"] == ids()["large"]
    assert changed["head"] != ids()["head"]


def test_normalisation_counts():
    assert identity(mean=100) != identity()
    assert ids(mean=100)["picture"] != ids()["picture"]


def test_operator_attributes_count():
    model = residual_model()
    node = next(node for node in model.graph.node if node.name == "large/Resize")
    next(a for a in node.attribute if a.name == "mode").s = b"nearest"
    assert graph_id(ir.from_proto(model)) != identity()


def test_a_weight_behind_constant_and_identity_counts_like_an_initializer():
    weight = np.ones((2, 3, 1, 1), np.float32)
    ends = ([("x", TensorProto.FLOAT, [1, 3, 4, 4])], [("logits", TensorProto.FLOAT, [1, 2, 4, 4])])
    conv = helper.make_node("Conv", ["x", "w"], ["logits"])
    plain = onnx_model([conv], *ends, {"w": weight})
    wrapped = onnx_model(
        [
            helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(weight)),
            helper.make_node("Identity", ["v"], ["w"]),
            conv,
        ],
        *ends,
        {},
    )
    assert graph_id(ir.from_proto(plain)) == graph_id(ir.from_proto(wrapped))


def test_the_core_lies_between_normalisation_and_post_head():
    core = core_from_model(ir.from_proto(residual_model(output=Output.MASK)))
    assert core.input.name == "picture"
    assert [value.name for value in core.outputs] == ["logits"]
    assert [op for op, _ in core.normalisation] == ["Sub", "Mul"]


def test_a_graph_of_two_inputs_is_refused():
    pair = [(name, TensorProto.FLOAT, [1, 3]) for name in "ab"]
    model = onnx_model([helper.make_node("Add", ["a", "b"], ["y"])], pair, [("y", TensorProto.FLOAT, [1, 3])], {})
    with pytest.raises(FormatError, match="2 inputs"):
        graph_id(ir.from_proto(model))


@pytest.mark.slow
@pytest.mark.nightly
def test_a_real_network_has_one_identity_at_two_sizes(tmp_path):
    pytest.importorskip("torch")
    from edgeseg.export.onnx import onnx_from_module
    from edgeseg.models import open_family
    from edgeseg.spec import InputSpec, LabelSet, ModelSpec

    labels = LabelSet(("a", "b"), ((0, 0, 0), (9, 9, 9)))
    spec = ModelSpec("net", InputSpec(64, 64), labels, family="bisenetv2", variant="light")
    network = open_family("bisenetv2").build(spec)
    found = set()
    for width, output in ((64, Output.LOGITS), (96, Output.MASK)):
        artifact = onnx_from_module(network, spec.resized(width, 64), tmp_path / f"{width}.onnx", output=output)
        found.add(graph_id(ir.load(artifact.path)))
    assert len(found) == 1
