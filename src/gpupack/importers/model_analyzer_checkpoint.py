"""Model Analyzer's checkpoints: every digit, latency and called model of a search.

The tables round to one decimal and name the p99 latency alone by default; the
checkpoint (``checkpoints/0.ckpt``, JSON) has the averages and other percentiles, the
server's times, and of BLS and ensemble models which variants they called.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from gpupack.errors import ProfileDataError
from gpupack.importers.model_analyzer.model_analyzer_rows import (
    MODEL_ANALYZER,
    MeasuredRow,
    TableKind,
    TableRows,
    TogetherRow,
)
from gpupack.importers.model_analyzer.model_analyzer_tables import join
from gpupack.importers.perf_analyzer.perf_analyzer_json import (
    MALFORMED,
    describe_malformed,
)
from gpupack.importers.tables.loads import Load
from gpupack.importers.tables.reading import Reading
from gpupack.importers.tables.titles.columns import understand
from gpupack.importers.tables.units import Kind, worth
from gpupack.records.gpu import GpuType

_RESULTS = "ResultManager.results"
_SERVER = "ResultManager.server_only_data"
_MOST = 2.0**62
_UNIT_OF = {
    Kind.MEMORY: MODEL_ANALYZER.memory_unit or "",
    Kind.TIME: MODEL_ANALYZER.time_unit or "",
    Kind.SHARE: MODEL_ANALYZER.share_unit or "",
    Kind.RATE: "infer/sec",
    Kind.POWER: "w",
    Kind.ENERGY: "j",
}
Configuration = tuple[list[str], dict[str, str]]
"""The variants that a model calls, and what is said of its own."""


def is_checkpoint(content: Mapping[str, object]) -> bool:
    """Say whether a JSON object is a checkpoint of Model Analyzer."""
    return _RESULTS in content


def is_checkpoint_text(text: str) -> bool:
    """Say whether a text that is no JSON may be the beginning of a checkpoint."""
    return '"ResultManager.' in text or '"ModelManager.' in text[:1000]


def parse_checkpoint(
    content: dict[str, object], where: str, *, gpu_type: GpuType | None = None
) -> Reading:
    """Return the profiles in a checkpoint.

    Rows are not judged by constraints: a checkpoint has none.

    Args:
        content: The checkpoint, which is empty afterwards.
        where: Name of its file for messages.
        gpu_type: What was measured on.

    Raises:
        ProfileDataError: If something else than was expected stands in it, or all that
            was measured was measured of several models at the same time.
    """
    try:
        server = [
            MeasuredRow(f"{where}, server", "", gpu_uuid=uuid, values=_values(metrics))
            for uuid, metrics in _mapping(content.get(_SERVER, {})).items()
        ]
        inference: list[MeasuredRow] = []
        gpus: list[MeasuredRow] = []
        together: list[TogetherRow] = []
        for model, configuration, measurement in _measurements(content):
            _add(where, model, configuration, measurement, inference, gpus, together)
    except MALFORMED as err:
        raise ProfileDataError(
            f"{where}: not a checkpoint of Model Analyzer as its releases write it: "
            f"{describe_malformed(err)}; give its tables (metrics-*.csv)"
        ) from err
    content.clear()  # as large as all that comes of it
    if not inference and not together:
        raise ProfileDataError(
            f"{where}: a checkpoint of Model Analyzer without a measurement: "
            "the search was stopped before its first; run it again"
        )
    tables = [
        TableRows(
            where,
            TableKind.INFERENCE,
            (),
            tuple(inference),
            tuple(together),
            num_rows=len(inference) + len(together),
        ),
        TableRows(where, TableKind.GPU, (), tuple(gpus), num_rows=len(gpus)),
        TableRows(where, TableKind.SERVER, (), tuple(server), num_rows=len(server)),
    ]
    return join([one for one in tables if one.num_rows], gpu_type=gpu_type)


def _measurements(
    content: Mapping[str, object],
) -> Iterator[tuple[str, Configuration, Mapping[str, object]]]:
    """Yield model name, configuration and measurement of every run."""
    results = _mapping(_mapping(content[_RESULTS])["_results"])
    for model, of_variants in results.items():
        for run_and_measured in _mapping(of_variants).values():
            run, measured = _sequence(run_and_measured)[:2]
            configuration = _configuration(_mapping(run))
            for measurement in _mapping(measured).values():
                yield model, configuration, _mapping(measurement)


def _add(
    where: str,
    model: str,
    configuration: Configuration,
    measurement: Mapping[str, object],
    inference: list[MeasuredRow],
    gpus: list[MeasuredRow],
    together: list[TogetherRow],
) -> None:
    of_models = [
        _mapping(one) for one in _sequence(measurement["_model_config_measurements"])
    ]
    loads = [_load(_mapping(one["_model_specific_pa_params"])) for one in of_models]
    names = [str(one["_model_config_name"]) for one in of_models]
    of_gpus = _mapping(measurement.get("_gpu_data", {}))
    place = f"{where}, {names[0]}"
    if len(of_models) > 1:
        values = [_values(one["_non_gpu_data"]) for one in of_models]
        rates = [one.get("throughput_infer_per_sec") for one in values]
        known = tuple(rate for rate in rates if rate is not None)
        together.append(
            TogetherRow(
                where=place,
                models=tuple(one.strip() for one in model.split(",")),
                variants=tuple(names),
                loads=tuple(loads),
                throughputs=known if len(known) == len(names) else (),
            )
        )
        return
    called, attributes = configuration
    variant = f"{names[0]}: {', '.join(called)}" if called else names[0]
    solo = _values(of_models[0]["_non_gpu_data"])
    inference.append(MeasuredRow(place, model, variant, loads[0], "", solo, attributes))
    for uuid, metrics in of_gpus.items():
        of_gpu = _values(metrics)
        gpus.append(
            MeasuredRow(place, model, variant, loads[0], uuid, of_gpu, attributes)
        )


def _load(parameters: Mapping[str, object]) -> Load:
    told = [parameters.get(name) for name in _DRIVEN]
    if any(isinstance(one, list | dict) for one in told):
        raise TypeError("number")
    return _load_of(*told)


_DRIVEN = ("batch-size", "request-rate-range", "concurrency-range")


@lru_cache(maxsize=10_000, typed=True)
def _load_of(*told: object) -> Load:
    """Return how a model was driven; the same for all that were driven so."""
    size, rate, concurrency = map(_number, told)
    if rate is not None:
        return _whole(size or 1, "batch-size"), None, rate
    if concurrency is None:
        raise KeyError("concurrency-range")
    return (
        _whole(size or 1, "batch-size"),
        _whole(concurrency, "concurrency-range"),
        None,
    )


def _whole(number: float, name: str) -> int:
    if not number.is_integer():
        raise ValueError(name)
    return int(number)


def _number(value: object) -> float | None:
    if isinstance(value, str):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def _values(metrics: object) -> dict[str, float]:
    """Return a record's readings of pairs of a metric's tag and its value."""
    values = {}
    for pair in _sequence(metrics):
        tag, content = _sequence(pair)[:2]
        value = _mapping(content)["_value"]
        field, factor = _field_of(tag if type(tag) is str else str(tag))
        if field is None:
            continue
        if type(value) is not float and type(value) is not int:
            raise TypeError(field)
        number = value * factor
        if not 0 <= number < _MOST:
            raise ValueError(field)
        values[field] = number
    return values


@lru_cache(maxsize=1000)
def _field_of(tag: str) -> tuple[str | None, float]:
    """Return the record's field of a metric, and what its unit is worth."""
    use = understand(tag, MODEL_ANALYZER)
    if use.field is None or use.kind is None:
        return None, 1.0
    unit = use.unit or _UNIT_OF[use.kind]
    factor = worth(use.kind, unit, is_decimal=MODEL_ANALYZER.is_decimal)
    return use.field, factor or 1.0


