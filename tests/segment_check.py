#!/usr/bin/env python3
"""Opens a segment of the archive with pandas, as it is, and compares it with what the coordinator says that it holds.

    segment_check.py SEGMENT.parquet EXPECTED.json
"""

import environment

environment.enter()

import json
import sys

import pandas as pd


def main(segment, expected):
    table = pd.read_parquet(segment, dtype_backend="pyarrow")
    types = {name: str(table[name].dtype) for name in ("point", "step", "train_loss")}
    assert types == {"point": "uint64[pyarrow]", "step": "uint64[pyarrow]", "train_loss": "double[pyarrow]"}, types
    rows = table[["point", "step", "train_loss", "jacobian_rank", "estimates"]].to_dict("records")
    found = [{name: None if value is pd.NA else value for name, value in row.items()} for row in rows]
    for row in found:
        kept = ("sampler", "llc", "health", "settings")
        row["estimates"] = [{name: estimate[name] for name in kept} for estimate in row["estimates"]]
        for estimate in row["estimates"]:
            estimate["settings"] = estimate["settings"] and {
                name: estimate["settings"][name] for name in ("method", "nbeta", "batch_size", "step_size")
            }
    with open(expected) as file:
        wanted = json.load(file)
    assert found == wanted, f"{found}\n{wanted}"
    # A column of estimates is one flat table, one line away.
    flat = table.explode("estimates")["estimates"].dropna()
    assert len(pd.json_normalize(flat.tolist())) == sum(len(row["estimates"]) for row in wanted)


main(*sys.argv[1:])
