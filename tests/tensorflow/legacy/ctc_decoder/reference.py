"""What ctc_prefix_decoder must compute, in NumPy: every labelling of short sequences, summed over all alignments."""
import itertools
import json

import numpy as np

ALPHABET = "abc"
LENGTHS = [5, 3]
PATHS = 2


def inputs():
    logits = np.random.RandomState(3).rand(5, 2, len(ALPHABET) + 1) * 4
    return (logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))).astype(np.float32)


def labelling(alignment):
    merged = [label for label, _ in itertools.groupby(alignment)]
    return tuple(label for label in merged if label != len(ALPHABET))


def expected():
    frames = inputs().astype(np.float64)
    found = {"log_probability": [], "text": []}
    best = []
    for batch, length in enumerate(LENGTHS):
        sums = {}
        for alignment in itertools.product(range(len(ALPHABET) + 1), repeat=length):
            score = np.exp(sum(frames[t, batch, label] for t, label in enumerate(alignment)))
            sums[labelling(alignment)] = sums.get(labelling(alignment), 0) + score
        ranked = sorted(sums, key=lambda one: -sums[one])[:PATHS]
        best.append(ranked)
        found["log_probability"] += [float(np.log(sums[one])) for one in ranked]
        found["text"].append("".join(ALPHABET[label] for label in ranked[0]))
    for path in range(PATHS):
        found["values %d" % path] = [label for ranked in best for label in ranked[path]]
        found["indices %d" % path] = [n for b, ranked in enumerate(best) for i in range(len(ranked[path])) for n in (b, i)]
        found["shape %d" % path] = [len(best), max(len(ranked[path]) for ranked in best)]
    return found


if __name__ == "__main__":
    print(json.dumps(expected()))
