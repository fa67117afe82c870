"""Fits a line to region features that a custom op pools. An old script, in the style of TensorFlow 1.x."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

tf.logging.set_verbosity(tf.logging.ERROR)
tf.disable_v2_behavior()

HERE = os.path.dirname(os.path.abspath(__file__))
roi_ops = tf.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))

image = np.random.RandomState(7).rand(32, 32).astype(np.float32)
rois = np.array([[0, 0, 4, 4], [4, 4, 12, 12], [8, 0, 32, 32], [30, 30, 31, 31]], np.int32)
target = np.array([1.0, 2.0, 3.0, 0.5], np.float32)

pooled = roi_ops.roi_pool(features=tf.constant(image), rois=tf.constant(rois))
weight, bias = tf.Variable(0.0), tf.Variable(0.0)
loss = tf.reduce_mean(tf.square(weight * pooled + bias - target))
step = tf.train.GradientDescentOptimizer(0.2).minimize(loss)

with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    print("pooled features:", " ".join("%.4f" % value for value in session.run(pooled)))
    for number in range(30):
        session.run(step)
        if number % 10 == 9:
            print("step %2d: loss %.4f" % (number + 1, session.run(loss)))
