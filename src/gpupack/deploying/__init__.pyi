from .deployment import Deployment, deploy
from .options import KUBERNETES_VERSIONS, DeployOptions
from .status import Difference, DifferenceKind, Status, check_status
from .targets import TARGETS

__all__ = [
    "KUBERNETES_VERSIONS",
    "TARGETS",
    "DeployOptions",
    "Deployment",
    "Difference",
    "DifferenceKind",
    "Status",
    "check_status",
    "deploy",
]
