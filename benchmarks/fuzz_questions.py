"""Ask random questions for a while, and judge every answer by exhaustive search.

    python benchmarks/fuzz_questions.py --seconds 600 --seed 1

Prints one line of JSON: cases, and how many were wrong, crashed, late or weak, by kind.
Each failing question is written as ``NAME.json`` and ``NAME.jsonl``, and asked again by
``--again NAME.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.questions.draw import HOST_CHANCE, draw
from tests.questions.judge import Fault, Finding, expect, judge
from tests.questions.question import Question


def main() -> int:
    """Run the fuzzer; return 1 if anything was wrong, crashed or late."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--cases", type=int, default=None, help="at most so many")
    parser.add_argument(
        "--host-chance",
        type=float,
        default=HOST_CHANCE,
        help="share of the questions in which GPUs' hosts bind, too",
    )
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--again", type=Path, help="ask this written question again")
    parser.add_argument("--verbose", action="store_true", help="tell every finding")
    arguments = parser.parse_args()
    if arguments.again is not None:
        question = Question.read(arguments.again)
        found = judge(question, expect(question))
        for one in found:
            print(f"{one.fault}: {one.kind}: {one.text}")
        return int(any(one.fault is not Fault.WEAK for one in found))
    started = time.monotonic()
    counts: Counter[Fault] = Counter()
    kinds: dict[str, list[int]] = {}
    cases = 0
    while time.monotonic() - started < arguments.seconds and cases != arguments.cases:
        seed = arguments.seed + cases
        question, expected = draw(seed, host_chance=arguments.host_chance)
        found = judge(question, expected)
        cases += 1
        # One count a case: of its gravest fault.
        for fault in Fault:
            if any(one.fault is fault for one in found):
                counts[fault] += 1
                break
        for one in found:
            kinds.setdefault(_kind(question, one), []).append(seed)
            if arguments.verbose:
                print(
                    f"{seed} {question.drawn_as}: {one.fault}: {one.kind}: {one.text}"
                )
        if any(one.fault is not Fault.WEAK for one in found):
            question.write(
                arguments.failures,
                f"seed-{seed}",
                findings=[f"{one.fault}: {one.kind}: {one.text}" for one in found],
            )
    summary = {
        "cases": cases,
        **{fault.value: counts[fault] for fault in Fault},
        "seconds": round(time.monotonic() - started, 1),
        "first_seed": arguments.seed,
        "kinds": {
            kind: {"cases": len(set(seeds)), "seeds": sorted(set(seeds))[:5]}
            for kind, seeds in sorted(kinds.items())
        },
    }
    print(json.dumps(summary))
    return int(any(counts[fault] for fault in Fault if fault is not Fault.WEAK))


def _kind(question: Question, one: Finding) -> str:
    return f"{one.fault}: {one.kind} ({question.drawn_as})"


if __name__ == "__main__":
    sys.exit(main())
