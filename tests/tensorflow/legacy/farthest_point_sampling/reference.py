"""What farthest_point_sample and gather_point must compute, in NumPy."""
import json

import numpy as np

POINTS = 16


def inputs():
    return np.random.RandomState(100).rand(3, 200, 3).astype(np.float32)


def expected():
    clouds = inputs()
    chosen = []
    for cloud in clouds:
        nearest = np.full(len(cloud), 1e38, np.float32)
        picked = [0]
        while len(picked) < POINTS:
            gone = cloud - cloud[picked[-1]]
            nearest = np.minimum(nearest, (gone * gone).sum(axis=1))
            picked.append(int(np.argmax(nearest)))
        chosen.append(picked)
    points = np.stack([cloud[picked] for cloud, picked in zip(clouds, chosen)])
    return {"chosen": np.ravel(chosen).tolist(), "points": points.ravel().tolist()}


if __name__ == "__main__":
    print(json.dumps(expected()))
