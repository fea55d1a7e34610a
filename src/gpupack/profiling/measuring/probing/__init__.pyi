from .kernel_probe import KernelProbe
from .readings import probe_beside, turns_beside

__all__ = ["KernelProbe", "probe_beside", "turns_beside"]
