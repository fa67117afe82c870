#!/bin/bash
# bash compile_ctc.sh [python]
PY=${1:-python2.7}
TF_CFLAGS=( $($PY -c 'import tensorflow as tf; print(" ".join(tf.sysconfig.get_compile_flags()))') )
TF_LFLAGS=( $($PY -c 'import tensorflow as tf; print(" ".join(tf.sysconfig.get_link_flags()))') )
export LD_LIBRARY_PATH=/usr/local/cuda-8.0/lib64:$LD_LIBRARY_PATH
cd ops
if [ "$(uname)" == "Darwin" ]; then
  g++ -std=c++11 -shared ctc_prefix_decoder_op.cc -o ../lib/ctc_decoder.so -fPIC ${TF_CFLAGS[@]} ${TF_LFLAGS[@]} -O2 -undefined dynamic_lookup
else
  mkdir -p ../lib
  g++ -std=c++11 -shared ctc_prefix_decoder_op.cc -o ../lib/ctc_decoder.so -fPIC -I /usr/local/cuda-8.0/include -I/usr/lib/python2.7/site-packages/tensorflow/include ${TF_CFLAGS[@]} ${TF_LFLAGS[@]} -O2
fi
cd ..
