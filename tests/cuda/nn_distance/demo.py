import json
import os

import numpy as np
import tensorflow as tf

here = os.path.dirname(os.path.abspath(__file__))
nn = tf.load_op_library(os.path.join(here, 'tf_nndistance_so.so'))
random = np.random.RandomState(100)
one, two = random.randn(2, 40, 3).astype('float32'), random.randn(2, 60, 3).astype('float32')
dist, idx = nn.nn_distance(one, two)
d = ((one[:, :, None] - two[:, None]) ** 2).sum(-1)
assert np.allclose(dist, d.min(2), atol=1e-5) and (np.asarray(idx) == d.argmin(2)).all()

from tensorflow.python.framework import kernels

found = kernels.get_registered_kernels_for_op('NnDistance').kernel
print(json.dumps(sorted(one.device_type for one in found)))
