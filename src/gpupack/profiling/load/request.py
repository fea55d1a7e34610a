"""Requests built once and sent many times; responses decoded and checked once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpupack.errors import ServerError
from gpupack.profiling.load.shared_region import SharedRegion
from gpupack.profiling.load.tensors import numpy_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from gpupack.profiling.load.tensors import Tensors
    from gpupack.profiling.server import (
        ModelSignature,
        ServerUrl,
        TensorSpec,
        TritonServer,
    )

SHARED_MEMORY_THRESHOLD_BYTES = 100_000
"""From here on tensors go through shared memory, if client and server share a host."""


@dataclass(frozen=True)
class SharedTensor:
    """Where in which region a tensor lies."""

    region_name: str
    offset: int
    num_bytes: int


@dataclass(frozen=True)
class OutputSummary:
    """One output of a decoded response."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    num_bytes: int


def share_inputs(
    server: TritonServer, signature: ModelSignature, inputs: Tensors
) -> tuple[SharedRegion, dict[str, SharedTensor]]:
    """Put a request's inputs into a region that the server can read.

    Raises:
        OSError: There is not enough shared memory.
        ServerError: The server cannot see it.
    """
    contents = {
        spec.name: serialize(spec, inputs[spec.name])
        for spec in signature.inputs
        if spec.name in inputs
    }
    region = SharedRegion(sum(map(len, contents.values())))
    try:
        placed: dict[str, SharedTensor] = {}
        offset = 0
        for name, content in contents.items():
            region.write(offset, content)
            placed[name] = SharedTensor(region.name, offset, len(content))
            offset += len(content)
        server.register_shared_memory(region.name, region.key, region.num_bytes)
    except BaseException:
        region.close()
        raise
    return region, placed


def serialize(spec: TensorSpec, array: npt.NDArray[np.generic]) -> bytes:
    """Return a tensor's bytes as Triton's protocol carries them."""
    if spec.datatype != "BYTES":
        return array.tobytes()
    from tritonclient.utils import serialize_byte_tensor

    serialized = serialize_byte_tensor(array)
    return bytes(serialized.item()) if serialized.size > 0 else b""


def build_request(
    url: ServerUrl,
    signature: ModelSignature,
    inputs: Tensors,
    *,
    shared_inputs: Mapping[str, SharedTensor] | None = None,
    shared_outputs: Mapping[str, SharedTensor] | None = None,
    last: str | None = None,
    sequence: tuple[int, bool, bool] | None = None,
) -> bytes:
    """Return all bytes of one request: an HTTP message, or a gRPC message's body.

    The data of the input named ``last`` end it, if they are not shared. A ``sequence``
    is the number of the one that the request belongs to, and whether it starts and
    ends it.
    """
    if url.is_grpc:
        from tritonclient import grpc as protocol
    else:
        from tritonclient import http as protocol
    tensors = []
    for spec in sorted(signature.inputs, key=lambda one: one.name == last):
        if spec.name not in inputs:
            continue
        array = inputs[spec.name]
        tensor = protocol.InferInput(spec.name, list(array.shape), spec.datatype)
        if shared_inputs:
            where = shared_inputs[spec.name]
            tensor.set_shared_memory(where.region_name, where.num_bytes, where.offset)
        else:
            tensor.set_data_from_numpy(array)
        tensors.append(tensor)
    outputs = None
    if shared_outputs:
        outputs = []
        for name, where in shared_outputs.items():
            wanted = protocol.InferRequestedOutput(name)
            wanted.set_shared_memory(where.region_name, where.num_bytes, where.offset)
            outputs.append(wanted)
    if url.is_grpc:
        return _grpc_body(signature, tensors, outputs, sequence)
    return _http_message(url, signature, tensors, outputs, sequence)


def _http_message(
    url: ServerUrl,
    signature: ModelSignature,
    tensors: list[Any],
    outputs: list[Any] | None,
    sequence: tuple[int, bool, bool] | None,
) -> bytes:
    from tritonclient.http import InferenceServerClient

    number, starts, ends = sequence or (0, False, False)
    body, json_size = InferenceServerClient.generate_request_body(
        tensors,
        outputs=outputs,
        sequence_id=number,
        sequence_start=starts,
        sequence_end=ends,
    )
    body = bytes(body) if isinstance(body, bytes | bytearray) else body.encode()
    version = "" if signature.version is None else f"/versions/{signature.version}"
    headers = [
        f"POST {url.path}/v2/models/{signature.name}{version}/infer HTTP/1.1",
        f"Host: {url.address}",
        "Content-Type: application/octet-stream",
        f"Content-Length: {len(body)}",
    ]
    if json_size is not None:
        headers.append(f"Inference-Header-Content-Length: {json_size}")
    return "\r\n".join([*headers, "", ""]).encode("ascii") + body


