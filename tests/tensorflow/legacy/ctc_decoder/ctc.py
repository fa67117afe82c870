import os

import tensorflow as tf

module = tf.load_op_library(os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib", "ctc_decoder.so"))


def prefix_decode(inputs, sequence_length, alphabet, beam_width=16, top_paths=1):
    """(list of (indices, values, shape), log probabilities, text of the best path)."""
    indices, values, shapes, log_probability, text = module.ctc_prefix_decoder(
        inputs, sequence_length, alphabet, beam_width=beam_width, top_paths=top_paths)
    return list(zip(indices, values, shapes)), log_probability, text
