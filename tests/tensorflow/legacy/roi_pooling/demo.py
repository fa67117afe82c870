import json

import numpy as np
import tensorflow as tf

import roi_pooling_op
from reference import POOLED, SCALE, inputs

data, rois = inputs()


def loss(features):
    top, argmax = roi_pooling_op.roi_pool(features, rois, POOLED[0], POOLED[1], SCALE)
    return top, argmax, tf.reduce_sum(top * top)


if tf.__version__.startswith("1."):
    features = tf.constant(data)
    top, argmax, total = loss(features)
    grad = tf.gradients(total, features)[0]
    with tf.Session() as session:
        top, argmax, grad = session.run([top, argmax, grad])
else:
    features = tf.Variable(data)
    with tf.GradientTape() as tape:
        top, argmax, total = loss(features)
    grad = tape.gradient(total, features)

print(json.dumps({name: np.asarray(value).ravel().tolist()
                  for name, value in (("top", top), ("argmax", argmax), ("grad", grad))}))
