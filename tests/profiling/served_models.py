"""Small models for a real Triton, written into a repository by the tests."""

from __future__ import annotations

from pathlib import Path

_HEAD = """\
import os, time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        self.count = 0
        {initialize}

    def execute(self, requests):
        responses = []
        for request in requests:
            self.count += 1
            {execute}
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", y)]))
        return responses
"""
_READ = 'y = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()'

SLEEP_S = 0.003
NUM_RESPONSES, BETWEEN_S = 3, 0.004
STREAMING = f"""\
import time
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            for _ in range({NUM_RESPONSES}):
                time.sleep({BETWEEN_S})
                sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("Y", x)]))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
STATEFUL_CONFIG = """
sequence_batching {
  direct { }
  control_input [
    { name: "START" control [
      { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
    { name: "END" control [
      { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
    { name: "READY" control [
      { kind: CONTROL_SEQUENCE_READY int32_false_true: [ 0, 1 ] } ] },
    { name: "NUMBER" control [
      { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
  ]
}
"""
SEQUENCE_LENGTH = 5
STATEFUL = """\
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    open = {}

    def execute(self, requests):
        responses = []
        for request in requests:
            starts, ends, ready, number = (
                int(pb_utils.get_input_tensor_by_name(request, name).as_numpy().max())
                for name in ("START", "END", "READY", "NUMBER")
            )
            known = self.open.pop(number, None)
            if ready and bool(starts) == (known is not None):
                raise ValueError(f"sequence {number} is torn")
            if ready and not ends:
                self.open[number] = (known or 0) + 1
            if len(self.open) > 4:
                raise ValueError(f"left open: {sorted(self.open)}")
            time.sleep(0.002)
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            tensor = pb_utils.Tensor("Y", x)
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
"""


def write_model(
    repository: Path,
    name: str,
    *,
    execute: str = "",
    initialize: str = "pass",
    dims: str = "[ 16 ]",
    datatype: str = "TYPE_FP32",
    max_batch_size: int = 8,
    num_instances: int = 1,
    extra: str = "",
    body: str | None = None,
) -> None:
    """Write a Python model that answers with its own input, after ``execute``."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    lines = f"{execute}\n            {_READ}" if execute else _READ
    code = body or _HEAD.format(initialize=initialize, execute=lines)
    (folder / "1" / "model.py").write_text(code)
    (folder / "config.pbtxt").write_text(
        f'name: "{name}"\nbackend: "python"\nmax_batch_size: {max_batch_size}\n'
        f'input [{{ name: "X" data_type: {datatype} dims: {dims} }}]\n'
        f'output [{{ name: "Y" data_type: {datatype} dims: {dims} }}]\n'
        f"instance_group [{{ count: {num_instances} kind: KIND_CPU }}]\n{extra}\n"
    )


def write_finalizing(repository: Path, name: str, *, first: str = "pass") -> Path:
    """Write a model whose ``finalize()`` adds a line to a file; return its path."""
    write_model(repository, name)
    path = repository / name / "1" / "model.py"
    written = repository.parent / f"{name}.final"
    path.write_text(
        f"{path.read_text()}\n    def finalize(self):\n        {first}\n"
        f"        open({str(written)!r}, 'a').write('finished\\n')\n"
    )
    return written


def write_repository(repository: Path) -> Path:
    """Write every model that the tests drive; return the repository."""
    repository.mkdir(parents=True, exist_ok=True)
    write_model(repository, "sleeper", execute=f"time.sleep({SLEEP_S})")
    write_model(repository, "second", execute=f"time.sleep({SLEEP_S})")
    write_model(repository, "laggard", execute="time.sleep(0.6)")
    write_model(repository, "strings", datatype="TYPE_STRING", dims="[ 2 ]")
    write_model(repository, "dynamic", dims="[ -1, 4 ]")
    write_model(repository, "unbatched", max_batch_size=0, dims="[ 4 ]")
    write_model(repository, "large", dims="[ 3, 128, 128 ]")
    write_model(
        repository,
        "crasher",
        execute="""if self.count == 3:
                os._exit(7)""",
    )
    write_model(
        repository, "refuser", initialize='raise RuntimeError("no weights here")'
    )
    write_model(
        repository, "tired", execute="if self.count % 5 == 0: raise ValueError('tired')"
    )
    write_model(repository, "silent", execute="time.sleep(3600)")
    write_model(
        repository,
        "liar",
        body=_HEAD.format(initialize="pass", execute="y = np.zeros((3, 5), 'f')"),
    )
    write_model(repository, "stateful", extra=STATEFUL_CONFIG, body=STATEFUL)
    write_model(
        repository,
        "decoupled",
        extra="model_transaction_policy { decoupled: True }",
        body=STREAMING,
    )
    write_model(
        repository,
        "both",
        extra="sequence_batching { } model_transaction_policy { decoupled: True }",
        body=STREAMING,
    )
    return repository
