#!/usr/bin/env python3
"""Trivial tasks with HyperQueue's LocalCluster: each is one run of /bin/true by one local worker.

    peer_hyperqueue.py [TASKS]

Left out on HyperQueue's side: durability (LocalCluster keeps no journal), records (a task answers its exit code alone) and other
machines. It starts a process a task, as every task of HyperQueue's is one; phasegrid's simulated workers start none.
"""

import os
import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
# The library tells of jobs on stdout, where figures belong.
figures = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
job = Job()
for _ in range(tasks):
    job.program(["/bin/true"], stdout=None, stderr=None)
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    start = time.perf_counter()
    client.wait_for_jobs([client.submit(job)])
    seconds = time.perf_counter() - start
print(f"bench peer_hyperqueue {tasks / seconds:.0f} tasks/s", file=figures)
