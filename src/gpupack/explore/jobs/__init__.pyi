from .asking import AskJob, Pinned
from .reading import LoadedSource, ReadJob, load_source
from .trade_off_map import FrontierJob
from .writing import WriteJob

__all__ = [
    "AskJob",
    "FrontierJob",
    "LoadedSource",
    "Pinned",
    "ReadJob",
    "WriteJob",
    "load_source",
]
