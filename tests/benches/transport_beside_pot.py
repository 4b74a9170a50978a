"""Solves one unbalanced transport three ways: MedFocus's, a dense NumPy loop, and POT.

    cargo build --release -p medfocus-method-medfocus --example transport
    pip install pot
    python tests/benches/transport_beside_pot.py target/release/examples/transport

All on one thread, in f64, from two images on a grid to cost and mass: seconds of CPU, the fastest of a few repetitions. The problem is the
paper's: squared distances over their 90th percentile, eps 0.05 KL(P || a x b), lambda 0.1. Each solver stops when its own scaling changes
by less than TOLERANCE; a row's `off` is how far its cost is from the converged one. Memory is what a solve allocates
at its peak beyond the two measures. Where a grid is too fine for dense matrices ours is alone.
"""

import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import ot
from scipy.spatial.distance import cdist

sys.path.append(str(Path(__file__).resolve().parent.parent / "fixtures/medfocus"))
import chest
import transport

TOLERANCE = 1e-6
PARAMS = {"eps": 0.05, "lambda": 0.1, "entropy": "relative", "tolerance": TOLERANCE, "iterations": 10000}
ON_GRID = {"sampling": "area", "threshold": 0.02, "support": 50176}
DENSE = [14, 28, 56]
ALONE = [112, 224]
REPETITIONS = 3


def measures(side):
    """Two drawn chests that fill the frame, as X-rays do."""
    places = [dict(centre=(0.5, 0.5), half=0.64, tall=1.05), dict(centre=(0.53, 0.47), half=0.6, tall=1.12)]
    images = [chest.chest(size=(transport.SIDE,) * 2, **place)[0] for place in places]
    return [transport.measure(image, side, ON_GRID) for image in images]


def dense(source, target):
    plan = transport.solve(source, target, PARAMS, PARAMS["lambda"])
    return {"cost": plan.total_cost, "mass": plan.mass, "iterations": plan.iterations}


def pot(source, target):
    cost = cdist(np.argwhere(source > 0), np.argwhere(target > 0), "sqeuclidean")
    scaled = cost / np.percentile(cost, transport.PERCENTILE)
    a, b = source[source > 0], target[target > 0]
    plan, log = ot.unbalanced.sinkhorn_unbalanced(
        a, b, scaled, PARAMS["eps"], PARAMS["lambda"], reg_type="kl", numItermax=PARAMS["iterations"], stopThr=TOLERANCE, log=True
    )
    return {"cost": (plan * cost).sum(), "mass": plan.sum(), "iterations": len(log["err"])}


def measured(solver, source, target):
    times = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        found = solver(source, target)
        times.append(time.process_time() - start)
    tracemalloc.start()
    solver(source, target)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found | {"seconds": min(times), "bytes": memory}


def ours(program, source, target, tolerance=TOLERANCE):
    task = {"side": len(source), "source": source.ravel().tolist(), "target": target.ravel().tolist(), "params": PARAMS | {"tolerance": tolerance}}
    output = subprocess.run([program], input=json.dumps(task), check=True, capture_output=True, text=True).stdout
    return json.loads(output)


def main():
    program = sys.argv[1]
    print("| cells | solver | time | times ours | iterations | memory | cost off by |\n| --- | --- | --- | --- | --- | --- | --- |")
    for side in DENSE + ALONE:
        source, target = measures(side)
        exact = ours(program, source, target, 1e-13)
        rows = {"ours": ours(program, source, target)}
        if side in DENSE:
            rows |= {"dense NumPy": measured(dense, source, target), f"POT {ot.__version__}": measured(pot, source, target)}
        for name, row in rows.items():
            off = max(abs(row[what] / exact[what] - 1) for what in ("cost", "mass"))
            assert off < 1e-6, f"{name}: {row} is not {exact}"
            ratio = row["seconds"] / rows["ours"]["seconds"]
            cells = f"{side} x {side}" if name == "ours" else ""
            print(f"| {cells} | {name} | {row['seconds'] * 1e3:.2f} ms | {ratio:.0f} | {row['iterations']} | {row['bytes'] / 1024:,.0f} KiB | {off:.0e} |")


if __name__ == "__main__":
    main()
