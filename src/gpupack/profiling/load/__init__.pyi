from .driven_model import (
    DrivenModel,
    ModelLoad,
    stop_together,
)
from .input_options import InputOptions
from .load_process import (
    CLIENT_NAME,
    LIMITED_SHARE,
    LoadProcess,
    wait_any,
)
from .tensors import make_request_inputs

__all__ = [
    "CLIENT_NAME",
    "LIMITED_SHARE",
    "DrivenModel",
    "InputOptions",
    "LoadProcess",
    "ModelLoad",
    "make_request_inputs",
    "stop_together",
    "wait_any",
]
