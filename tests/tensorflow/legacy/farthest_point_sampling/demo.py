import json

import numpy as np
import tensorflow as tf

from reference import POINTS, inputs
from tf_sampling import farthest_point_sample, gather_point

cloud = tf.constant(inputs())
chosen = farthest_point_sample(POINTS, cloud)
points = gather_point(cloud, chosen)
if tf.__version__.startswith("1."):
    with tf.Session() as sess:
        chosen, points = sess.run([chosen, points])
print(json.dumps({"chosen": np.asarray(chosen).ravel().tolist(), "points": np.asarray(points).ravel().tolist()}))
