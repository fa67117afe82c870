#!/usr/bin/env bash
TF_INC=$(python2.7 -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
TF_LIB=$(python2.7 -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')

CUDA_PATH=/usr/local/cuda-8.0/

nvcc -std=c++11 -c -o roi_pooling_op.cu.o roi_pooling_op_gpu.cu.cc \
	-I $TF_INC -I /usr/local/lib/python2.7/dist-packages/tensorflow/include/external/nsync/public \
	-D GOOGLE_CUDA=1 -x cu -Xcompiler -fPIC -arch=sm_52

## if you install tf using already-built binary, or gcc version 4.x, uncomment the two lines below
#g++ -std=c++11 -shared -D_GLIBCXX_USE_CXX11_ABI=0 -o roi_pooling.so roi_pooling_op.cc \
#	roi_pooling_op.cu.o -I $TF_INC -fPIC -lcudart -L $CUDA_PATH/lib64
g++ -std=c++11 -shared -o roi_pooling.so roi_pooling_op.cc \
	roi_pooling_op.cu.o -I $TF_INC -I/usr/local/lib/python2.7/dist-packages/tensorflow/include/external/nsync/public \
	-D GOOGLE_CUDA=1 -fPIC -D_GLIBCXX_USE_CXX11_ABI=0 -lcudart -L $CUDA_PATH/lib64 -L$TF_LIB -ltensorflow_framework
