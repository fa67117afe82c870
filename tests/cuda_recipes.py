"""How projects of 2017 compiled one op with a CUDA part: every path in them is dead."""

from __future__ import annotations

SHELL = """\
#/bin/bash
nvcc=/usr/local/cuda-8.0/bin/nvcc
cudalib=/usr/local/cuda-8.0/lib64/
TF_INC=$(python2.7 -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
TF_LIB=$(python2.7 -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')

$nvcc tf_nndistance_g.cu -c -o tf_nndistance_g.cu.o -std=c++11 -I $TF_INC -DGOOGLE_CUDA=1 -x cu -Xcompiler -fPIC -O2 \\
    -arch=sm_30
g++ tf_nndistance.cpp tf_nndistance_g.cu.o -o tf_nndistance_so.so -std=c++11 -shared -fPIC -I $TF_INC \\
    -I$TF_INC/external/nsync/public -DGOOGLE_CUDA=1 -L$TF_LIB -ltensorflow_framework -lcudart -L $cudalib -O2 \\
    -D_GLIBCXX_USE_CXX11_ABI=0
"""
MAKE = """\
CUDA_HOME = /usr/local/cuda-9.0
NVCC = $(CUDA_HOME)/bin/nvcc
TF_INC = $(shell python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')
GENCODE = -gencode arch=compute_35,code=sm_35 -gencode arch=compute_75,code=sm_75

all: tf_nndistance_so.so

%.cu.o: %.cu
\t$(NVCC) -std=c++11 -c -o $@ $< -I$(TF_INC) -D GOOGLE_CUDA=1 -x cu -Xcompiler -fPIC $(GENCODE) --use_fast_math
tf_nndistance_so.so: tf_nndistance.cpp tf_nndistance_g.cu.o
\tg++ -std=c++11 -shared -fPIC $^ -o $@ -I$(TF_INC) -I$(CUDA_HOME)/include -DGOOGLE_CUDA=1 -L$(CUDA_HOME)/lib64 -lcudart
"""
CMAKE = """\
cmake_minimum_required(VERSION 2.8)
project(nn)
find_package(CUDA REQUIRED)
execute_process(COMMAND python -c "import tensorflow as tf; print(tf.sysconfig.get_include())"
                OUTPUT_VARIABLE TF_INC OUTPUT_STRIP_TRAILING_WHITESPACE)
set(CUDA_NVCC_FLAGS "${CUDA_NVCC_FLAGS} -std=c++11 -gencode arch=compute_30,code=sm_30")
include_directories(${TF_INC} ${CUDA_INCLUDE_DIRS})
add_definitions(-DGOOGLE_CUDA=1 -D_GLIBCXX_USE_CXX11_ABI=0)
cuda_add_library(tf_nndistance_so SHARED tf_nndistance.cpp tf_nndistance_g.cu)
set_target_properties(tf_nndistance_so PROPERTIES PREFIX "")
target_link_libraries(tf_nndistance_so tensorflow_framework ${CUDA_LIBRARIES})
"""
SETUP = """\
import tensorflow as tf
from setuptools import setup, Extension

setup(name='nn', ext_modules=[Extension('tf_nndistance_so', ['tf_nndistance.cpp', 'tf_nndistance_g.cu'],
    include_dirs=[tf.sysconfig.get_include(), '/usr/local/cuda-8.0/include'],
    library_dirs=['/usr/local/cuda-8.0/lib64'], libraries=['cudart', 'tensorflow_framework'],
    define_macros=[('GOOGLE_CUDA', '1')],
    extra_compile_args={'gcc': ['-std=c++11'], 'nvcc': ['-std=c++11', '-arch=sm_30', '-DGOOGLE_CUDA=1', '-x', 'cu']})])
"""
#: kind -> (file, text)
RECIPES = {
    "shell": ("tf_nndistance_compile.sh", SHELL), "make": ("Makefile", MAKE), "cmake": ("CMakeLists.txt", CMAKE),
    "setup.py": ("setup.py", SETUP),
}  # fmt: skip
