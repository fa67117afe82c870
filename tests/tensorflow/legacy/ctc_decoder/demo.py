import json

import numpy as np
import tensorflow as tf

from ctc import prefix_decode
from reference import ALPHABET, LENGTHS, PATHS, inputs

paths, scores, text = prefix_decode(tf.constant(inputs()), LENGTHS, ALPHABET, beam_width=400, top_paths=PATHS)
if tf.__version__.startswith("1."):
    with tf.Session() as sess:
        paths, scores, text = sess.run([paths, scores, text])
found = {"log_probability": np.asarray(scores).ravel().tolist(),
         "text": [one.decode() for one in np.asarray(text).ravel().tolist()]}
for number, path in enumerate(paths):
    for name, value in zip(("indices", "values", "shape"), path):
        found["%s %d" % (name, number)] = np.asarray(value).ravel().tolist()
print(json.dumps(found))
