"""A server to profile on, with the device it runs on: ours, or a running one."""

from __future__ import annotations

import logging
import os
import re
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

import psutil

from gpupack.arguments import require_kind
from gpupack.errors import DeviceError, InvalidInputError, ServerError
from gpupack.profiling.devices import RemoteDevice, open_device
from gpupack.profiling.embedded import PIPE_VARIABLE, EmbeddedServer
from gpupack.profiling.measuring import KernelProbe
from gpupack.profiling.server import ServerUrl, TritonServer
from gpupack.records.environment import SharingMode
from gpupack.records.gpu import find_gpu_type

if TYPE_CHECKING:
    from gpupack.profiling.devices import Device
    from gpupack.profiling.server import TlsOptions

logger = logging.getLogger(__name__)

_NOT_POLLED = re.compile(r"failed to load '(.+)', failed to poll from model repository")
_DEATH_S = 0.3
"""So long after a failure a server's end may still be the reason."""


class ServerSession:
    """A context with a ready server and its device.

    Args:
        server: An embedded server, which is started here unless it runs, and which may
            be restarted; or the URL of a running one, which is left alone.
        gpu: The device, as ``open_device`` takes it. For a server on another host the
            name of a GPU type, whose readings are then missing.
        tls: For a URL.

    Raises:
        ServerError: It cannot be started or reached, or it is not ours and has models
            loaded.
        DeviceError: The GPU cannot be used.
        InvalidInputError: The URL, the GPU or the TLS files are none.
    """

    def __init__(
        self,
        server: EmbeddedServer | str,
        *,
        gpu: int | str | None = None,
        tls: TlsOptions | None = None,
    ) -> None:
        require_kind(
            "server", server, (str, EmbeddedServer), "a URL or an EmbeddedServer"
        )
        self.embedded = server if isinstance(server, EmbeddedServer) else None
        self._url = server if isinstance(server, str) else None
        self._gpu = gpu
        self._tls = tls
        if self.embedded is not None and tls is not None and tls.are_given:
            raise InvalidInputError(
                "the TLS options (--tls-ca, --tls-cert, --tls-key, --tls-insecure) are "
                "for a running server's https:// or grpcs:// URL; leave them out for "
                "an embedded server"
            )
        self._stack = ExitStack()
        self._server: TritonServer | None = None
        self.server_pid: int | None = None
        self.is_owned = False
        """Whether the server was started here, and ends with the session."""
        self.device: Device = self._find_device(None)

    @property
    def server(self) -> TritonServer:
        """The server's control."""
        assert self._server is not None  # set for as long as the context is open
        return self._server

    @property
    def own_pids(self) -> tuple[int, ...]:
        """Processes that are no strangers on the device."""
        return (os.getpid(), *([self.server_pid] if self.server_pid else []))

    def __enter__(self) -> Self:
        with self._stack:
            if self.embedded is not None and not self.embedded.is_running:
                # All that is wanted of it is on the disk by then.
                self._stack.callback(self.embedded.stop, at_once=True)
                self.embedded.start()
                self.is_owned = True
            self._connect()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._stack.close()

    def kernel_probe(
        self, wanted: bool | None = None, *, in_turns: bool = False
    ) -> KernelProbe | None:
        """Return a probe to run beside the server's models, None if there is none.

        Args:
            wanted: None takes one where the embedded server's models share the GPU
                through MPS (or in turns, with ``in_turns``), and it can run; True
                insists, also beside a running server, whose MPS daemon, where it has
                one, must then be the one of this environment.
            in_turns: Whether the models may be ones that take turns on the GPU, and
                what is read of those is of use.

        Raises:
            InvalidInputError: One was insisted on, but no GPU of this machine is used.
            DeviceError: One was insisted on and cannot use the GPU.
        """
        variables = {} if self.embedded is None else self.embedded.environment
        through_mps = PIPE_VARIABLE in variables
        is_expected = through_mps or (in_turns and self.embedded is not None)
        if wanted is False or (wanted is None and not is_expected):
            return None
        fields = self.device.environment_fields()
        if "gpu_uuid" not in fields:
            if wanted is None:
                return None
            raise InvalidInputError(
                "the kernel probe runs on an NVIDIA GPU of this machine, and "
                f"{self.device.gpu_type.name} is none: leave --probe out"
            )
        takes_turns = (
            in_turns
            and not through_mps
            and fields.get("sharing_mode") is not SharingMode.MPS
        )
        probe = KernelProbe(variables, in_turns=takes_turns)
        try:
            probe.check()
        except DeviceError as err:
            if wanted:
                raise
            logger.warning("%s; the profile will not hold what it reads", err)
            return None
        return probe

    def recover(self) -> None:
        """Bring the server into the state it had at the start, as far as we may.

        Ours is restarted: what a failed model left in it must not reach the next.
        """
        if self.embedded is not None:
            logger.info("restarting the embedded server after a failure")
            self.server.close()
            self.embedded.restart()
            self._connect()

    def renew(self) -> None:
        """Give a server that is not a running one's URL a new process.

        What is loaded in it goes with the old one.
        """
        if self.embedded is not None:
            self.server.close()
            self.embedded.restart(at_once=True)
            self._connect()

    def explain(self, message: str) -> str:
        """Return ``message`` with what the server's log adds.

        That is why it did not take a model's configuration, or how it died.
        """
        unpolled = _NOT_POLLED.search(message)
        if self.embedded is None:
            return f"{message}; the server's log says why" if unpolled else message
        if unpolled:
            mark = f"Poll failed for model directory '{unpolled[1]}': "
            told = [
                line.partition(mark)[2].rstrip('"')
                for line in self.embedded.log_tail(200).splitlines()
                if mark in line
            ]
            return f"{message}: {told[-1]}" if told else message
        # A killed server's connections close a moment before its guard sees its end.
        deadline = time.monotonic() + _DEATH_S
        while self.embedded.is_running:
            if time.monotonic() > deadline:
                return message
            time.sleep(0.01)
        return (
            f"{message}. The embedded server exited; its log ends with:\n"
            f"{self.embedded.log_tail()}"
        )

    def _connect(self) -> None:
        url = self.embedded.url if self.embedded is not None else self._url
        assert url is not None
        grpc_url = None if self.embedded is None else self.embedded.grpc_url
        self._server = TritonServer(url, tls=self._tls, grpc_url=grpc_url)
        self._server.check_ready()
        loaded = sorted(self._server.ready_models())
        if loaded and self.embedded is not None:
            logger.info("unloading %s: each model is measured alone", ", ".join(loaded))
            for name in loaded:
                self._server.unload(name)
        elif loaded:
            raise ServerError(
                f"the server at {url} has models loaded: {', '.join(loaded)}; each "
                "model is measured alone, so unload them first, or start the server "
                "with --model-control-mode=explicit and without --load-model"
            )
        self.server_pid = (
            self.embedded.pid
            if self.embedded is not None
            else find_listener(self._server.url)
        )
        self.device = self._find_device(self.server_pid)

    def _find_device(self, server_pid: int | None) -> Device:
        url = None if self._url is None else ServerUrl.parse(self._url)
        if url is None or url.is_this_host:
            return open_device(self._gpu, server_pid=server_pid)
        if not isinstance(self._gpu, str):
            raise InvalidInputError(
                f"the server at {url} is on another host, so its GPU cannot be read "
                "from here: name its type, such as --gpu A100-80GB (GPU readings will "
                "be missing), or run gpupack on that host"
            )
        return RemoteDevice(find_gpu_type(self._gpu))


def find_listener(url: ServerUrl) -> int | None:
    """Return the process of this host that answers at ``url``, None if unknown."""
    if not url.is_this_host:  # who has the same port here is another
        return None
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == url.port
            ):
                return connection.pid
    return None


def takes_turns(sharing: SharingMode | None) -> bool:
    """Return whether processes may take turns on the GPU, by what was asked."""
    return sharing in (None, SharingMode.TIME_SLICING)
