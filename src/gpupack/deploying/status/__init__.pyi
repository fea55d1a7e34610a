from .checking import check_status
from .cluster_status import PART_OF
from .difference import Difference, DifferenceKind, Status

__all__ = ["PART_OF", "Difference", "DifferenceKind", "Status", "check_status"]
