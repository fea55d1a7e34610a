"""Models for a real Triton whose noise is known, because it is written into them.

Sleepers with jitter, models that burn CPU, models that drift, models that are slower
at some loads by a stated factor, and models that wait for each other though no device
shows it: each a Python model without a network, for the host device.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_CODE = """\
import fcntl, math, os, random, time
from pathlib import Path
import triton_python_backend_utils as pb_utils

FACTORS, JITTER, DRIFT = {factors}, {jitter}, {drift}
SLEEP_S, BURN_S, LOCKED_S, LOCK = {sleep_s}, {burn_s}, {locked_s}, {lock!r}

class TritonPythonModel:
    def initialize(self, args):
        # So many loads there were before this one.
        counter = Path(args["model_repository"]) / "loads"
        number = int(counter.read_text()) if counter.exists() else 0
        counter.write_text(str(number + 1))
        with open(counter.with_name("servers"), "a") as servers:
            servers.write(f"{{os.getppid()}}\\n")
        self.factor = FACTORS[number % len(FACTORS)]
        self.lock = open(LOCK, "a") if LOCK else None

    def execute(self, requests):
        responses = []
        for request in requests:
            factor = self.factor * (1 + DRIFT * math.sin(time.time() / 1.3))
            if JITTER:
                factor *= random.lognormvariate(-JITTER**2 / 2, JITTER)
            end = time.thread_time() + BURN_S * factor
            while time.thread_time() < end: pass
            time.sleep(SLEEP_S * factor)
            if LOCK:
                fcntl.flock(self.lock, fcntl.LOCK_EX)
                time.sleep(LOCKED_S)
                fcntl.flock(self.lock, fcntl.LOCK_UN)
            x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("Y", x)]))
        return responses
"""
_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 8
input [{{ name: "X" data_type: TYPE_FP32 dims: [ 16 ] }}]
output [{{ name: "Y" data_type: TYPE_FP32 dims: [ 16 ] }}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
"""


@dataclass(frozen=True)
class NoisyModel:
    """How one model spends its time, and what varies.

    Attributes:
        name: Of its folder.
        sleep_s: Sleeps so long for each request.
        burn_s: Burns so much CPU time for each.
        jitter: Standard deviation of the logarithm of a request's times.
        drift: Amplitude of a wave of eight seconds in them.
        load_factors: By which they are longer, load after load, over and over.
        locked_s: Holds ``lock`` so long for each request, alone of all that share it.
        lock: A file; None for no lock.
    """

    name: str
    sleep_s: float = 0.02
    burn_s: float = 0.0
    jitter: float = 0.0
    drift: float = 0.0
    load_factors: tuple[float, ...] = (1.0,)
    locked_s: float = 0.0
    lock: Path | None = None

    def write(self, repository: Path) -> None:
        """Write the model into a repository."""
        folder = repository / self.name
        (folder / "1").mkdir(parents=True)
        (folder / "config.pbtxt").write_text(_CONFIG.format(name=self.name))
        (folder / "1" / "model.py").write_text(
            _CODE.format(
                factors=self.load_factors,
                jitter=self.jitter,
                drift=self.drift,
                sleep_s=self.sleep_s,
                burn_s=self.burn_s,
                locked_s=self.locked_s,
                lock="" if self.lock is None else str(self.lock),
            )
        )


def forget_loads(repository: Path) -> None:
    """Let every model's next load be its first."""
    for counter in (*repository.glob("*/loads"), *repository.glob("*/servers")):
        counter.unlink()
