#!/usr/bin/env python3
"""Trivial tasks with dask's distributed: a local scheduler and one worker process of two threads.

    peer_dask.py [TASKS]

Left out on dask's side: durability (a scheduler that ends loses everything), attempts and records (a task answers a number), leases.
"""

import sys
import time

from distributed import Client, LocalCluster, wait


def trivial(point):
    """What a task computes: its own number."""
    return point


if __name__ == "__main__":
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            wait(client.map(trivial, range(100), pure=False))
            start = time.perf_counter()
            wait(client.map(trivial, range(tasks), pure=False))
            seconds = time.perf_counter() - start
    print(f"bench peer_dask {tasks / seconds:.0f} tasks/s")
