"""ONNX Runtime and OpenVINO as contestants: both run one ONNX model of one node, forward only."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from problems import Data, Problem
from timing import Call


def onnx_model(problem: Problem, data: Data) -> bytes:
    """A model of one node, from ``x`` to ``y``, its weights inside."""
    pads = [before for before, _ in problem.padding] + [after for _, after in problem.padding]
    window = {"kernel_shape": problem.kernel, "strides": problem.stride, "pads": pads}
    inputs, constants = ["x"], []
    if problem.op == "conv":
        kind, window["dilations"], window["group"] = "Conv", problem.dilation, problem.groups
        for name, array in (("w", data.weight), ("b", data.bias)):
            if array is not None:
                inputs.append(name)
                constants.append(numpy_helper.from_array(array, name))
    elif problem.op == "max":
        kind, window["dilations"] = "MaxPool", problem.dilation
        window["ceil_mode"] = int(problem.ceil)
    else:
        kind, window["ceil_mode"] = "AveragePool", int(problem.ceil)
        window["count_include_pad"] = int(problem.count_include_pad)
    kind_of = TensorProto.DOUBLE if problem.dtype == "float64" else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, ["y"], **window)], "layer",
        [helper.make_tensor_value_info("x", kind_of, problem.input_shape)],
        [helper.make_tensor_value_info("y", kind_of, problem.output_shape)], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    checker.check_model(model)
    return model.SerializeToString()


def ort_session(model: bytes, x: np.ndarray, threads: int) -> Call:
    """ONNX Runtime on any model with one input ``x``."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})[0]


def openvino_request(model: bytes, x: np.ndarray, threads: int) -> Call:
    """OpenVINO on any model with one input ``x``; in float32 even where its default is bfloat16."""
    import openvino as ov

    config = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }  # fmt: skip
    core = ov.Core()
    request = core.compile_model(core.read_model(model), "CPU", config).create_infer_request()
    return lambda: request.infer({"x": x}, share_inputs=True, share_outputs=True)[0]


def onnxruntime(problem: Problem, direction: str, data: Data, threads: int) -> Call | None:
    if direction != "forward":
        return None
    try:
        return ort_session(onnx_model(problem, data), data.input, threads)
    except Exception:  # not implemented for this rank or element type
        return None


def openvino(problem: Problem, direction: str, data: Data, threads: int) -> Call | None:
    if direction != "forward" or problem.dtype != "float32":
        return None
    return openvino_request(onnx_model(problem, data), data.input, threads)
