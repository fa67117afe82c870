#!/bin/sh
# Ubuntu 16.04, TF 1.8, CUDA 8
set -e
cd "$(dirname "$0")"
TF_INC=/usr/local/lib/python2.7/dist-packages/tensorflow/include
TF_LIB=/usr/local/lib/python2.7/dist-packages/tensorflow
CUDA_INC=/usr/local/cuda-8.0/include
for op in nms; do
  g++-4.8 -std=c++11 -shared ${op}_op.cc -o ${op}_op.so -fPIC -I${TF_INC} -I${TF_INC}/external/nsync/public -I${CUDA_INC} \
      -L${TF_LIB} -ltensorflow_framework -D_GLIBCXX_USE_CXX11_ABI=0 -O2 -march=native
done
