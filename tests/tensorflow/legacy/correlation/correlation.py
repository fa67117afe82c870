import tensorflow as tf

_correlation_ops = tf.load_op_library(
    tf.compat.v1.resource_loader.get_path_to_datafile("./build/correlation.so"))


def correlation(input_a, input_b, max_displacement, stride_1, stride_2, padding):
    return _correlation_ops.correlation(input_a, input_b, max_displacement=max_displacement,
                                        stride_1=stride_1, stride_2=stride_2, pad=padding)
