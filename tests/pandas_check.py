#!/usr/bin/env python3
"""Opens what a run leaves the way a researcher would, and recomputes from the raw records what the tables claim.

    pandas_check.py FOLDER

FOLDER is the output folder of `phasegrid run`. Prints one line a claim that holds; stops at the first that does not.
"""

import environment

environment.enter()

import pathlib
import sys
import tomllib
import xml.etree.ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet
from PIL import Image

# Columns of text; all others are numbers.
TEXT = {"state", "worker", "error", "phase", "health", "health_reason", "final_health", "final_health_reason"}
TEXT |= {"llc.preset", "llc.method", "llc.layer", "llc.initial_loss"}
# CSV carries the shortest digits that give the same double, so that only the order of summation may differ: for a mean
# of a few numbers that is a few units in the last place of a double (2.2e-16).
CLOSE = 1e-12


def main(folder):
    sweep = tomllib.loads((folder / "sweep.toml").read_text())
    tasks = pd.read_csv(folder / "tasks.csv")
    cells = pd.read_csv(folder / "cells.csv")
    records = pd.read_parquet(folder / "records.parquet")
    axes = [axis for axis in sweep["axes"] if axis in tasks.columns]
    samplers = [axis for axis in axes if axis.startswith("llc.")]

    for name, table in [("tasks.csv", tasks), ("cells.csv", cells), ("records.parquet", records)]:
        check_types(name, table)
    check_records(folder / "records.parquet", records, sweep)
    check_rows(tasks, cells, records, sweep, axes, samplers)
    check_curves(tasks, records, samplers)
    check_means(tasks, cells, sweep, samplers)
    check_theory(tasks, cells, records, sweep, samplers)
    check_pictures(folder)


def holds(claim, condition, evidence=""):
    """Prints the claim if it holds, else stops with it."""
    if not condition:
        sys.exit(f"does not hold: {claim}\n{evidence}")
    print(claim)


def check_types(name, table):
    numeric = {column for column in table.columns if pd.api.types.is_numeric_dtype(table[column])}
    # A column without any value has no type in CSV.
    empty = {column for column in table.columns if table[column].isna().all()}
    wrong = {column: str(table[column].dtype) for column in set(table.columns) - TEXT - numeric - empty}
    holds(f"{name}: every quantity is read as a number", not wrong, wrong)
    infinite = [column for column in numeric if np.isinf(table[column].to_numpy(dtype=float, na_value=np.nan)).any()]
    holds(f"{name}: no number is infinite", not infinite, infinite)
    if "task" in table:
        holds(f"{name}: a task's index is an integer", pd.api.types.is_integer_dtype(table["task"]))


def check_records(path, records, sweep):
    table = pyarrow.parquet.read_table(path)
    nan = [
        name
        for name in table.column_names
        if pyarrow.types.is_floating(table[name].type) and pyarrow.compute.is_nan(table[name]).to_pandas().any()
    ]
    holds("records.parquet: what is missing is null, never NaN", not nan, nan)
    order = records.sort_values(["task", "step"], kind="stable").index
    holds("records.parquet: rows stand in order of task and step", (order == records.index).all())
    # The LLC is estimated at its own checkpoints; elsewhere it is missing, and it is never made up.
    due = sweep["task"]["llc"]["checkpoints"]
    estimated = records["llc"].notna()
    holds(
        "records.parquet: an LLC stands exactly where one was due",
        (estimated == records["step"].isin(due)).all(),
        records.loc[estimated != records["step"].isin(due), ["task", "step", "llc", "health"]],
    )
    for column in ["llc_se", "llc_baseline_zero", "llc_baseline_init", "r_hat", "ess"]:
        holds(f"records.parquet: {column} stands beside every LLC", (records[column].notna() == estimated).all())


def check_rows(tasks, cells, records, sweep, axes, samplers):
    values = {axis: tasks[axis].nunique() for axis in axes}
    holds("tasks.csv: one row a task and sampler", len(tasks) == np.prod(list(values.values())), values)
    holds("tasks.csv: no task stands twice", not tasks.duplicated(["task", *samplers]).any())
    holds("records.parquet: no record stands twice", not records.duplicated(["task", "step", *samplers]).any())
    holds("records.parquet: every task has its records", set(records["task"]) == set(tasks["task"]))
    diagram = cell_axes(sweep, samplers)
    holds("cells.csv: one row a cell", len(cells) == len(tasks.groupby(diagram)), diagram)
    holds("cells.csv: its tasks are all tasks", cells["tasks"].sum() == len(tasks))


