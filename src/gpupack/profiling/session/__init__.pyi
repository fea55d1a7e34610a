from .server_session import ServerSession
from .started_server import own_server

__all__ = [
    "ServerSession",
    "own_server",
]
