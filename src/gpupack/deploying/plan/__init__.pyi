from .comparing import differences
from .configuration import (
    MARK,
    configuration_of_server,
    configuration_text,
    is_own,
    parse_configuration,
)
from .host_needs import HostNeeds
from .model_folders import CONFIGURATION, CONFIGURATIONS
from .naming import dns_names, short_hash
from .planned_server import DeploymentPlan, PlannedGpu, PlannedServer
from .planning_servers import plan_servers
from .served_model import ServedModel

__all__ = [
    "CONFIGURATION",
    "CONFIGURATIONS",
    "MARK",
    "DeploymentPlan",
    "HostNeeds",
    "PlannedGpu",
    "PlannedServer",
    "ServedModel",
    "configuration_of_server",
    "configuration_text",
    "differences",
    "dns_names",
    "is_own",
    "parse_configuration",
    "plan_servers",
    "short_hash",
]
