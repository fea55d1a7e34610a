from .deployed import deployed_servers
from .overlay import OVERLAY, add_configurations
from .program import Layout, start_script
from .routers import router_files

__all__ = [
    "OVERLAY",
    "Layout",
    "add_configurations",
    "deployed_servers",
    "router_files",
    "start_script",
]
