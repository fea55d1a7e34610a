"""One loaded model with a client process ready to drive it at one load point."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from gpupack.errors import InvalidInputError, LoadPointError, ServerError
from gpupack.profiling.load.input_options import DEFAULT_SEQUENCE_LENGTH
from gpupack.profiling.load.load_process import LoadProcess
from gpupack.profiling.load.request import (
    SHARED_MEMORY_THRESHOLD_BYTES,
    OutputSummary,
    SharedTensor,
    build_request,
    check_response,
    share_inputs,
)
from gpupack.profiling.load.schedule import Schedule
from gpupack.profiling.load.sequences import FIRST_NUMBER, SequencePlan
from gpupack.profiling.load.shared_region import SharedRegion
from gpupack.profiling.load.tensors import find_variation
from gpupack.records.profile import RATE_IN_FLIGHT
from gpupack.records.request.arrivals import POISSON, Arrivals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpupack.profiling.load.tensors import Tensors, Variation
    from gpupack.profiling.server import (
        ModelSignature,
        ModelStatistics,
        ServerUrl,
        TritonServer,
    )
    from gpupack.records.profile import LoadPoint


MAX_SHARED_BYTES = 256 * 1024 * 1024
"""An open loop keeps fewer requests in flight where their outputs, in shared memory,
would take more than this."""


@dataclass(frozen=True)
class ModelLoad:
    """What one model is given: its load point and one request's inputs.

    Attributes:
        offered_infer_per_sec: Send so much, answered or not (an open loop); by default
            what the load point says, None drives the model as fast as it answers.
        server: That has it loaded, where models measured together are on several.
        arrivals: How the requests of an open loop arrive.
        seed: Of their times: models that are driven together need different ones.
        sequence_length: Requests of each sequence, for a stateful model.
    """

    signature: ModelSignature
    load_point: LoadPoint
    inputs: Tensors
    offered_infer_per_sec: float | None = None
    server: TritonServer | None = None
    arrivals: Arrivals = POISSON
    seed: str = ""
    sequence_length: int = DEFAULT_SEQUENCE_LENGTH

    @property
    def requests_per_s(self) -> float | None:
        """Requests sent a second; None where they are kept in flight."""
        if self.offered_infer_per_sec is None:
            return self.load_point.requests_per_sec
        return self.offered_infer_per_sec / self.load_point.batch_size

    @property
    def num_in_flight(self) -> int:
        """Requests in flight at most."""
        if self.requests_per_s is None:
            return self.load_point.in_flight
        return RATE_IN_FLIGHT


class DrivenModel:
    """A context in which a model's requests are prepared, tried once, and sent.

    Entering sends one request, decodes and checks its response (which also takes the
    slow first inference), and moves large tensors into shared memory.

    Args:
        server: The server that has the model loaded.
        load: The model and what it is given.
        process: The client process; by default one of its own.
        request_timeout_s: How long one request may take.

    Raises:
        LoadPointError: The server refused the request, did not answer in time, or
            answered with something else than the model declares.
    """

    def __init__(
        self,
        server: TritonServer,
        load: ModelLoad,
        *,
        process: LoadProcess | None = None,
        request_timeout_s: float = 30.0,
    ) -> None:
        self.load = load
        self.outputs: tuple[OutputSummary, ...] = ()
        self.notes: list[str] = []
        self._server = load.server or server
        self._timeout_s = request_timeout_s
        self._given_process = process
        self._requests: list[bytes] = []
        self._variation: Variation | None = None
        self._sequences: SequencePlan | None = None
        self._url = server.url
        self._uses_shared_memory = False
        self._num_starts = 0
        self._stack = ExitStack()

    def _find_url(self) -> ServerUrl:
        """Return where requests are sent: streams are gRPC's alone.

        Raises:
            InvalidInputError: The model needs a stream, and the server's address for
                gRPC is not known.
        """
        server = self._server
        if not self.load.signature.is_decoupled or server.url.is_grpc:
            return server.url
        if server.grpc_url is None:
            raise InvalidInputError(
                f"model {self.model_name} is decoupled, so that its answers come on "
                "streams, which gRPC alone has: give the server's gRPC address, such "
                f"as --url grpc://{server.url.host}:8001"
            )
        return server.grpc_url

    @property
    def model_name(self) -> str:
        """The model's name."""
        return self.load.signature.name

    @property
    def protocol(self) -> str:
        """How requests travel, as ``Environment.protocol`` spells it."""
        name = "grpc" if self._url.is_grpc else "http"
        return f"{name}+shm" if self._uses_shared_memory else name

    def statistics(self) -> ModelStatistics:
        """Return the server's counters of the model.

        Raises:
            ServerError: The server does not answer.
        """
        return self._server.statistics(self.model_name)

    def __enter__(self) -> Self:
        with self._stack:
            url = self._url = self._find_url()
            given = self._given_process
            if given is None or given.url != url:
                given = self._stack.enter_context(LoadProcess(url, self._server.tls))
            self.process = given
            try:
                self._prepare()
            except ServerError as err:
                raise LoadPointError(
                    f"model {self.model_name} at load point {self.load.load_point}: "
                    f"{err}",
                    stage="warmup",
                    model_name=self.model_name,
                ) from err
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def num_connections(self) -> int:
        """Requests in flight at most: those that are due beyond it wait for one."""
        return len(self._requests)

    def start(self) -> None:
        """Begin the closed loop, or the open one, each time with other arrivals."""
        rate, arrivals = self.load.requests_per_s, self.load.arrivals
        again = f"/{self._num_starts}" if self._num_starts else ""
        self._num_starts += 1
        self.process.start(
            self._requests,
            timeout_s=self._timeout_s,
            schedule=None
            if rate is None
            else Schedule(
                arrivals.process.value,
                rate,
                burstiness=arrivals.burstiness,
                times_s=arrivals.times_s,
                seed=f"{self.load.seed}/{self.model_name}{again}",
            ),
            variation=self._variation,
            sequences=self._sequences,
            is_streamed=self.load.signature.is_decoupled,
        )

    def _prepare(self) -> None:
        load, url, signature = self.load, self._url, self.load.signature
        last = None
        if signature.has_response_cache and not signature.is_sequence:
            # What is measured is the model, not what a server remembers of it.
            last, self._variation = find_variation(load.inputs)
        shared_inputs = {} if self._variation else self._share_inputs()

        def build(
            sequence: tuple[int, bool, bool] | None = None,
            shared_outputs: dict[str, SharedTensor] | None = None,
        ) -> bytes:
            return build_request(
                url,
                signature,
                load.inputs,
                shared_inputs=shared_inputs,
                shared_outputs=shared_outputs,
                last=last,
                sequence=sequence,
            )

        alone = (FIRST_NUMBER, True, True) if signature.is_sequence else None
        request = build(alone)
        body, header_length = self.process.once(
            request, timeout_s=self._timeout_s, is_streamed=signature.is_decoupled
        )
        self.outputs = check_response(
            url, signature, load.load_point.batch_size, body, header_length
        )
        self._requests = [request] * load.num_in_flight
        if signature.is_sequence:
            self._sequences = SequencePlan.of(
                lambda *which: build(which),
                length=load.sequence_length,
                is_text=not url.is_grpc,
            )
            self.notes.append(
                f"driven by whole sequences of {load.sequence_length} requests each"
            )
        elif not signature.is_decoupled:
            shared = self._share_outputs()
            if shared:
                self._requests = [build(None, of_one) for of_one in shared]

    def _share_inputs(self) -> dict[str, SharedTensor]:
        num_bytes = sum(array.nbytes for array in self.load.inputs.values())
        if not self._server.url.is_this_host or (
            num_bytes < SHARED_MEMORY_THRESHOLD_BYTES
        ):
            return {}
        try:
            region, placed = share_inputs(
                self._server, self.load.signature, self.load.inputs
            )
        except (OSError, ServerError) as err:
            # Such as a server in a container, behind a port of this host.
            self.notes.append(f"large inputs were sent, not shared: {err}")
            return {}
        self._keep(region)
        return placed

    def _share_outputs(self) -> list[dict[str, SharedTensor]]:
        num_bytes = sum(output.num_bytes for output in self.outputs)
        if not self._server.url.is_this_host or (
            num_bytes < SHARED_MEMORY_THRESHOLD_BYTES
        ):
            return []
        concurrency = self.load.num_in_flight
        if self.load.requests_per_s is not None:
            most = max(
                MAX_SHARED_BYTES // num_bytes, self.load.load_point.concurrency or 1
            )
            concurrency = min(concurrency, most)
        try:
            region = SharedRegion(num_bytes * concurrency)
        except OSError as err:
            self.notes.append(f"large outputs were sent, not shared: {err}")
            return []
        try:
            self._server.register_shared_memory(
                region.name, region.key, region.num_bytes
            )
        except ServerError as err:
            region.close()
            self.notes.append(f"large outputs were sent, not shared: {err}")
            return []
        self._keep(region)
        placed = []
        offset = 0
        for _ in range(concurrency):
            of_one = {}
            for output in self.outputs:
                of_one[output.name] = SharedTensor(
                    region.name, offset, output.num_bytes
                )
                offset += output.num_bytes
            placed.append(of_one)
        return placed

    def _keep(self, region: SharedRegion) -> None:
        self._uses_shared_memory = True
        self._stack.callback(region.close)
        self._stack.callback(self._forget, region.name)

    def _forget(self, region_name: str) -> None:
        with suppress(ServerError):  # a server that died has forgotten it
            self._server.unregister_shared_memory(region_name)


def stop_together(driven: Sequence[DrivenModel]) -> tuple[int, ...]:
    """End the loops of models that are driven together, none of them later.

    Returns:
        How many requests of each the server has left unanswered.

    Raises:
        LoadPointError: A loop failed, or did not stop.
    """
    num_left = []
    for model in driven:
        model.process.ask_to_stop()
    for model in driven:
        try:
            num_left.append(model.process.stop())
        except ServerError as err:
            raise LoadPointError(
                str(err), stage="measure", model_name=model.model_name
            ) from err
    return tuple(num_left)
