import os.path as osp

import tensorflow as tf
from tensorflow.python.framework import ops

filename = osp.join(osp.dirname(osp.abspath(__file__)), 'roi_pooling.so')
_roi_pooling_module = tf.load_op_library(filename)
roi_pool = _roi_pooling_module.roi_pooling
roi_pool_grad = _roi_pooling_module.roi_pooling_grad


@ops.RegisterGradient("RoiPooling")
def _roi_pool_grad(op, grad, _):
    """The gradients for `roi_pool`."""
    data_grad = roi_pool_grad(op.inputs[0], op.outputs[1], grad)
    return [data_grad, None]
