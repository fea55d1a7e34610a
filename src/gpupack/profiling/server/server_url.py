"""Where a Triton server answers, by which protocol, and how it is trusted."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import psutil

from gpupack.errors import InvalidInputError, StoreError
from gpupack.files import AnyPath, as_path, read_bytes
from gpupack.quoting import quoted

_DEFAULT_PORTS = {"http": 8000, "https": 8000, "grpc": 8001, "grpcs": 8001}


@dataclass(frozen=True)
class TlsOptions:
    """How a TLS connection is checked; files in PEM form.

    Raises:
        InvalidInputError: A path is none.

    Attributes:
        ca_path: Certificates to trust instead of the system's.
        certificate_path: The client's own certificate, if the server asks for one.
        key_path: The key of that certificate.
        verify: Off: trust any certificate (HTTP only; for tests).
    """

    ca_path: AnyPath | None = None
    certificate_path: AnyPath | None = None
    key_path: AnyPath | None = None
    verify: bool = True

    def __post_init__(self) -> None:
        for name in ("ca_path", "certificate_path", "key_path"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, as_path(path))

    @property
    def are_given(self) -> bool:
        """Whether any of them is set."""
        return self != TlsOptions()

    def check_fits(self, url: ServerUrl) -> None:
        """Refuse options that a connection to ``url`` would not heed, and bad files.

        Raises:
            InvalidInputError: The URL has no TLS, gRPC cannot do what was asked for, or
                a file cannot be used.
        """
        if not url.is_tls:
            if self.are_given:
                raise InvalidInputError(
                    "the TLS options (--tls-ca, --tls-cert, --tls-key, --tls-insecure) "
                    f"say how https:// and grpcs:// are checked, but the URL is {url}: "
                    "leave them out, or change the URL"
                )
            return
        if url.is_grpc and not self.verify:
            raise InvalidInputError(
                f"--tls-insecure is for https:// only, but the URL is {url}: gRPC "
                "checks every certificate; give the one that vouches for the server "
                "with --tls-ca FILE"
            )
        if self.key_path is not None and self.certificate_path is None:
            raise InvalidInputError(
                f"--tls-key {self.key_path} is the key of a certificate that is not "
                "given: name it with --tls-cert"
            )
        self.context()

    def read(self, path: AnyPath | None) -> bytes | None:
        """Return the content of one of the files, None where none is given.

        Raises:
            InvalidInputError: If it cannot be read.
        """
        if path is None:
            return None
        try:
            return read_bytes(path)
        except StoreError as err:
            raise InvalidInputError(str(err)) from err

    def context(self) -> ssl.SSLContext:
        """Return what Python's ``ssl`` makes of the options.

        Raises:
            InvalidInputError: If a file cannot be read or is no certificate.
        """
        for path in (self.ca_path, self.certificate_path, self.key_path):
            self.read(path)
        try:
            context = ssl.create_default_context(
                cafile=str(self.ca_path) if self.ca_path else None
            )
            if self.certificate_path is not None:
                context.load_cert_chain(self.certificate_path, self.key_path)
        except (ssl.SSLError, OSError) as err:
            raise InvalidInputError(f"the TLS files cannot be used: {err}") from err
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class ServerUrl:
    """A parsed server URL: ``http``, ``https``, ``grpc`` or ``grpcs``."""

    scheme: str
    host: str
    port: int
    path: str = ""
    """A prefix that a proxy puts before Triton's own paths; HTTP only."""

    @classmethod
    def parse(cls, text: str) -> ServerUrl:
        """Return the parts of ``scheme://host[:port][/prefix]``.

        Raises:
            InvalidInputError: If it is no such URL.
        """
        schemes = ", ".join(f"{name}://" for name in _DEFAULT_PORTS)
        try:
            parts = urlsplit(text.strip())
            given_port = parts.port
        except ValueError as err:
            raise InvalidInputError(f"{quoted(text)} is no server URL: {err}") from err
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise InvalidInputError(
                f"{quoted(text)} is no server URL; give one of {schemes} with a host "
                "and port, such as grpc://localhost:8001"
            )
        if given_port == 0:
            raise InvalidInputError(
                f"{quoted(text)} is no server URL: no server listens on port 0"
            )
        if parts.username is not None or parts.query or parts.fragment:
            place = f"{parts.scheme}://{parts.hostname}"
            raise InvalidInputError(
                f"what was given for {parts.hostname} is no server URL: it has a "
                "user, a query or a fragment, which gpupack would not send; give "
                f"{place}, with nothing but port and prefix"
            )
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=given_port or _DEFAULT_PORTS[parts.scheme],
            path=parts.path.rstrip("/"),
        )

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}{self.path}"

    @property
    def address(self) -> str:
        """Host and port, as clients take them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_grpc(self) -> bool:
        """Whether the server is spoken to by gRPC."""
        return self.scheme.startswith("grpc")

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("https", "grpcs")

    @property
    def is_this_host(self) -> bool:
        """Whether client and server share a host, whatever name it is given."""
        return _is_this_host(self.host)


@cache
def _is_this_host(host: str) -> bool:
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False  # a name that nobody knows: connecting says so
    own = {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
    }
    resolved = {ipaddress.ip_address(str(one).partition("%")[0]) for one in found}
    # 0.0.0.0 and ::, which servers listen on, reach this host when connected to.
    return any(
        one.is_loopback or one.is_unspecified or str(one) in own for one in resolved
    )
