"""What soft_nms must compute, in NumPy."""
import json

import numpy as np

METHODS = ("hard", "linear", "gaussian")
THRESHOLD, MOST, SIGMA, LEAST = 0.3, 12, 0.5, 0.001


def inputs():
    rng = np.random.RandomState(11)
    corner = rng.rand(40, 2) * 10
    boxes = np.concatenate([corner, corner + 1 + rng.rand(40, 2) * 4], axis=1).astype(np.float32)
    return boxes, rng.rand(40).astype(np.float32)


def overlaps(box, others):
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    area = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + area - shared)


def expected():
    found = {}
    for method in METHODS:
        boxes, scores = inputs()
        left, selected, kept = list(range(len(boxes))), [], []
        while left and len(selected) < MOST:
            best = max(left, key=lambda one: scores[one])
            if scores[best] < LEAST:
                break
            left.remove(best)
            selected.append(best)
            kept.append(float(scores[best]))
            if left:
                iou = overlaps(boxes[best], boxes[left])
                if method == "hard":
                    scores[left] = np.where(iou > THRESHOLD, -1, scores[left])
                elif method == "linear":
                    scores[left] *= np.where(iou > THRESHOLD, 1 - iou, 1)
                else:
                    scores[left] *= np.exp(-iou * iou / SIGMA)
        found[method] = selected
        found[method + " scores"] = kept
        found[method + " count"] = [len(selected)]
    return found


if __name__ == "__main__":
    print(json.dumps(expected()))
