from .kernel_probe import KernelProbe
from .readings import readings_beside

__all__ = ["KernelProbe", "readings_beside"]
