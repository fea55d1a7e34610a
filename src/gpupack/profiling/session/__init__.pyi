from .restart_watch import RestartWatch
from .server_options import ServerOptions
from .server_session import ServerSession, takes_turns
from .started_server import own_server

__all__ = [
    "RestartWatch",
    "ServerOptions",
    "ServerSession",
    "own_server",
    "takes_turns",
]
