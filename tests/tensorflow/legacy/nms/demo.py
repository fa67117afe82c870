import json

import numpy as np
import tensorflow as tf

from nms import soft_nms
from reference import METHODS, MOST, THRESHOLD, inputs

boxes, scores = inputs()
found = {}
for method in METHODS:
    results = soft_nms(tf.constant(boxes), tf.constant(scores), method, THRESHOLD, MOST)
    if tf.__version__.startswith("1."):
        with tf.Session() as sess:
            results = sess.run(results)
    for name, value in zip(("", " scores", " count"), results):
        found[method + name] = np.asarray(value).ravel().tolist()
print(json.dumps(found))
