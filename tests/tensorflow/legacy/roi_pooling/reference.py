"""What roi_pooling must compute, in NumPy."""
import json

import numpy as np

POOLED = (3, 2)
SCALE = 0.5


def inputs():
    rng = np.random.RandomState(7)
    data = rng.rand(2, 9, 11, 3).astype(np.float32)
    rois = np.array([[0, 0, 0, 9, 9], [1, 4, 2, 20, 16], [0, 10, 10, 10, 10], [1, 30, 30, 40, 40]], np.float32)
    return data, rois


def rounded(value):
    return int(np.floor(value + 0.5))  # C's round, for what is not negative


def expected():
    data, rois = inputs()
    _, height, width, channels = data.shape
    top = np.zeros((len(rois),) + POOLED + (channels,), np.float32)
    argmax = np.full(top.shape, -1, np.int32)
    grad = np.zeros_like(data)
    for n, roi in enumerate(rois):
        batch = int(roi[0])
        w0, h0, w1, h1 = [rounded(one * SCALE) for one in roi[1:]]
        bin_h = np.float32(max(h1 - h0 + 1, 1)) / np.float32(POOLED[0])
        bin_w = np.float32(max(w1 - w0 + 1, 1)) / np.float32(POOLED[1])
        for ph in range(POOLED[0]):
            for pw in range(POOLED[1]):
                rows = [min(max(int(f(np.float32(ph + k) * bin_h)) + h0, 0), height) for k, f in ((0, np.floor), (1, np.ceil))]
                cols = [min(max(int(f(np.float32(pw + k) * bin_w)) + w0, 0), width) for k, f in ((0, np.floor), (1, np.ceil))]
                for c in range(channels):
                    cell = data[batch, rows[0]:rows[1], cols[0]:cols[1], c]
                    if cell.size:
                        h, w = np.unravel_index(np.argmax(cell), cell.shape)
                        at = (batch, rows[0] + h, cols[0] + w, c)
                        top[n, ph, pw, c] = data[at]
                        argmax[n, ph, pw, c] = np.ravel_multi_index(at, data.shape)
                        grad[at] += 2 * data[at]  # of the sum of squares
    return {"top": top.ravel().tolist(), "argmax": argmax.ravel().tolist(), "grad": grad.ravel().tolist()}


if __name__ == "__main__":
    print(json.dumps(expected()))
