import json

import numpy as np
import tensorflow as tf

from reference import inputs
from tf_interpolate import three_interpolate, three_nn

unknown, known, values = inputs()


def forward(points):
    dist, idx = three_nn(unknown, known)
    weight = tf.ones_like(dist) / 3.0
    out = three_interpolate(points, idx, weight)
    return dist, idx, out, tf.reduce_sum(out * out)


if tf.__version__.startswith("1."):
    points = tf.constant(values)
    dist, idx, out, loss = forward(points)
    grad = tf.gradients(loss, points)[0]
    with tf.Session('') as sess:
        dist, idx, out, grad = sess.run([dist, idx, out, grad])
else:
    points = tf.Variable(values)
    with tf.GradientTape() as tape:
        dist, idx, out, loss = forward(points)
    grad = tape.gradient(loss, points)
print(json.dumps({name: np.asarray(value).ravel().tolist()
                  for name, value in (("distance", dist), ("nearest", idx), ("out", out), ("grad", grad))}))
