"""Read a model file, load it and try it: its signature as JSON on standard output.

Run by gpupack in the models' Python: ``describe.py NETWORK_MODULE REQUEST_AS_JSON``.
The answer is the last line: what the file is, or ``{"error": …}``.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

TRIED_BATCH_SIZES = (3, 1)
"""What follows both is a batch; three is seldom a number of classes."""


def describe(module: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Return what a model file takes and gives.

    Inputs and outputs have sizes that are numbers, names of axes, or None; ``batched``
    says whether the first axis of all of them is the batch.

    Raises:
        ValueError: It cannot be served; says why.
    """
    path = request["path"]
    facts: dict[str, Any] = module.read(path, request)
    try:
        network = module.Network(
            path,
            kind=request["kind"],
            provider=request["provider"],
            precision="",
            trust_remote_code=request["trust_remote_code"],
        )
    except ValueError:
        raise
    except Exception as err:
        raise ValueError(module.explain(err, facts)) from err
    facts.update(module.signature(network, request))
    inputs = facts["inputs"]
    if not inputs:
        raise ValueError("it takes no input, so there is nothing to send it")
    shapes = facts["shapes"] = completed(inputs, request["shapes"])
    if facts.get("outputs") and not may_be_batched(inputs, facts["outputs"]):
        return {**facts, "batched": False}
    if facts.get("outputs") and is_batched(inputs, facts["outputs"]):
        return {**facts, "batched": True}
    return {**facts, **tried(module, network, facts, shapes)}


def completed(
    inputs: list[dict[str, Any]], given: dict[str, list[int]]
) -> dict[str, list[int]]:
    """Return shapes of the inputs, those too whose axes have the names of given ones.

    The sequence length of ``input_ids`` is that of ``attention_mask``.
    """
    sizes: dict[str, int] = {}
    for one in inputs:
        shape, dims = given.get(one["name"]), one["dims"]
        if (
            shape is None
            or dims is None
            or len(shape) not in (len(dims) - 1, len(dims))
        ):
            continue
        own = dims if len(shape) == len(dims) else dims[1:]
        for axis, size in zip(own, shape):  # noqa: B905
            if isinstance(axis, str):
                sizes.setdefault(axis, size)
    shapes: dict[str, list[int]] = {}
    for one in inputs:
        name, dims = one["name"], one["dims"]
        if name in given:
            shapes[name] = given[name]
        elif dims and any(not isinstance(size, int) for size in dims[1:]):
            found = [
                size if isinstance(size, int) else sizes.get(size) for size in dims
            ]
            if None not in found[1:]:
                shapes[name] = [size for size in found[1:] if size is not None]
    return shapes


def first_axes(tensors: list[dict[str, Any]]) -> list[Any]:
    """Return the first axes, 1 for a number without any."""
    return [one["dims"][0] if one["dims"] else 1 for one in tensors]


def may_be_batched(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> bool:
    """Whether no first axis of an input or output is fixed, and the inputs' are one."""
    axes = first_axes(inputs)
    dynamic = not any(isinstance(one, int) for one in axes + first_axes(outputs))
    return dynamic and len(set(axes)) == 1


def is_batched(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> bool:
    """Whether all first axes have one name."""
    return len({*first_axes(inputs), *first_axes(outputs)} - {None}) == 1 and (
        None not in first_axes(inputs)
    )


def tried(
    module: Any, network: Any, facts: dict[str, Any], shapes: dict[str, list[int]]
) -> dict[str, Any]:
    """Return what running the network shows: outputs, and whether there is a batch.

    A network that says what it gives is not run if a size is missing: gpupack asks for
    it when it makes inputs.
    """
    inputs, outputs = facts["inputs"], facts.get("outputs")
    lacking = [one["name"] for one in inputs if item_dims(one, shapes) is None]
    if lacking:
        if outputs:
            return {"batched": True}
        asked = " and ".join(f"--shape {name}:SIZES" for name in lacking)
        raise ValueError(
            f"it does not say the sizes of its input {', '.join(lacking)}: give them, "
            f"without the batch, with {asked}, such as --shape {lacking[0]}:3,224,224"
        )
    seen: dict[int, dict[str, tuple[str, list[int]]]] = {}
    error: Exception | None = None
    for kinds in datatypes_to_try(inputs):
        for batch_size in TRIED_BATCH_SIZES:
            given = {}
            for one in inputs:
                dims = [batch_size, *(item_dims(one, shapes) or [])]
                kind = kinds.get(one["name"], one["datatype"])
                given[one["name"]] = module.sample(kind, dims)
            try:
                found = network.run(given)
            except Exception as err:
                error = err
                continue
            seen[batch_size] = {
                name: module.summary(value) for name, value in found.items()
            }
        if seen:
            for one in inputs:
                one["datatype"] = kinds.get(one["name"], one["datatype"])
            break
    if not seen:
        tried_dims = {one["name"]: item_dims(one, shapes) for one in inputs}
        raise ValueError(
            f"it does not run on zeros of the shapes {tried_dims}, one or three at "
            f"a time: {module.first_line(error)}; do the shapes fit (--shape)?"
        )
    batched = len(seen) == len(TRIED_BATCH_SIZES) and all(
        shape[:1] == [batch_size]
        for batch_size, results in seen.items()
        for _, shape in results.values()
    )
    told: dict[str, Any] = {"batched": batched}
    if outputs is None:
        results = seen[min(seen)]
        told["outputs"] = [
            {
                "name": name,
                "datatype": kind,
                "dims": [None] * len(shape) if batched or 3 in seen else list(shape),
            }
            for name, (kind, shape) in results.items()
        ]
    if not batched and 3 not in seen:
        # Traced with one input, say: every size is that of the trial.
        told["inputs"] = [
            {**one, "dims": [1, *(item_dims(one, shapes) or [])]} for one in inputs
        ]
    return told


def item_dims(tensor: dict[str, Any], shapes: dict[str, list[int]]) -> list[int] | None:
    """Return the sizes of one item, given or known; None where one is missing."""
    own = tensor["dims"]
    given = shapes.get(tensor["name"])
    if given is not None:
        return given[1:] if own is not None and len(given) == len(own) else given
    if own is None or any(not isinstance(size, int) for size in own[1:]):
        return None
    return list(own[1:])


def datatypes_to_try(inputs: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Return types for inputs whose file does not say them, the likeliest first."""
    unknown = [one["name"] for one in inputs if one.get("is_guessed")]
    others = [dict.fromkeys(unknown, kind) for kind in ("FP32", "INT64", "INT32")]
    return [{}, *(others if unknown else [])]


def main() -> None:
    """Answer on the standard output that was there at the start."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    sys.path.insert(0, str(Path(__file__).parent))
    module_name, request = sys.argv[1], json.loads(sys.argv[2])
    told: dict[str, Any]
    try:
        told = describe(importlib.import_module(module_name), request)
    except ModuleNotFoundError as err:
        told = {"lacks": err.name}
    except ValueError as err:
        told = {"error": str(err)}
    print(json.dumps(told), file=answer, flush=True)


if __name__ == "__main__":
    main()
