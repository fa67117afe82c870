import os

import tensorflow as tf

path = os.path.dirname(os.path.realpath(__file__)) + '/nms_op.so'
_nms = tf.load_op_library(path)


def soft_nms(boxes, scores, method='hard', iou_threshold=0.5, max_output_size=100):
    return _nms.soft_nms(boxes=boxes, scores=scores, method=method, iou_threshold=iou_threshold,
                         max_output_size=max_output_size)
