from .server_options import ServerOptions
from .server_session import ServerSession
from .started_server import own_server

__all__ = [
    "ServerOptions",
    "ServerSession",
    "own_server",
]
