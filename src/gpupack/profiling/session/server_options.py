"""Which server to measure on, and how it is started or reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpupack.arguments import require_kind
from gpupack.errors import InvalidInputError
from gpupack.profiling.devices import open_device
from gpupack.profiling.embedded import EmbeddedServer
from gpupack.profiling.server import LOAD_TIMEOUT_S
from gpupack.profiling.session.server_session import ServerSession
from gpupack.profiling.session.started_server import own_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from gpupack.files import AnyPath
    from gpupack.profiling.devices import Device
    from gpupack.profiling.embedded import InstallProgress
    from gpupack.profiling.server import TlsOptions
    from gpupack.records.environment import SharingMode


@dataclass(frozen=True)
class ServerOptions:
    """Which Triton to measure on, and how it is started or reached.

    ``profile(server=ServerOptions(...))`` and ``verify(server=...)`` take the same;
    a URL or an ``EmbeddedServer`` in its place is short for one with nothing else.

    Attributes:
        url: Of a running Triton (``http://``, ``https://``, ``grpc://``, ``grpcs://``)
            with explicit model control, or an ``EmbeddedServer``. None starts an
            embedded one on ``model_repository``.
        model_repository: Folder of models, for the embedded server.
        gpu: The GPU to measure on: index, ``"GPU:MIG"`` indices, UUID, or ``"host"``.
            For a server on another host, the name of its GPU type.
        tls: Certificates, for ``https`` and ``grpcs``.
        python: Python that models run in, for the embedded server.
        root: A server tree unpacked by other means, for the embedded server.
        environment: Variables for the embedded server.
        load_timeout_s: How long a model may take to load.
    """

    url: EmbeddedServer | str | None = None
    model_repository: AnyPath | None = None
    gpu: int | str | None = None
    tls: TlsOptions | None = None
    python: AnyPath | None = None
    root: AnyPath | None = None
    environment: Mapping[str, str] | None = None
    load_timeout_s: float = LOAD_TIMEOUT_S

    @classmethod
    def of(
        cls,
        server: ServerOptions | EmbeddedServer | str | None,
        *,
        model_repository: AnyPath | None = None,
        gpu: int | str | None = None,
    ) -> ServerOptions:
        """Return the options that a call names, in full or by their short forms.

        Raises:
            InvalidInputError: If ``server`` is none of its kinds, or the repository or
                the GPU is given in two places.
        """
        kinds = (cls, EmbeddedServer, str, type(None))
        require_kind("server", server, kinds, "a URL, or a gpupack.ServerOptions")
        found = server if isinstance(server, cls) else cls(url=server)  # type: ignore[arg-type]
        for name, inside, beside in (
            ("model_repository", found.model_repository, model_repository),
            ("gpu", found.gpu, gpu),
        ):
            if inside is not None and beside is not None:
                raise InvalidInputError(
                    f"{name} is given both in server= and beside it; give it once"
                )
        return replace(
            found,
            model_repository=found.model_repository
            if model_repository is None
            else model_repository,
            gpu=found.gpu if gpu is None else gpu,
        )

    @property
    def name(self) -> str:
        """What the server is known by: its URL, or the folder of its models."""
        if isinstance(self.url, EmbeddedServer):
            return str(self.url.model_repository)
        if self.url is not None or self.model_repository is None:
            return str(self.url)
        return str(Path(self.model_repository).resolve())

    def device(self) -> Device:
        """Return the device that will be measured on, before anything is started.

        Raises:
            UnknownNameError: There is no such GPU, or DeviceError: no driver.
        """
        if self.url is None:
            return open_device(self.gpu)
        return ServerSession(self.url, gpu=self.gpu, tls=self.tls).device

    def session(
        self,
        stack: ExitStack,
        *,
        sharing: SharingMode | None,
        install_progress: InstallProgress | None = None,
    ) -> ServerSession:
        """Return a session, not yet entered, on the server.

        Args:
            stack: Ends what runs under a server that is started here.
            sharing: MPS puts a private daemon under such a server.
            install_progress: Told about the installation of the embedded server.

        Raises:
            InvalidInputError: Neither a server nor a repository is given, or MPS is
                asked for where no GPU is used.
            ServerUnavailableError: The server, or MPS, cannot be had here.
        """
        target = self.url or own_server(
            stack,
            self._repository(),
            gpu=self.gpu,
            sharing=sharing,
            python=self.python,
            root=self.root,
            environment=self.environment,
            install_progress=install_progress,
        )
        return ServerSession(target, gpu=self.gpu, tls=self.tls)

    def _repository(self) -> AnyPath:
        if self.model_repository is None:
            raise InvalidInputError(
                "nothing to measure: give the URL of a running Triton (--url), or a "
                "model repository for the embedded server (--model-repository)"
            )
        return self.model_repository