def _configuration(run: Mapping[str, object]) -> Configuration:
    """Return the variants that a model calls, and what is said of its own."""
    run_configs = run.get("_model_run_configs") or [{}]
    top = _mapping(_sequence(run_configs)[0])
    called = [
        config
        for config in (
            _model_config(one)
            for key in ("_composing_configs", "_composing_config_variants")
            for one in _sequence(run.get(key) or top.get(key) or [])
        )
        if config
    ]
    own = _model_config(top.get("_model_config") or {})
    configs = called or [own]
    attributes = {
        "instance_group": ",".join(_instance_group(one) for one in configs),
        "max_batch_size": ",".join(
            str(one.get("maxBatchSize", one.get("max_batch_size", "")))
            for one in configs
        ),
    }
    if not called and own:
        batching = own.get("dynamicBatching", own.get("dynamic_batching"))
        attributes["dynamic_batching"] = "Disabled" if batching is None else "Enabled"
    kept = {name: text for name, text in attributes.items() if text.strip(",")}
    return [str(one.get("name", "?")) for one in called], kept


def _model_config(value: object) -> Mapping[str, object]:
    config = _mapping(value)
    inner = config.get("_model_config")
    return _mapping(inner) if inner is not None else config


def _instance_group(config: Mapping[str, object]) -> str:
    groups = config.get("instanceGroup", config.get("instance_group")) or []
    texts = []
    for one in _sequence(groups):
        group = _mapping(one)
        kind = str(group.get("kind", "KIND_AUTO")).removeprefix("KIND_")
        texts.append(f"{group.get('count', 1)}:{kind}")
    return "/".join(texts)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("object")
    return value


def _sequence(value: object) -> Sequence[object]:
    if not isinstance(value, list):
        raise TypeError("list")
    return value
