#!/usr/bin/env python3
"""Holds runs of sweeps/known-answers/ against the exact values that stand beside their estimates.

    known_answers.py FOLDER…

Each FOLDER is the output folder of one of those runs. An estimate is judged by the sharpest value that its table has:

- `llc_finite`, what this very sampler finds on this network: by its own standard errors (`llc_z`);
- `llc_gauss_newton`, the same of the quadratic approximation at w*: by its standard errors, where `health` is ok;
- `llc_exact`, the limit of low temperature: by 3 % of it.

Chains that say themselves that they have not mixed are not judged; they are half of a table at most.

Of some eighty estimates one in six sets has one beyond 3 standard errors by chance, and one in two hundred one beyond 4. So
those beyond 3 are shown, and one beyond 4 is a failure.
"""

import csv
import pathlib
import sys

SHOWN = 3.0
TOLERATED = 4.0
LIMIT = 0.03


def number(row, column):
    """A number of the last record, or None where the table has none."""
    text = row.get("final_" + column, "")
    return float(text) if text else None


def judge(row):
    """How far an estimate is from what it is judged by, in units of what is tolerated; None if it is not judged."""
    llc, se, z = number(row, "llc"), number(row, "llc_se"), number(row, "llc_z")
    finite, gauss_newton, exact = number(row, "llc_finite"), number(row, "llc_gauss_newton"), number(row, "llc_exact")
    if llc is None or not se:
        return float("inf"), f"there is no estimate: {row['state']}, {row['error'] or row['final_health_reason']}"
    if row["final_health"] == "not_mixed":
        return None, ""
    if finite is not None:
        return abs(z) / TOLERATED, f"{llc:.5g} ± {se:.2g} is {z:+.2f} standard errors from llc_finite {finite:.5g}"
    if gauss_newton is not None:
        if row["final_health"] != "ok":
            return None, ""
        z = (llc - gauss_newton) / se
        return abs(z) / TOLERATED, f"{llc:.5g} ± {se:.2g} is {z:+.2f} standard errors from llc_gauss_newton {gauss_newton:.5g}"
    if exact is not None:
        difference = llc / exact - 1
        return abs(difference) / LIMIT, f"{llc:.5g} ± {se:.2g} is {difference:+.1%} from llc_exact {exact:.5g}"
    return None, ""


def main(folders):
    failures = 0
    for folder in folders:
        with open(folder / "tasks.csv", newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        judged = [(f"{row['task']}, row {number},", *judge(row)) for number, row in enumerate(rows)]
        judged = [(task, how_far, text) for task, how_far, text in judged if how_far is not None]
        if 2 * len(judged) <= len(rows):
            sys.exit(f"{folder}: only {len(judged)} of {len(rows)} estimates can be judged")
        print(f"{folder.name}: {len(judged)} of {len(rows)} estimates are judged; the farthest: {max(judged, key=lambda of: of[1])[2]}")
        for task, how_far, text in judged:
            if how_far > 1:
                failures += 1
                print(f"  task {task} FAILS: {text}")
            elif how_far > SHOWN / TOLERATED and "standard errors" in text:
                print(f"  task {task} is far: {text}")
    if failures:
        sys.exit(f"{failures} estimates leave their known answers")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main([pathlib.Path(folder) for folder in sys.argv[1:]])
