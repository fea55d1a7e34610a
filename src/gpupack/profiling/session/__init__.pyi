from .restart_watch import RestartWatch
from .server_options import ServerOptions
from .server_session import ServerSession
from .started_server import own_server

__all__ = [
    "RestartWatch",
    "ServerOptions",
    "ServerSession",
    "own_server",
]
