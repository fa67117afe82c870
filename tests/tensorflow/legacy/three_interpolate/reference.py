"""What three_nn, three_interpolate and its gradient must compute, in NumPy."""
import json

import numpy as np


def inputs():
    rng = np.random.RandomState(100)
    unknown = rng.rand(2, 40, 3).astype(np.float32)
    known = rng.rand(2, 25, 3).astype(np.float32)
    values = rng.rand(2, 25, 6).astype(np.float32)
    return unknown, known, values


def expected():
    unknown, known, values = inputs()
    squared = ((unknown[:, :, None, :] - known[:, None, :, :]) ** 2).sum(axis=3)
    nearest = np.argsort(squared, axis=2, kind="stable")[:, :, :3]
    distance = np.take_along_axis(squared, nearest, axis=2)
    weight = np.full(nearest.shape, 1 / 3.0, np.float32)
    out = np.zeros(unknown.shape[:2] + values.shape[2:], np.float32)
    grad = np.zeros_like(values)
    for b in range(len(out)):
        for n in range(out.shape[1]):
            out[b, n] = (values[b, nearest[b, n]] * weight[b, n][:, None]).sum(axis=0)
            for one in range(3):
                grad[b, nearest[b, n, one]] += 2 * out[b, n] * weight[b, n, one]
    return {"distance": distance.ravel().tolist(), "nearest": nearest.ravel().tolist(),
            "out": out.ravel().tolist(), "grad": grad.ravel().tolist()}


if __name__ == "__main__":
    print(json.dumps(expected()))
