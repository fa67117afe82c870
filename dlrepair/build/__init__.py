"""From an op's sources to a library for the TensorFlow that runs."""
