import json

import numpy as np
import tensorflow as tf

from correlation import correlation
from reference import DISPLACEMENT, PADDING, STRIDE_1, STRIDE_2, inputs

a, b = inputs()
output = correlation(tf.constant(a), tf.constant(b), DISPLACEMENT, STRIDE_1, STRIDE_2, PADDING)
if tf.__version__.startswith("1."):
    with tf.Session() as sess:
        output = sess.run(output)
print(json.dumps({"output": np.asarray(output).ravel().tolist()}))
