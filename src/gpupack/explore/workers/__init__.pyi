from .messages import Bench, Event, Job
from .pool import WorkerPool

__all__ = ["Bench", "Event", "Job", "WorkerPool"]