def check_curves(tasks, records, samplers):
    """Recomputes each task's row from its records."""
    rows = tasks.set_index(["task", *samplers])
    curves = records.groupby(["task", *samplers])
    last = curves.last().reindex(rows.index)  # the last value that is there
    for column in [c for c in rows.columns if c.startswith("final_") and c.removeprefix("final_") in last.columns]:
        same(f"tasks.csv: {column} is the last record's", rows[column], last[column.removeprefix("final_")])
    same("tasks.csv: llc_max is the largest LLC", rows["llc_max"], curves["llc"].max())
    for share in [90, 95, 99]:
        for part in ["train", "val"]:
            reached = records[records[f"{part}_accuracy"] >= share / 100].groupby(["task", *samplers])["step"].min()
            same(f"tasks.csv: t_{part}_{share} is the first step that reached it", rows[f"t_{part}_{share}"], reached)
    gap = (records["train_accuracy"] - records["val_accuracy"]).groupby([records[k] for k in ["task", *samplers]])
    same("tasks.csv: max_gap is the largest gap of the accuracies", rows["max_gap"], gap.max())
    mean_gap = gap.agg(lambda gaps: gaps.abs().mean())
    same("tasks.csv: gsm is the mean gap of tasks that generalise", rows["gsm"], mean_gap.where(last["val_accuracy"] >= 0.95, 0))


def check_means(tasks, cells, sweep, samplers):
    diagram = cell_axes(sweep, samplers)
    groups = tasks.groupby(diagram)
    rows = cells.set_index(diagram)
    quantities = [column.removesuffix("_mean") for column in cells.columns if column.endswith("_mean")]
    holds("cells.csv: there are means", len(quantities) > 5, quantities)
    for quantity in quantities:
        same(f"cells.csv: {quantity}_mean is pandas' mean", rows[f"{quantity}_mean"], groups[quantity].mean())
        same(f"cells.csv: {quantity}_se is pandas' standard error", rows[f"{quantity}_se"], groups[quantity].sem())
    same("cells.csv: tasks is pandas' count", rows["tasks"], groups.size())
    share = groups["phase"].agg(lambda phases: phases.value_counts(normalize=True).max())
    same("cells.csv: phase_agreement is the majority's share", rows["phase_agreement"], share)


def check_theory(tasks, cells, records, sweep, samplers):
    """Recomputes from the sweep file what theory says of quadratic networks, and what is derived from it."""
    diagram = cell_axes(sweep, samplers)
    known = [column for column in tasks.columns if column.startswith("llc_theory_") or column == "llc_exact"]
    for column, formula in (formulas(tasks, sweep) if sweep["task"]["model"]["kind"] == "quadratic" else {}).items():
        same(f"tasks.csv: {column} is the formula's", tasks[column], formula)
    for column in known:
        values = tasks.groupby(diagram)[column]
        agreed = values.first().where(values.nunique(dropna=False) == 1)
        same(f"cells.csv: {column} is that of its tasks, if they agree", cells.set_index(diagram)[column], agreed)
        alone = records.loc[records["health"].isna(), column].isna().all()
        holds(f"records.parquet: {column} stands beside estimates alone", alone)
    if "llc_z" in records:
        expected = records["llc_exact"] if "llc_exact" in records else pd.Series(np.nan, records.index)
        expected = records["llc_finite"].combine_first(expected) if "llc_finite" in records else expected
        same("records.parquet: llc_z is the distance in standard errors", records["llc_z"], (records["llc"] - expected) / records["llc_se"])
    if "jacobian_rank" in records:
        same("records.parquet: llc_linearised is half the rank", records["llc_linearised"], records["jacobian_rank"] / 2)


def formulas(tasks, sweep):
    def value(section, key):
        path = f"{section}.{key}"
        return tasks[path] if path in tasks else pd.Series(sweep["task"][section][key], tasks.index)

    p, k = value("data", "modulus"), value("model", "width")
    n = (value("data", "train_fraction") * p.astype(float) ** 2).astype(int)
    less = (value("train", "loss") == "centred_mse").astype(int)
    return {
        "llc_theory_paper_late_stage": k * (3 * p - 1) / 2,
        "llc_theory_paper_generic": np.minimum(k * (3 * p - 1), p * p * (2 * p + 1)) / 2,
        "llc_theory_paper_lazy_low": p * (2 * p - 1) / 2,
        "llc_theory_paper_lazy_high": p * k / 2,
        "llc_theory_one_hot_population": np.minimum(k * (3 * p - 2), p * (p * p - less)) / 2,
        "llc_theory_one_hot_train_set": np.minimum(k * (3 * p - 2), p * (n - less)) / 2,
        "llc_theory_one_hot_lazy": p * np.minimum(k, n - less) / 2,
    }


def check_pictures(folder):
    with Image.open(folder / "diagram.png") as picture:
        picture.load()
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
        holds("diagram.png: opens and is not blank", picture.width >= 400 and len(colours) > 2, picture.size)
    root = xml.etree.ElementTree.parse(folder / "diagram.svg").getroot()
    holds("diagram.svg: opens", root.tag == "{http://www.w3.org/2000/svg}svg", root.tag)


def cell_axes(sweep, samplers):
    return [sweep["diagram"][name] for name in ["x", "y"] if name in sweep["diagram"]] + samplers


def same(claim, found, expected):
    """The two series hold the same values for the same keys, numbers to rounding, missing ones included."""
    expected = expected.reindex(found.index)
    if pd.api.types.is_numeric_dtype(found):
        equal = np.isclose(found.astype(float), expected.astype(float), rtol=CLOSE, atol=CLOSE, equal_nan=True)
    else:
        equal = (found.fillna("") == expected.fillna("")).to_numpy()
    holds(claim, equal.all(), pd.DataFrame({"found": found, "expected": expected})[~equal])


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