def _grpc_body(
    signature: ModelSignature,
    tensors: list[Any],
    outputs: list[Any] | None,
    sequence: tuple[int, bool, bool] | None,
) -> bytes:
    from tritonclient.grpc import service_pb2

    version = "" if signature.version is None else str(signature.version)
    request = service_pb2.ModelInferRequest(
        model_name=signature.name, model_version=version
    )
    if sequence is not None:
        number, starts, ends = sequence
        request.parameters["sequence_id"].int64_param = number
        request.parameters["sequence_start"].bool_param = starts
        request.parameters["sequence_end"].bool_param = ends
    if signature.is_decoupled:
        # The end of the answer is told, also where it comes without an output.
        request.parameters["triton_enable_empty_final_response"].bool_param = True
    for tensor in tensors:
        request.inputs.append(tensor._get_tensor())
        content = tensor._get_content()
        if content is not None:
            request.raw_input_contents.append(content)
    for output in outputs or []:
        request.outputs.append(output._get_tensor())
    return bytes(request.SerializeToString())


def _batch_hint(signature: ModelSignature) -> str:
    if not signature.is_batch_dim_found:
        return ""
    return (
        f", with dimension {signature.batch_dim} for the batch: say with --batch-dim "
        "which it is, or none"
    )


def check_response(
    url: ServerUrl,
    signature: ModelSignature,
    batch_size: int,
    body: bytes,
    header_length: int | None,
) -> tuple[OutputSummary, ...]:
    """Decode one response and compare it with what the model says it gives.

    Args:
        url: Tells the protocol.
        signature: What the model says.
        batch_size: Inputs in the request.
        body: The response without HTTP headers, or the gRPC message.
        header_length: Length of the JSON before the binary tensors; HTTP only.

    Raises:
        ServerError: It cannot be decoded, or a shape or datatype differs.
    """
    where = f"model {signature.name}"
    try:
        if url.is_grpc:
            from tritonclient.grpc import InferResult, service_pb2

            result = InferResult(service_pb2.ModelInferResponse.FromString(body))
            described = {
                output.name: (output.datatype, tuple(output.shape))
                for output in result.get_response().outputs
            }
        else:
            from tritonclient.http import InferenceServerClient

            result = InferenceServerClient.parse_response_body(
                body, header_length=header_length
            )
            described = {
                output["name"]: (output["datatype"], tuple(output["shape"]))
                for output in result.get_response()["outputs"]
            }
        arrays = {name: result.as_numpy(name) for name in described}
    except Exception as err:  # whatever a client library makes of a broken message
        raise ServerError(
            f"{where}: its response cannot be decoded: {err}. If the embedded server's "
            "Python backend made it empty: the models' Python needs numpy < 2"
        ) from err
    declared = {spec.name: spec for spec in signature.outputs}
    summaries = []
    for name, (datatype, shape) in described.items():
        array = arrays[name]
        if name not in declared or array is None:
            raise ServerError(f"{where}: its response has an undeclared output {name}")
        spec = declared[name]
        expected = spec.dims
        if signature.max_batch_size > 0 or signature.is_batch_dim_found:
            expected = signature.request_dims(spec, batch_size)
        fits = len(shape) == len(expected) and all(
            own < 0 or own == size for size, own in zip(shape, expected, strict=True)
        )
        dtype = numpy_type(spec.datatype)
        if datatype != spec.datatype or not fits or array.shape != shape:
            raise ServerError(
                f"{where}: output {name} came as {datatype} {list(shape)}, the model "
                f"declares {spec.datatype} {list(expected)}{_batch_hint(signature)}"
            )
        if dtype is not None and array.dtype != dtype:
            raise ServerError(
                f"{where}: output {name} decodes to {array.dtype}, not {dtype}"
            )
        size = len(serialize(spec, array)) if array.dtype == object else array.nbytes
        summaries.append(OutputSummary(name, datatype, shape, size))
    if not summaries:
        raise ServerError(f"{where}: its response has no output")
    return tuple(summaries)
