"""What correlation must compute, in NumPy."""
import json

import numpy as np

DISPLACEMENT, STRIDE_1, STRIDE_2, PADDING = 4, 2, 2, 3


def inputs():
    rng = np.random.RandomState(5)
    return rng.rand(2, 12, 10, 5).astype(np.float32), rng.rand(2, 12, 10, 5).astype(np.float32)


def expected():
    a, b = inputs()
    pad = [(0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)]
    outside = [(0, 0), (PADDING + DISPLACEMENT,) * 2, (PADDING + DISPLACEMENT,) * 2, (0, 0)]
    a, b = np.pad(a, pad, "constant"), np.pad(b, outside, "constant")
    inner = a[:, DISPLACEMENT:-DISPLACEMENT:STRIDE_1, DISPLACEMENT:-DISPLACEMENT:STRIDE_1]
    planes = []
    steps = range(-DISPLACEMENT // STRIDE_2 * STRIDE_2, DISPLACEMENT + 1, STRIDE_2)
    for dy in steps:
        for dx in steps:
            rows = DISPLACEMENT + dy + DISPLACEMENT + STRIDE_1 * np.arange(inner.shape[1])
            columns = DISPLACEMENT + dx + DISPLACEMENT + STRIDE_1 * np.arange(inner.shape[2])
            planes.append((inner * b[:, rows][:, :, columns]).mean(axis=3))
    return {"output": np.stack(planes, axis=3).ravel().tolist()}


if __name__ == "__main__":
    print(json.dumps(expected()))
