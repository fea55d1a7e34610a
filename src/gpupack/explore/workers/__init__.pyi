from .messages import Event, Job
from .pool import WorkerPool

__all__ = ["Event", "Job", "WorkerPool"]
