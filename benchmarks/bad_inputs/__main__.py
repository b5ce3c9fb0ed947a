"""Make every mistake that docs/check.md lists, and print what `atrous check` says of it.

python -m benchmarks.bad_inputs [PART-OF-A-NAME ...]

The exit code is 1 if a line is not the one that the page promises,
or if the page lists a mistake that is not made here.
Needs every reader of files and what writes them: pip install -e '.[formats,dev]'.
"""

import json
import sys

from benchmarks.bad_inputs.mistake import Outcome, outcome_of, promised, row_of
from benchmarks.bad_inputs.table import MISTAKES


def main(wanted: list[str]) -> int:
    """Print all lines, then a table as JSON; return the exit code."""
    rows = promised()
    left = set(rows) - {row_of(mistake, list(rows)) for mistake in MISTAKES}
    chosen = [mistake for mistake in MISTAKES if not wanted or any(part in mistake.row for part in wanted)]
    outcomes = []
    for mistake in chosen:
        outcomes.append(outcome_of(mistake))
        print(outcomes[-1].text(), flush=True)
    for row in sorted(left):
        print(f"BAD docs/check.md lists a mistake that is not made here: {row}")
    right = sum(outcome.ok for outcome in outcomes)
    print(f"{right} of {len(outcomes)} mistakes get the line that docs/check.md promises")
    print(json.dumps([_row(outcome) for outcome in outcomes]))
    return int(right < len(outcomes) or bool(left))


def _row(outcome: Outcome) -> dict[str, object]:
    return {
        "mistake": outcome.mistake.row,
        "expected": list(outcome.mistake.says),
        "level": outcome.mistake.level,
        "line": None if outcome.expected is None else outcome.expected.line,
        "others": [f"{one.level}: {one.line}" for one in outcome.others],
        "ok": outcome.ok,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
