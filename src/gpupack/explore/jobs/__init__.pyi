from .asking import AskJob, Pinned, plain_json
from .reading import Knowledge, LoadedSource, ReadJob, load_source
from .trade_off_map import FrontierJob
from .writing import WriteJob

__all__ = [
    "AskJob",
    "FrontierJob",
    "Knowledge",
    "LoadedSource",
    "Pinned",
    "ReadJob",
    "WriteJob",
    "load_source",
    "plain_json",
]
