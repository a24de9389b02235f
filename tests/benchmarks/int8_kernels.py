"""Which int8 kernel, for docs/benchmarks.md: `python tests/benchmarks/int8_kernels.py`. Linear layers of the size of
musicgen-small's feed-forward for few rows, ours and what libraries have, side by side in one run.

The layers of each take far more than the caches, so that weights come from memory, as in a decode step. A kernel is
batch-invariant if a row gets the same bits with 1 to 8 rows. The error is that of the outputs, relative to float64.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable
from time import perf_counter, sleep

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from resonantgen.lm.int8 import Int8Linear, round_groups
from resonantgen.lm.kernel_code import GROUP
from resonantgen.lm.kernels import linear_f32, linear_int8

LAYERS, OUTPUTS, COLUMNS = 24, 4096, 1024
ROWS = (1, 2, 4, 8)
ROUNDS = 12
BLOCK = 128  # inputs that share a scale, where a library has scales for blocks only
Call = Callable[[Tensor], list[Tensor]]  # x [M, K] -> of each layer [M, N]


def memory_bandwidth() -> float:
    """Bytes a second that both cores read at most: the best of summing 256 MB."""
    data = torch.ones(1 << 26)
    best = 0.0
    for _ in range(8):
        start = perf_counter()
        data.sum()
        best = max(best, data.nbytes / (perf_counter() - start))
    return best


def ours(floats: list[Tensor]) -> Call:
    layers = [Int8Linear(*round_groups(weight), None) for weight in floats]
    return lambda x: [linear_int8(x, layer.weight, layer.scale) for layer in layers]


def torch_pack(weights: list[Tensor], scales: list[Tensor], dtype: torch.dtype) -> Call:
    cast = [scale.to(dtype) for scale in scales]
    return lambda x: [
        torch._weight_int8pack_mm(x.to(dtype), weight, scale) for weight, scale in zip(weights, cast, strict=True)
    ]


def torch_dynamic(floats: list[Tensor]) -> Call:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        packed = []
        for weight in floats:
            scale = weight.abs().amax(1) / 127
            zero = torch.zeros(len(scale), dtype=torch.int64)
            quantized = torch.quantize_per_channel(weight, scale.double(), zero, 0, torch.qint8)
            packed.append(torch.ops.quantized.linear_prepack(quantized, None))
    return lambda x: [torch.ops.quantized.linear_dynamic(x, weight, True) for weight in packed]


def torchao_weight_only(floats: list[Tensor]) -> Call:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    layers = torch.nn.ModuleList([torch.nn.Linear(COLUMNS, OUTPUTS, bias=False) for _ in floats])
    for layer, weight in zip(layers, floats, strict=True):
        layer.weight = torch.nn.Parameter(weight, requires_grad=False)
    quantize_(layers, Int8WeightOnlyConfig())
    return lambda x: [layer(x) for layer in layers]


def openvino_weight_only(weights: list[Tensor], scales: list[Tensor]) -> Call:
    import openvino
    from openvino import opset13 as op

    x = op.parameter([-1, COLUMNS], np.float32)
    outputs = []
    for weight, scale in zip(weights, scales, strict=True):
        floats = op.multiply(op.convert(op.constant(weight.numpy()), np.float32), op.constant(scale[:, None].numpy()))
        outputs.append(op.matmul(x, floats, False, True))
    model = openvino.compile_model(openvino.Model(outputs, [x]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()

    def call(inputs: Tensor) -> list[Tensor]:
        found = request.infer([inputs.numpy()], share_inputs=True, share_outputs=True)
        return [torch.from_numpy(found[n]) for n in range(len(outputs))]

    return call


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number: int, *values: int | str | bytes) -> bytes:
    """A field of a protocol buffer, as often as there are values: what an ONNX file consists of."""
    found = b""
    for value in values:
        if isinstance(value, int):
            found += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += varint(number << 3 | 2) + varint(len(data)) + data
    return found


def onnx_model(weights: list[Tensor], scales: list[Tensor], accuracy: int) -> bytes:
    """A model of MatMulNBits nodes with 8 bits. `accuracy` 4 lets it round activations too; 0 does not."""

    def tensor(name: str, kind: int, data: np.ndarray) -> bytes:
        return field(1, *data.shape) + field(2, kind) + field(8, name) + field(9, data.tobytes())

    def value(name: str, size: int) -> bytes:
        shape = field(1, field(2, "rows")) + field(1, field(1, size))
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    def node(n: int) -> bytes:
        numbers = {"K": COLUMNS, "N": OUTPUTS, "bits": 8, "block_size": BLOCK, "accuracy_level": accuracy}
        attributes = [field(1, name) + field(3, number) + field(20, 2) for name, number in numbers.items()]
        inputs, outputs = field(1, "x", f"w{n}", f"s{n}"), field(2, f"y{n}")
        return inputs + outputs + field(4, "MatMulNBits") + field(5, *attributes) + field(7, "com.microsoft")

    tensors: list[bytes] = []
    for n, (weight, scale) in enumerate(zip(weights, scales, strict=True)):
        unsigned = (weight.numpy().astype(np.int16) + 128).astype(np.uint8).reshape(OUTPUTS, COLUMNS // BLOCK, BLOCK)
        blocks = np.repeat(scale.numpy()[:, None], COLUMNS // BLOCK, 1)
        tensors += [tensor(f"w{n}", 2, unsigned), tensor(f"s{n}", 1, blocks)]
    count = range(len(weights))
    graph = field(1, *map(node, count)) + field(2, "layers") + field(5, *tensors)
    graph += field(11, value("x", COLUMNS)) + field(12, *(value(f"y{n}", OUTPUTS) for n in count))
    versions = field(1, "") + field(2, 21), field(1, "com.microsoft") + field(2, 1)
    return field(1, 10) + field(7, graph) + field(8, *versions)


def onnx_weight_only(weights: list[Tensor], scales: list[Tensor], accuracy: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(onnx_model(weights, scales, accuracy), options, ["CPUExecutionProvider"])
    return lambda x: [torch.from_numpy(y) for y in session.run(None, {"x": x.numpy()})]


def milliseconds(calls: dict[str, Call], x: Tensor) -> dict[str, float]:
    """The best time of each, twice a few in a row: a library's threads spin for a while after it, on others' time."""
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(2):
        for name, call in calls.items():
            sleep(0.2)
            for _ in range(ROUNDS // 2):
                start = perf_counter()
                call(x)
                best[name] = min(best[name], 1e3 * (perf_counter() - start))
    return best


def invariant(call: Call, x: Tensor) -> bool:
    alone = [out[0].clone() for out in call(x[:1])[:2]]
    return all(
        torch.equal(out[0], expected)
        for rows in range(2, len(x) + 1)
        for out, expected in zip(call(x[:rows])[:2], alone, strict=True)
    )


def row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


@torch.no_grad()
def main() -> None:
    generator = torch.Generator().manual_seed(0)
    floats = [torch.randn(OUTPUTS, COLUMNS, generator=generator) * COLUMNS**-0.5 for _ in range(LAYERS)]
    scales = [weight.abs().amax(1) / 127 for weight in floats]
    weights = [(weight / scale[:, None]).round().to(torch.int8) for weight, scale in zip(floats, scales, strict=True)]
    x = torch.randn(max(ROWS), COLUMNS, generator=generator)
    makers: dict[str, Callable[[], Call]] = {
        f"ours, int8 weights, a scale for {GROUP}": lambda: ours(floats),
        "ours, float32": lambda: lambda x: [linear_f32(x, weight) for weight in floats],
        "torch, float32": lambda: lambda x: [linear(x, weight) for weight in floats],
        "torch _weight_int8pack_mm, float32": lambda: torch_pack(weights, scales, torch.float32),
        "torch _weight_int8pack_mm, bfloat16": lambda: torch_pack(weights, scales, torch.bfloat16),
        "torch linear_dynamic (activations int8 too)": lambda: torch_dynamic(floats),
        "torchao Int8WeightOnly": lambda: torchao_weight_only(floats),
        "OpenVINO, int8 weights": lambda: openvino_weight_only(weights, scales),
        "ONNX Runtime MatMulNBits 8": lambda: onnx_weight_only(weights, scales, 0),
        "ONNX Runtime MatMulNBits 8 (activations int8 too)": lambda: onnx_weight_only(weights, scales, 4),
    }
    calls: dict[str, Call] = {}
    for name, make in makers.items():
        try:
            calls[name] = make()
            calls[name](x[:1])
        except Exception as error:  # a library that is not there, or cannot
            calls.pop(name, None)
            print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr)
    times = {rows: milliseconds(calls, x[:rows]) for rows in ROWS}
    exact = x.double() @ floats[0].double().T
    bandwidth = memory_bandwidth()
    limits = [LAYERS * OUTPUTS * COLUMNS * size / bandwidth * 1e3 for size in (1, 4)]
    print(f"{LAYERS} layers of {OUTPUTS}x{COLUMNS}, {torch.get_num_threads()} threads, best of {ROUNDS}, ms for all.")
    print(
        f"Memory gives {bandwidth / 1e9:.1f} GB/s: the limit is {limits[0]:.1f} ms for int8, {limits[1]:.1f} float32.\n"
    )
    print(row(["kernel", *(f"{rows} row{'s'[: rows - 1]}" for rows in ROWS), "batch-invariant", "error"]))
    print(row(["---"] * (len(ROWS) + 3)))
    for name, call in calls.items():
        error = (call(x)[0].double() - exact).norm() / exact.norm()
        shown = [f"{times[rows][name]:.1f}" for rows in ROWS]
        print(row([name, *shown, "yes" if invariant(call, x) else "no", f"{100 * error:.2f} %"]))


if __name__ == "__main__":
    main()
