"""Recipes in the shapes of real ones, each with what a person reads in it. The comment names the shape's origin.

Written anew after the survey's public repositories (tests/data/build_recipes.jsonl): the same constructs and
the same dead paths, other names. Sources are empty files unless their text matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """``files`` are path → text; a path without text is an empty file. Expectations are relative to the root."""

    name: str
    shape: str  #: repository and path of the corpus entry that has the same shape
    wanted: str
    files: dict[str, str]
    kind: str
    output: str
    sources: tuple[str, ...]
    cuda: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    cuda_libraries: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    missing: int = 0
    ops: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


def touch(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "")


TF_INC = "TF_INC=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_include())')\n"
TF_LIB = "TF_LIB=$(python -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')\n"
TF_FLAGS = """TF_CFLAGS=( $(python3 -c 'import tensorflow as tf; print(" ".join(tf.sysconfig.get_compile_flags()))') )
TF_LFLAGS=( $(python3 -c 'import tensorflow as tf; print(" ".join(tf.sysconfig.get_link_flags()))') )
"""
REGISTER = 'REGISTER_OP("{}")\n'

CASES = [
    Case(
        "nvcc object, then link", "charlesq34/pointnet2 tf_ops/sampling/tf_sampling_compile.sh",
        "tf_ops/sampling/tf_sampling_so.so",
        {
            **touch("tf_ops/sampling/tf_sampling.cpp", "tf_ops/sampling/tf_sampling_g.cu"),
            "tf_ops/sampling/tf_sampling_compile.sh": "#/bin/bash\n"
            "/usr/local/cuda-8.0/bin/nvcc tf_sampling_g.cu -o tf_sampling_g.cu.o -c -O2 -DGOOGLE_CUDA=1 -x cu -Xcompiler "
            "-fPIC\n# TF1.2\n#g++ -std=c++11 tf_sampling.cpp tf_sampling_g.cu.o -o tf_sampling_so.so -shared\n# TF1.4\n"
            "g++ -std=c++11 tf_sampling.cpp tf_sampling_g.cu.o -o tf_sampling_so.so -shared -fPIC -I "
            "/usr/local/lib/python2.7/dist-packages/tensorflow/include -I /usr/local/cuda-8.0/include -lcudart -L "
            "/usr/local/cuda-8.0/lib64/ -L/usr/local/lib/python2.7/dist-packages/tensorflow -ltensorflow_framework -O2 "
            "-D_GLIBCXX_USE_CXX11_ABI=0\n",
        },
        "shell", "tf_sampling_so.so", ("tf_ops/sampling/tf_sampling.cpp",), ("tf_ops/sampling/tf_sampling_g.cu",),
        cuda_libraries=("cudart",), flags=("-O2",),
    ),
    Case(
        "CPU op with a needless -lcudart", "charlesq34/pointnet2 tf_ops/3d_interpolation/tf_interpolate_compile.sh",
        "3d/tf_interpolate_so.so",
        {
            **touch("3d/tf_interpolate.cpp"),
            "3d/compile.sh": "g++ -std=c++11 tf_interpolate.cpp -o tf_interpolate_so.so -shared -fPIC -I "
            "/usr/local/cuda-8.0/include -lcudart -L /usr/local/cuda-8.0/lib64/ -O2 -D_GLIBCXX_USE_CXX11_ABI=0\n",
        },
        "shell", "tf_interpolate_so.so", ("3d/tf_interpolate.cpp",), flags=("-O2",),
    ),
    Case(
        "no TensorFlow at all", "charlesq34/pointnet2 utils/compile_render_balls_so.sh", "utils/render_balls_so",
        {
            **touch("utils/render_balls_so.cpp"),
            "utils/compile_render_balls_so.sh": "g++ -std=c++11 render_balls_so.cpp -o render_balls_so.so -shared -fPIC "
            "-O2 -D_GLIBCXX_USE_CXX11_ABI=0\n",
        },
        "shell", "render_balls_so.so", ("utils/render_balls_so.cpp",), flags=("-O2",),
    ),
    Case(
        "four libraries in one script, sources shared", "HuguesTHOMAS/KPConv tf_custom_ops/compile_op.sh",
        "tf_custom_ops/tf_batch_neighbors.so",
        {
            **touch(
                "tf_custom_ops/tf_neighbors/tf_neighbors.cpp", "tf_custom_ops/tf_neighbors/tf_batch_neighbors.cpp",
                "tf_custom_ops/tf_neighbors/neighbors/neighbors.cpp", "tf_custom_ops/cpp_utils/cloud/cloud.cpp",
            ),
            "tf_custom_ops/compile_op.sh": TF_INC + TF_LIB + "".join(
                "g++ -std=c++11 -shared tf_neighbors/{0}.cpp tf_neighbors/neighbors/neighbors.cpp "
                "cpp_utils/cloud/cloud.cpp -o {0}.so -fPIC -I$TF_INC -I$TF_INC/external/nsync/public -L$TF_LIB "
                "-ltensorflow_framework -O2 -D_GLIBCXX_USE_CXX11_ABI=0\n".format(name)
                for name in ("tf_neighbors", "tf_batch_neighbors")
            ),
        },
        "shell", "tf_batch_neighbors.so",
        ("tf_custom_ops/tf_neighbors/tf_batch_neighbors.cpp", "tf_custom_ops/tf_neighbors/neighbors/neighbors.cpp",
         "tf_custom_ops/cpp_utils/cloud/cloud.cpp"),
        flags=("-O2",),
    ),
    Case(
        "else branch without CUDA", "smallcorgi/Faster-RCNN_TF lib/make.sh", "lib/roi_pooling_layer/roi_pooling.so",
        {
            **touch("lib/roi_pooling_layer/roi_op.cc", "lib/roi_pooling_layer/roi_op_gpu.cu.cc"),
            "lib/make.sh": TF_INC + "CUDA_PATH=/usr/local/cuda-7.5/\nCXXFLAGS=''\n"
            'if [[ "$OSTYPE" =~ ^darwin ]]; then\n\tCXXFLAGS+=\'-undefined dynamic_lookup\'\nfi\ncd roi_pooling_layer\n'
            'if [ -d "$CUDA_PATH" ]; then\n\tnvcc -std=c++11 -c -o roi_op.cu.o roi_op_gpu.cu.cc \\\n\t\t-I $TF_INC -D '
            "GOOGLE_CUDA=1 -x cu -Xcompiler -fPIC $CXXFLAGS -arch=sm_37\n\tg++ -std=c++11 -shared -o roi_pooling.so "
            "roi_op.cc roi_op.cu.o -I $TF_INC -D GOOGLE_CUDA=1 -fPIC $CXXFLAGS -lcudart -L $CUDA_PATH/lib64\nelse\n\tg++ "
            "-std=c++11 -shared -o roi_pooling.so roi_op.cc \\\n\t\t-I $TF_INC -fPIC $CXXFLAGS\nfi\n",
        },
        "shell", "roi_pooling.so", ("lib/roi_pooling_layer/roi_op.cc",),
    ),
    Case(
        "cd in and out, several layers", "yuxng/PoseCNN lib/make.sh", "lib/projecting_layer/projecting.so",
        {
            **touch("lib/projecting_layer/projecting_op.cc", "lib/projecting_layer/projecting_op_gpu.cu.cc"),
            **touch("lib/triplet_loss/triplet_loss_op.cc", "lib/triplet_loss/triplet_loss_op_gpu.cu.cc"),
            "lib/make.sh": TF_INC + "CUDA_PATH=/usr/local/cuda-9.0\n" + "".join(
                "cd {0}\n\nnvcc -std=c++11 -c -o {1}_op.cu.o {1}_op_gpu.cu.cc \\\n\t-I $TF_INC -D GOOGLE_CUDA=1 -x cu "
                "-Xcompiler -fPIC -arch=sm_50\n\ng++ -std=c++11 -shared -o {1}.so {1}_op.cc \\\n\t{1}_op.cu.o -I $TF_INC "
                "-fPIC -lcudart -L $CUDA_PATH/lib64 -D_GLIBCXX_USE_CXX11_ABI=0\ncd ..\necho 'built'\n".format(where, name)
                for where, name in (("triplet_loss", "triplet_loss"), ("projecting_layer", "projecting"))
            ),
        },
        "shell", "projecting.so", ("lib/projecting_layer/projecting_op.cc",),
        ("lib/projecting_layer/projecting_op_gpu.cu.cc",), cuda_libraries=("cudart",),
    ),
    Case(
        "by TensorFlow's version, parameters, arrays", "githubharald/CTCWordBeamSearch extras/tf/buildTF.sh",
        "extras/tf/TFWordBeamSearch.so",
        {
            **touch("cpp/TFWordBeamSearch.cpp", "cpp/main.cpp", "cpp/Beam.cpp"),
            "extras/tf/buildTF.sh": 'if [ "$1" == "PARALLEL" ]; then\n\tPARALLEL="-DWBS_PARALLEL"\nelse\n\tPARALLEL=""\nfi\n'
            'TF_VERSION=$(python3 -c "import tensorflow as tf ;  print(tf.__version__)")\n'
            'if [ "$TF_VERSION" == "1.3.0" ]; then\n\tg++ -shared -o TFWordBeamSearch.so ../../cpp/main.cpp\nelse\n'
            + TF_FLAGS + "\tg++ -Wall -O2 --std=c++11 -shared -o TFWordBeamSearch.so ../../cpp/TFWordBeamSearch.cpp "
            "../../cpp/main.cpp ../../cpp/Beam.cpp -fPIC ${TF_CFLAGS[@]} ${TF_LFLAGS[@]} -D_GLIBCXX_USE_CXX11_ABI=0 "
            "$PARALLEL\nfi\n",
        },
        "shell", "TFWordBeamSearch.so", ("cpp/TFWordBeamSearch.cpp", "cpp/main.cpp", "cpp/Beam.cpp"), flags=("-O2",),
    ),
    Case(
        "the script's own directory, output asked of Python", "alibaba/EasyRec easy_rec/python/ops/build_ops.sh",
        "ops/1.12/libload_embed.so",
        {
            **touch("ops/src/load_kv_embed.cc", "ops/src/load_dense_embed.cc"),
            "ops/build_ops.sh": TF_INC + "TF_ABI=$(python -c 'import tensorflow as tf; "
            "print(str(tf.sysconfig.CXX11_ABI_FLAG))')\nscript_path=`readlink -f $0`\nops_dir=`dirname $script_path`\n"
            'ops_src_dir=${ops_dir}/src\nops_bin_dir=`python -c "import my_rec; print(my_rec.get_ops_dir())" |tail -1`\n'
            'if [ -z "$ops_bin_dir" ]\nthen\n   echo "no dir"\n   exit 1\nfi\nops_bin=${ops_bin_dir}/libload_embed.so\n'
            "g++ -D_GLIBCXX_USE_CXX11_ABI=$TF_ABI -shared -O3 -DNDEBUG -Wl,-rpath,'$ORIGIN'  -fpermissive -mfma -fopenmp  "
            "${ops_src_dir}/load_kv_embed.cc ${ops_src_dir}/load_dense_embed.cc -o ${ops_bin}  -fPIC -I $TF_INC -L/lib64\n",
        },
        "shell", "libload_embed.so", ("ops/src/load_kv_embed.cc", "ops/src/load_dense_embed.cc"), defines=("NDEBUG",),
        flags=("-O3", "-fpermissive", "-mfma", "-fopenmp"),
    ),
    Case(
        "name from a parameter", "chenghuige/melt-train tensorflow/user_ops/gen-so.sh", "user_ops/decode_op.so",
        {
            **touch("user_ops/decode_op.cc", "user_ops/other_op.cc"),
            "user_ops/gen-so.sh": TF_INC + TF_LIB + "i=$1\no=${i/.cc/.so} \n"
            "g++ -std=c++11 -shared $i -o $o -I $TF_INC -l tensorflow_framework -L $TF_LIB -fPIC -O2 -Wl,-rpath $TF_LIB\n",
        },
        "shell", "decode_op.so", ("user_ops/decode_op.cc",), flags=("-O2",),
    ),
    Case(
        "stem from a parameter", "cc-hpc-itwm/TensorQuant Kernels/compile.sh", "Kernels/round_stochastic.so",
        {
            **touch("Kernels/round_stochastic.cc"),
            "Kernels/compile.sh": TF_INC + "g++ -std=c++11 -shared $1.cc -o $1.so -fPIC -I $TF_INC -O2 "
            "-D_GLIBCXX_USE_CXX11_ABI=0\n",
        },
        "shell", "round_stochastic.so", ("Kernels/round_stochastic.cc",), flags=("-O2",),
    ),
    Case(
        "loop over op names, function", "Xharlie/DISN models/tf_ops/compile.sh", "ops/out/gather_op.so",
        {
            **touch("ops/gather_op.cc", "ops/scatter_op.cc", "ops/common/util.cc"),
            "ops/build_all.sh": TF_INC + "build_one() {\n  local name=$1\n  g++ -std=c++11 -shared ${name}_op.cc common/*.cc -o "
            "out/${name}_op.so -fPIC -I$TF_INC $EXTRA -Icommon\n}\nOPS=(gather scatter)\nfor op in \"${OPS[@]}\"; do\n"
            "  build_one $op && echo done $op\ndone\n",
        },
        "shell", "gather_op.so", ("ops/gather_op.cc", "ops/common/util.cc"), includes=("ops/common",),
    ),
    Case(
        "aggregator script", "orendv/learning_to_sample reconstruction/compile_ops.sh", "external/emd/tf_emd_so.so",
        {
            **touch("external/emd/tf_emd.cpp"),
            "compile_ops.sh": "cd /media/ssd/projects/mine/external/emd\nsh tf_emd_compile.sh\ncd ../../\n",
            "external/emd/tf_emd_compile.sh": "g++ -std=c++11 tf_emd.cpp -o tf_emd_so.so -shared -fPIC -DEMD=2 -I "
            "/tensorflow-1.15.2/python2.7/tensorflow_core/include -I/usr/local/cuda-10.1/include\n",
        },
        "shell", "tf_emd_so.so", ("external/emd/tf_emd.cpp",), defines=("EMD=2",),
    ),
    Case(
        "object made by another script", "Zardinality/TF-deformable-conv lib/g++_complie.sh", "lib/deform_conv.so",
        {
            **touch("lib/deform_conv.cc", "lib/deform_conv.cu.cc"),
            "lib/nvcc_compile.sh": TF_INC + "CUDA_HOME=/usr/local/cuda-8.0\nnvcc -std=c++11 -c -o deform_conv.cu.o "
            "deform_conv.cu.cc -I $TF_INC -D GOOGLE_CUDA=1 -x cu -Xcompiler -fPIC -L /usr/local/cuda-8.0/lib64/ --expt-relaxed-constexpr\n",
            "lib/g++_complie.sh": TF_INC + "cp cuda_config.h $TF_INC/tensorflow/stream_executor/cuda/\ng++ -std=c++11 -shared -o "
            "deform_conv.so deform_conv.cc deform_conv.cu.o -I $TF_INC -fPIC -lcudart -L $CUDA_HOME/lib64 -D GOOGLE_CUDA=1 "
            "-Wfatal-errors -I $CUDA_HOME/include -D_GLIBCXX_USE_CXX11_ABI=0\n",
        },
        "shell", "deform_conv.so", ("lib/deform_conv.cc",), ("lib/deform_conv.cu.cc",), cuda_libraries=("cudart",),
    ),
    Case(
        "here-document, continuation, quoting", "radiodee1/awesome-tf test_zero_out_gpu/do_build.sh", "zero/zero_out.so",
        {
            **touch("zero/zero out.cc"),
            "zero/do_build.sh": "cat > note.txt <<EOF\ng++ -shared wrong.cc -o zero_out.so\nEOF\ng++ \\\n  -shared \\\n  "
            '"zero out.cc" \\\n  -o zero_out.so -DNAME=\\"zero\\" -DTEXT=\'"a b"\' -I"/usr/lib/x86_64-linux-gnu" # -DNOT\n',
        },
        "shell", "zero_out.so", ("zero/zero out.cc",), defines=('NAME="zero"', 'TEXT="a b"'),
    ),
    Case(
        "a helper library of the project", "cuMF/cumf_als", "ops/als_op.so",
        {
            **touch("ops/als_op.cc", "ops/als.cc", "ops/detail/mat.cc"),
            "ops/build.sh": "g++ -shared -fPIC als.cc detail/mat.cc -o libALS.so -DALS -Idetail\n" + TF_INC
            + "g++ -std=c++11 -shared als_op.cc -o als_op.so -fPIC -I $TF_INC -L. -lALS -lm\n",
        },
        "shell", "als_op.so", ("ops/als_op.cc",), libraries=("m",), helpers=("libALS.so",),
    ),
    Case(
        "backquotes in make, CUDA parts, quoted sources", "sampepose/flownet2-tf Makefile", "src/ops/build/correlation.so",
        {
            **touch("src/ops/correlation/kernel.cc", "src/ops/correlation/op.cc", "src/ops/correlation/kernel.cu.cc"),
            "Makefile": 'TF_INC = `python -c "import tensorflow; print(tensorflow.sysconfig.get_include())"`\n'
            "ifndef CUDA_HOME\n    CUDA_HOME := /usr/local/cuda-8.0\nendif\nCXX = g++\nGPUCC = nvcc\n"
            'CFLAGS = -std=c++11 -I$(TF_INC) -I"$(CUDA_HOME)/include" -DGOOGLE_CUDA=1\n'
            "GPUCFLAGS = -c -gencode=arch=compute_30,code=sm_30\nLFLAGS = -pthread -shared -fPIC\n"
            "GPULFLAGS = -x cu -Xcompiler -fPIC\nCGPUFLAGS = -L$(CUDA_HOME)/lib64 -lcudart\nOUT_DIR = src/ops/build\n"
            'SRC = "src/ops/correlation/kernel.cc" "src/ops/correlation/op.cc"\nGPU_SRC = src/ops/correlation/kernel.cu.cc\n'
            "GPU_PROD = $(OUT_DIR)/kernel_gpu.o\nPROD = $(OUT_DIR)/correlation.so\n"
            "ifeq ($(OS),Windows_NT)\n    detected_OS := Windows\nelse\n"
            "    detected_OS := $(shell sh -c 'uname -s 2>/dev/null || echo not')\nendif\n"
            "ifeq ($(detected_OS),Darwin)  # Mac OS X\n\tCGPUFLAGS += -undefined dynamic_lookup\nendif\n"
            "ifeq ($(detected_OS),Linux)\n\tCFLAGS += -D_FORCE_INLINES -D_GLIBCXX_USE_CXX11_ABI=0\nendif\n\n"
            "all: correlation\n\ncorrelation:\n\t$(GPUCC) -g $(CFLAGS) $(GPUCFLAGS) $(GPU_SRC) $(GPULFLAGS) -o $(GPU_PROD)\n"
            "\t$(CXX) -g $(CFLAGS)  $(SRC) $(GPU_PROD) $(LFLAGS) $(CGPUFLAGS) -o $(PROD)\n\nclean:\n\trm -f $(PROD)\n",
        },
        "make", "correlation.so", ("src/ops/correlation/kernel.cc", "src/ops/correlation/op.cc"),
        ("src/ops/correlation/kernel.cu.cc",), defines=("_FORCE_INLINES",), cuda_libraries=("cudart",), flags=("-pthread",),
    ),
    Case(
        "wildcards, $^, two libraries", "tensorflow/custom-op Makefile (and BUILD)", "zero_out/python/ops/_zero_out_ops.so",
        {
            **touch("zero_out/cc/kernels/zero_out.cc", "zero_out/cc/ops/zero_out.cc", "time_two/cc/time_two.cc"),
            "Makefile": "CXX := g++\nPYTHON_BIN_PATH = python\nSRCS = $(wildcard zero_out/cc/kernels/*.cc) "
            "$(wildcard zero_out/cc/ops/*.cc)\nTF_CFLAGS := $(shell $(PYTHON_BIN_PATH) -c 'import tensorflow as tf; "
            "print(\" \".join(tf.sysconfig.get_compile_flags()))')\nTF_LFLAGS := $(shell $(PYTHON_BIN_PATH) -c 'import "
            "tensorflow as tf; print(\" \".join(tf.sysconfig.get_link_flags()))')\nCFLAGS = ${TF_CFLAGS} -fPIC -O2 -std=c++11\n"
            "LDFLAGS = -shared ${TF_LFLAGS}\nTARGET_LIB = zero_out/python/ops/_zero_out_ops.so\nzero_out_op: $(TARGET_LIB)\n"
            "$(TARGET_LIB): $(SRCS)\n\t$(CXX) $(CFLAGS) -o $@ $^ ${LDFLAGS}\n",
        },
        "make", "_zero_out_ops.so", ("zero_out/cc/kernels/zero_out.cc", "zero_out/cc/ops/zero_out.cc"), flags=("-O2",),
    ),
    Case(
        "pattern rules, VPATH, library only with LIBSO=1", "AlexeyAB/darknet Makefile", "libdarknet.so",
        {
            **touch("src/gemm.c", "src/http.cpp", "src/kernels.cu", "src/yolo.cpp", "include/darknet.h"),
            "Makefile": "GPU=0\nLIBSO=0\nVPATH=./src/\nOBJDIR=./obj/\nifeq ($(LIBSO), 1)\nLIBNAMESO=libdarknet.so\nendif\n"
            "CC=gcc\nCPP=g++ -std=c++11\nOPTS=-Ofast\nLDFLAGS= -lm -pthread\nCOMMON= -Iinclude/ -I3rdparty/stb/include\n"
            "CFLAGS=-Wall -fPIC\nCFLAGS+=$(OPTS)\nifeq ($(GPU), 1)\nCOMMON+= -DGPU -I/usr/local/cuda/include/\nendif\n"
            "OBJ=gemm.o http.o\nifeq ($(GPU), 1)\nOBJ+=kernels.o\nendif\nOBJS = $(addprefix $(OBJDIR), $(OBJ))\n"
            "all: $(OBJDIR) $(LIBNAMESO)\nifeq ($(LIBSO), 1)\n$(LIBNAMESO): $(OBJDIR) $(OBJS) src/yolo.cpp\n\t$(CPP) -shared "
            "-fvisibility=hidden -DLIB_EXPORTS $(COMMON) $(CFLAGS) $(OBJS) src/yolo.cpp -o $@ $(LDFLAGS)\nendif\n"
            "$(OBJDIR)%.o: %.c\n\t$(CC) $(COMMON) $(CFLAGS) -c $< -o $@\n$(OBJDIR)%.o: %.cpp\n\t$(CPP) $(COMMON) $(CFLAGS) -c "
            "$< -o $@\n$(OBJDIR)%.o: %.cu\n\tnvcc $(COMMON) --compiler-options \"$(CFLAGS)\" -c $< -o $@\n",
        },
        "make", "libdarknet.so", ("src/gemm.c", "src/http.cpp", "src/yolo.cpp"), defines=("LIB_EXPORTS",),
        includes=("include",), libraries=("m",), flags=("-Ofast", "-fvisibility=hidden", "-pthread"),
    ),
    Case(
        "objects of two patterns", "openai/blocksparse Makefile", "blocksparse/blocksparse_ops.so",
        {
            **touch("src/norm_op.cc", "src/types.cc", "src/norm_op_gpu.cu", "src/types.h"),
            "Makefile": "TARGET=./build\nall: blocksparse/blocksparse_ops.so\nCUDA_HOME?=/usr/local/cuda-9.2\n"
            "NV_LIB?=$(CUDA_HOME)/lib64\nTF_LIB=$(shell python -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')\n"
            "TF_ABI=$(shell python -c 'import tensorflow as tf; print(tf.__cxx11_abi_flag__ if \"__cxx11_abi_flag__\" in "
            "tf.__dict__ else 0)')\nCCFLAGS=-std=c++11 -O3 -fPIC -DGOOGLE_CUDA=1 -D_GLIBCXX_USE_CXX11_ABI=$(TF_ABI) \\\n\t"
            "-I$(TARGET) \\\n\t-I/usr/local\n\n\t# -I$(NCCL_INC) \\\n\nOBJS=\\\n\t$(TARGET)/norm_op.o \\\n\t$(TARGET)/types.o\n"
            "\t#$(TARGET)/nccl_op.o \\\n\nCU_OBJS=\\\n\t$(TARGET)/norm_op_gpu.cu.o\n\nblocksparse/blocksparse_ops.so: $(OBJS) "
            "$(CU_OBJS)\n\tg++ $^ -shared -o $@ -L$(TF_LIB) -L$(NV_LIB) -ltensorflow_framework -lcudart -lcuda\n\n"
            "$(TARGET)/%.cu.o: src/%.cu $(TARGET)/gen.h\n\tmkdir -p $(shell dirname $@)\n\tnvcc $(NVCCFLAGS) -c $< -o $@\n\n"
            "$(TARGET)/%.o: src/%.cc src/*.h\n\tmkdir -p $(shell dirname $@)\n\tg++ $(CCFLAGS) -c $< -o $@\n",
        },
        "make", "blocksparse_ops.so", ("src/norm_op.cc", "src/types.cc"), ("src/norm_op_gpu.cu",),
        cuda_libraries=("cudart", "cuda"), flags=("-O3",),
    ),
    Case(
        "archive of globbed objects", "lmnt-com/haste Makefile", "frameworks/tf/libhaste_tf.so",
        {
            **touch("lib/gru_gpu.cu.cc", "frameworks/tf/gru.cc", "frameworks/tf/support.cc", "lib/haste.h"),
            "Makefile": "AR ?= ar\nCXX ?= g++\nNVCC ?= nvcc\nPYTHON ?= python\nLOCAL_CFLAGS := -I/usr/include/eigen3 "
            "-I/usr/local/cuda-10.0/include -Ilib -O3\nLOCAL_LDFLAGS := -L/usr/local/cuda-10.0/lib64 -L. -lcudart -lcublas\n"
            "all: haste haste_tf\nhaste:\n\t$(NVCC) -std=c++11 -arch=sm_60 -c lib/gru_gpu.cu.cc -o lib/gru_gpu.o -x cu "
            "-Xcompiler -fPIC $(LOCAL_CFLAGS)\n\t$(AR) -crv libhaste.a lib/*.o\n\nhaste_tf: haste\n\t$(eval TF_CFLAGS := $(shell "
            "$(PYTHON) -c 'import tensorflow as tf; print(\" \".join(tf.sysconfig.get_compile_flags()))'))\n\t$(CXX) -std=c++11 "
            "-c frameworks/tf/gru.cc -o frameworks/tf/gru.o $(LOCAL_CFLAGS) $(TF_CFLAGS) -fPIC\n\t$(CXX) -std=c++11 -c "
            "frameworks/tf/support.cc -o frameworks/tf/support.o $(LOCAL_CFLAGS) $(TF_CFLAGS) -fPIC\n\t$(CXX) -shared "
            "frameworks/tf/*.o libhaste.a -o frameworks/tf/libhaste_tf.so $(LOCAL_LDFLAGS) -fPIC\n",
        },
        "make", "libhaste_tf.so", ("frameworks/tf/gru.cc", "frameworks/tf/support.cc"), ("lib/gru_gpu.cu.cc",),
        includes=("lib",), cuda_libraries=("cudart", "cublas"), flags=("-O3",),
    ),
    Case(
        "bash arrays in make expand to nothing", "walsvid/Pixel2MeshPlusPlus external/Makefile",
        "external/tf_nndistance_so.so",
        {
            **touch("external/tf_nndistance.cpp", "external/tf_nndistance_g.cu"),
            "external/Makefile": "nvcc=/home/wc/resource/cuda-9.0/bin/nvcc\ncudalib=/home/wc/resource/cuda-9.0/lib64\n"
            "TF_CFLAGS=( $(python -c 'import tensorflow as tf; print(\" \".join(tf.sysconfig.get_compile_flags()))') )\n"
            "all: tf_nndistance_so.so\ntf_nndistance_so.so: tf_nndistance_g.cu.o tf_nndistance.cpp\n\tg++ -std=c++11 "
            "tf_nndistance.cpp tf_nndistance_g.cu.o -o tf_nndistance_so.so -shared -fPIC ${TF_CFLAGS[@]} -lcudart -L "
            "$(cudalib) -O2 -D_GLIBCXX_USE_CXX11_ABI=0\ntf_nndistance_g.cu.o: tf_nndistance_g.cu\n\t$(nvcc) -std=c++11 -c -o "
            "tf_nndistance_g.cu.o tf_nndistance_g.cu ${TF_CFLAGS[@]} -DGOOGLE_CUDA=1 -x cu -Xcompiler -fPIC -O2\n",
        },
        "make", "tf_nndistance_so.so", ("external/tf_nndistance.cpp",), ("external/tf_nndistance_g.cu",),
        cuda_libraries=("cudart",), flags=("-O2",),
    ),
    Case(
        "filter-out, nested patsubst, define of unknown value", "Delta-ML/delta core/ops/build.sh + Makefile",
        "core/ops/x_ops.so",
        {
            **touch("core/ops/kernels/fbank.cc", "core/ops/kernels/fbank_test.cc", "core/ops/kernels/rir/noise.cpp"),
            "core/ops/Makefile": "MAKEFILE_DIR := $(shell dirname $(realpath $(lastword $(MAKEFILE_LIST))))\n"
            "MAIN_ROOT := $(realpath $(MAKEFILE_DIR)/../)\nCXX := g++-7\nHOST_OS :=\nifeq ($(OS),Windows_NT)\n\tHOST_OS = windows\n"
            "else\n\tUNAME_S := $(shell uname -s)\n\tifeq ($(UNAME_S),Linux)\n\t\tHOST_OS := linux\n\tendif\nendif\n"
            "OBJDIR := $(MAKEFILE_DIR)/gen/$(HOST_OS)/obj/\nCXXFLAGS :=\nCXXFLAGS += -fPIC -shared -O2 -std=c++11 "
            '-DFEATURE_VERSION=\\"$(shell git rev-parse --short HEAD)\\"\nINCLUDES := -I$(MAIN_ROOT) \\\n\t\t-I$(MAIN_ROOT)/ops \\\n'
            "\t\t-I$(MAIN_ROOT)/ops/cppjieba/deps\nEXCLUDE := \\\n$(wildcard kernels/*test.cc)\nLIB_SRCS_ALL := $(wildcard "
            "kernels/*.cc) \\\n                $(wildcard kernels/rir/*.cpp)\nLIB_SRCS := $(filter-out $(EXCLUDE), "
            "$(LIB_SRCS_ALL))\nLIB_OBJS := $(addprefix $(OBJDIR), $(patsubst %.cc, %.o, $(patsubst %.cpp, %.o, "
            "$(LIB_SRCS))))\nSHARED_LIB := x_ops.so\nall: $(SHARED_LIB)\n$(OBJDIR)%.o: %.cc\n\t@mkdir -p $(dir $@)\n\t$(CXX) "
            "$(CXXFLAGS) $(INCLUDES) -c $< -o $@ $(LDFLAGS)\n$(OBJDIR)%.o: %.cpp\n\t@mkdir -p $(dir $@)\n\t$(CXX) $(CXXFLAGS) "
            "$(INCLUDES) -c $< -o $@ $(LDFLAGS)\n$(SHARED_LIB): $(LIB_OBJS)\n\t$(CXX) -fPIC -shared -o $@ $^ $(LDFLAGS)\n",
        },
        "make", "x_ops.so", ("core/ops/kernels/fbank.cc", "core/ops/kernels/rir/noise.cpp"),
        defines=('FEATURE_VERSION=""',), includes=("core", "core/ops"), flags=("-O2",),
    ),
    Case(
        "static pattern, include, target variables, symlink", "uber/sbnet sbnet_tensorflow/sbnet_ops/Makefile",
        "sbnet_ops/libsbnet.so",
        {
            **touch("sbnet_ops/sparse_gather.cpp", "sbnet_ops/reduce_mask.cpp", "sbnet_ops/common.h"),
            "sbnet_ops/common.mk": "CXXFLAGS = -O2 -fPIC\n",
            "sbnet_ops/Makefile": "include common.mk\nOBJECTS := build/sparse_gather.o build/reduce_mask.o\nlibsbnet.so: "
            "build/libsbnet.so\n\tln -sf $< $@\nbuild/libsbnet.so: CXXFLAGS += -DSBNET\nbuild/libsbnet.so: $(OBJECTS)\n\t$(CXX) "
            "-shared $(CXXFLAGS) -o $@ $+\n$(OBJECTS): build/%.o: %.cpp common.h\n\t$(CXX) $(CXXFLAGS) -I. -c $< -o $@\n",
        },
        "make", "libsbnet.so", ("sbnet_ops/sparse_gather.cpp", "sbnet_ops/reduce_mask.cpp"), defines=("SBNET",),
        includes=("sbnet_ops",), flags=("-O2",),
    ),
    Case(
        "add_library with dead link_directories", "isl-org/Open3D-PointNet2-Semantic3D tf_ops/CMakeLists.txt",
        "tf_ops/build/libtf_grouping.so",
        {
            **touch("tf_ops/tf_grouping.cpp", "tf_ops/tf_grouping_g.cu"),
            "tf_ops/CMakeLists.txt": "cmake_minimum_required(VERSION 3.8 FATAL_ERROR)\nproject(tf_ops LANGUAGES CXX CUDA)\n"
            "set(CMAKE_CXX_STANDARD 11)\nlink_directories(\n    /home/ylao/venvs/s3/lib/python3.6/site-packages/tensorflow\n"
            "    /usr/local/cuda-9.1/lib64\n)\ninclude_directories(\n    "
            "/home/ylao/venvs/s3/lib/python3.6/site-packages/tensorflow/include\n    "
            "${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}\n)\nadd_library(tf_grouping_so SHARED\n    tf_grouping_g.cu\n    "
            "tf_grouping.cpp\n)\ntarget_compile_features(tf_grouping_so PUBLIC cxx_std_11)\ntarget_link_libraries("
            "tf_grouping_so cudart tensorflow_framework)\n",
        },
        "cmake", "libtf_grouping_so.so", ("tf_ops/tf_grouping.cpp",), ("tf_ops/tf_grouping_g.cu",),
        cuda_libraries=("cudart",),
    ),
    Case(
        "libraries of another directory, regex on output", "alibaba/euler build.sh + tf_euler/CMakeLists.txt",
        "tf_euler/python/libtf_euler.so",
        {
            **touch("tf_euler/ops/sample_ops.cc", "tf_euler/kernels/sample_op.cc", "client/graph.cc", "common/hash.cc"),
            "CMakeLists.txt": "cmake_minimum_required(VERSION 3.0)\nproject(euler)\ninclude_directories(${PROJECT_SOURCE_DIR})\n"
            "add_subdirectory(common)\nadd_subdirectory(client)\nadd_subdirectory(tf_euler)\n",
            "common/CMakeLists.txt": "add_library(common STATIC hash.cc)\n",
            "client/CMakeLists.txt": "add_library(client SHARED graph.cc)\ntarget_link_libraries(client common)\n",
            "tf_euler/CMakeLists.txt": 'execute_process(COMMAND python -c "import tensorflow as tf; '
            'print(tf.sysconfig.get_include())" OUTPUT_VARIABLE TF_INC_DIR)\nstring(REGEX REPLACE "\\n$" "" TF_INC_DIR  '
            '"${TF_INC_DIR}")\ninclude_directories(SYSTEM ${TF_INC_DIR})\nfind_library(\n  TF_FRAMEWORK\n  NAMES '
            "tensorflow_framework\n  PATHS ${TF_LIB_DIR}\n)\nadd_library(tf_euler SHARED\n            ops/sample_ops.cc\n            "
            "kernels/sample_op.cc)\ntarget_link_libraries(tf_euler client common ${TF_FRAMEWORK})\n",
        },
        "cmake", "libtf_euler.so", ("tf_euler/ops/sample_ops.cc", "tf_euler/kernels/sample_op.cc", "common/hash.cc"),
        includes=(".",), helpers=("libclient.so",),
    ),
    Case(
        "behind an option that is off, by a function of an included file", "lsds/KungFu CMakeLists.txt",
        "python/kf_tensorflow_ops.so",
        {
            **touch("srcs/ops/common.cpp", "srcs/ops/ako.cpp", "srcs/include/kf.h"),
            "CMakeLists.txt": "CMAKE_MINIMUM_REQUIRED(VERSION 3.5)\nPROJECT(kungfu)\nSET(CMAKE_CXX_STANDARD 14)\n"
            'OPTION(BUILD_TF_OPS "Build tensorflow operators." OFF)\nINCLUDE_DIRECTORIES(${CMAKE_SOURCE_DIR}/srcs/include)\n'
            "IF(BUILD_TF_OPS)\n    INCLUDE(cmake/tf-op.cmake)\n    ADD_TF_OP_LIB(kf_tensorflow_ops #\n                  "
            "srcs/ops/common.cpp\n                  srcs/ops/ako.cpp)\nENDIF()\n",
            "cmake/tf-op.cmake": "FUNCTION(ADD_TF_OP_LIB target)\n    ADD_LIBRARY(${target} SHARED ${ARGN})\n    "
            'SET_TARGET_PROPERTIES(${target} PROPERTIES PREFIX "")\n    TARGET_COMPILE_DEFINITIONS(${target} PRIVATE KF_OPS)\n'
            "ENDFUNCTION()\n",
        },
        "cmake", "kf_tensorflow_ops.so", ("srcs/ops/common.cpp", "srcs/ops/ako.cpp"), defines=("KF_OPS",),
        includes=("srcs/include",),
    ),
    Case(
        "sources in lists, GLOB, OUTPUT_NAME, if", "lmb-freiburg/lmbspecialops CMakeLists.txt + setup.py",
        "build/lib/lmbops.so",
        {
            **touch("src/leaky.cc", "src/median.cc", "src/cuda/leaky_cuda.cu", "src/test/main.cc"),
            "CMakeLists.txt": 'project(lmbops)\noption( BUILD_WITH_CUDA "..."  OFF )\nset( CMAKE_CXX_FLAGS "${CMAKE_CXX_FLAGS} '
            '-Wall -O3" )\nadd_subdirectory( src lib )\n',
            "src/CMakeLists.txt": "file( GLOB SOURCES \"*.cc\" )\nset(DEFS VERSION_INFO=3)\nlist( APPEND DEFS LMB )\n"
            'if( BUILD_WITH_CUDA )\n  file( GLOB CUDA_SOURCES "cuda/*.cu" )\n  list( APPEND SOURCES ${CUDA_SOURCES} )\nelse()\n  '
            "list( APPEND DEFS CPU_ONLY )\nendif()\nadd_library( ops MODULE ${SOURCES} )\nset_target_properties( ops PROPERTIES "
            'PREFIX "" OUTPUT_NAME lmbops COMPILE_FLAGS "-fopenmp" )\ntarget_compile_definitions( ops PRIVATE ${DEFS} )\n'
            'target_link_libraries( ops ${TF_LFLAGS} "-Wl,--no-as-needed" dl )\n',
        },
        "cmake", "lmbops.so", ("src/leaky.cc", "src/median.cc"), defines=("VERSION_INFO=3", "LMB", "CPU_ONLY"),
        libraries=("dl",), flags=("-O3", "-fopenmp"),
    ),
    Case(
        "Extension with the environment's paths", "baidu-research/warp-ctc tensorflow_binding/setup.py",
        "binding/warpctc_tensorflow/kernels.cpython-37m-x86_64-linux-gnu.so",
        {
            **touch("binding/src/ctc_op_kernel.cc", "binding/src/warpctc_op.cc", "include/ctc.h", "src/entry.cpp"),
            "CMakeLists.txt": "project(warp)\ninclude_directories(include)\nadd_library(warpctc SHARED src/entry.cpp)\n",
            "binding/setup.py": "from __future__ import print_function\nimport os, platform, sys\nimport setuptools\n"
            'try:\n    import tensorflow as tf\nexcept ImportError:\n    raise RuntimeError("no tf")\n'
            'enable_gpu = "CUDA_HOME" in os.environ\nif "TENSORFLOW_SRC_PATH" not in os.environ:\n    print("define", '
            "file=sys.stderr)\n    sys.exit(1)\nif platform.system() == 'Darwin':\n    lib_ext = '.dylib'\nelse:\n    lib_ext = "
            "'.so'\nwarp_ctc_path = '../build'\nif 'WARP_CTC_PATH' in os.environ:\n    warp_ctc_path = "
            "os.environ['WARP_CTC_PATH']\nroot_path = os.path.realpath(os.path.dirname(__file__))\n"
            "tf_include = tf.sysconfig.get_include()\ntf_src_dir = os.environ['TENSORFLOW_SRC_PATH']\n"
            "include_dirs = [tf_include, tf_src_dir] + [os.path.join(root_path, '../include')]\n"
            "if tf.__version__ >= '1.4':\n    include_dirs += [tf_include + '/external/nsync/public']\n"
            "TF_CXX11_ABI = os.getenv('TF_CXX11_ABI') if os.getenv('TF_CXX11_ABI') is not None else '0'\n"
            "extra_compile_args = ['-std=c++11', '-fPIC', '-D_GLIBCXX_USE_CXX11_ABI=' + TF_CXX11_ABI]\n"
            "if (enable_gpu):\n    extra_compile_args += ['-DWARPCTC_ENABLE_GPU']\n"
            "lib_srcs = ['src/ctc_op_kernel.cc', 'src/warpctc_op.cc']\next = setuptools.Extension('warpctc_tensorflow.kernels',\n"
            "    sources = lib_srcs, language = 'c++', include_dirs = include_dirs, library_dirs = [warp_ctc_path],\n"
            "    runtime_library_dirs = [os.path.realpath(warp_ctc_path)], libraries = ['warpctc'],\n"
            "    extra_compile_args = extra_compile_args)\nsetuptools.setup(name='w', ext_modules = [ext])\n",
        },
        "setup.py", "kernels.so", ("binding/src/ctc_op_kernel.cc", "binding/src/warpctc_op.cc"), includes=("include",),
        helpers=("libwarpctc.so",),
    ),
    Case(
        "Python 2 setup.py, arguments by compiler, Cython's C file", "endernewton/tf-faster-rcnn lib/setup.py",
        "lib/nms/gpu_nms.so",
        {
            **touch("lib/nms/nms_kernel.cu", "lib/nms/gpu_nms.pyx", "lib/nms/gpu_nms.cpp", "lib/nms/gpu_nms.hpp"),
            "lib/setup.py": "import os\nimport numpy as np\nfrom distutils.core import setup\nfrom distutils.extension import "
            "Extension\nfrom Cython.Distutils import build_ext\n\ndef locate_cuda():\n    if 'CUDAHOME' in os.environ:\n        home "
            "= os.environ['CUDAHOME']\n    else:\n        home = '/usr/local/cuda-8.0'\n    cudaconfig = {'home':home, 'include': "
            "os.path.join(home, 'include'), 'lib64': os.path.join(home, 'lib64')}\n    for k, v in cudaconfig.iteritems():\n"
            "        if not os.path.exists(v):\n            print 'missing %s' % k\n    return cudaconfig\nCUDA = locate_cuda()\n"
            "try:\n    numpy_include = np.get_include()\nexcept AttributeError, e:\n    numpy_include = np.get_numpy_include()\n"
            "ext_modules = [Extension('nms.gpu_nms', ['nms/nms_kernel.cu', 'nms/gpu_nms.pyx'],\n    library_dirs=[CUDA['lib64']],"
            " libraries=['cudart'], language='c++',\n    extra_compile_args={'gcc': ['-Wno-unused-function', '-O3'], 'nvcc': "
            "['-arch=sm_52', '-c']},\n    include_dirs = [numpy_include, CUDA['include'], 'nms'])]\nsetup(name='x', "
            "ext_modules=ext_modules)\n",
        },
        "setup.py", "gpu_nms.so", ("lib/nms/gpu_nms.cpp",), ("lib/nms/nms_kernel.cu",), includes=("lib/nms",),
        cuda_libraries=("cudart",), flags=("-O3",),
    ),
    Case(
        "sources by glob in a function", "HuguesTHOMAS/KPConv cpp_wrappers/cpp_subsampling/setup.py",
        "wrappers/grid_subsampling.cpython-36m-x86_64-linux-gnu.so",
        {
            **touch("wrappers/grid/grid.cpp", "wrappers/wrapper.cpp", "wrappers/cpp_utils/cloud.cpp"),
            "wrappers/setup.py": "import glob\nfrom distutils.core import setup, Extension\nimport numpy.distutils.misc_util\n\n"
            'SOURCES = ["cpp_utils/cloud.cpp",\n           "wrapper.cpp"]\n\ndef more():\n    return sorted(glob.glob("grid/*.cpp"))\n\n'
            'module = Extension(name="grid_subsampling",\n                   sources=SOURCES + more(),\n                   '
            'define_macros=[("GRID", None), ("LEVEL", "2")],\n                   extra_compile_args=["-std=c++11", '
            '"-D_GLIBCXX_USE_CXX11_ABI=0"])\nsetup(ext_modules=[module], include_dirs='
            "numpy.distutils.misc_util.get_numpy_include_dirs())\n",
        },
        "setup.py", "grid_subsampling.so", ("wrappers/cpp_utils/cloud.cpp", "wrappers/wrapper.cpp", "wrappers/grid/grid.cpp"),
        defines=("GRID", "LEVEL=2"),
    ),
    Case(
        "genrule with a command", "google/tf_mesh_renderer mesh_renderer/kernels/BUILD", "mesh/kernels/rasterize_kernel.so",
        {
            **touch("mesh/kernels/rasterize_grad.cc", "mesh/kernels/rasterize_op.cc", "mesh/kernels/rasterize.h", "WORKSPACE"),
            "mesh/kernels/BUILD": 'genrule(\n    name = "compile_the_thing",\n    srcs = ["rasterize_grad.cc",\n            '
            '"rasterize_op.cc",\n            "rasterize.h"],\n    outs = ["rasterize_kernel.so"],\n    cmd = "TF_INC=$$(python -c '
            "'import tensorflow as tf; print(tf.sysconfig.get_include())');\\\n           g++ -std=c++11 -shared $(SRCS) -o $@ "
            '-fPIC -I$$TF_INC -I$$TF_INC/external/nsync/public -DMESH -ltensorflow_framework -O2",\n)\n',
        },
        "bazel", "rasterize_kernel.so", ("mesh/kernels/rasterize_grad.cc", "mesh/kernels/rasterize_op.cc"),
        defines=("MESH",), flags=("-O2",),
    ),
    Case(
        "cc_binary linkshared", "tensorflow/addons tools/install_so_files.sh + BUILD", "addons/image/_image_ops.so",
        {
            **touch("addons/image/cc/kernels/transform_op.cc", "addons/image/cc/kernels/transform_op.h", "WORKSPACE"),
            **touch("addons/image/cc/ops/image_ops.cc", "addons/image/cc/kernels/transform_gpu.cu.cc"),
            "addons/image/BUILD": 'licenses(["notice"])\npackage(default_visibility = ["//visibility:public"])\nload("//a:b.bzl", '
            '"if_cuda")\ncc_binary(\n    name = "_image_ops.so",\n    srcs = [\n        "cc/kernels/transform_op.cc",\n        '
            '"cc/kernels/transform_op.h",\n        "cc/ops/image_ops.cc",\n    ],\n    copts = ["-pthread", "-std=c++11", '
            '"-D_GLIBCXX_USE_CXX11_ABI=0"] + select({"//tools:windows": ["/DWIN"], "//conditions:default": ["-DADDONS"]}),\n    '
            'linkshared = 1,\n    deps = [\n        "@local_config_tf//:libtensorflow_framework",\n        '
            '"@local_config_tf//:tf_header_lib",\n    ],\n)\n',
        },
        "bazel", "_image_ops.so", ("addons/image/cc/kernels/transform_op.cc", "addons/image/cc/ops/image_ops.cc"),
        defines=("ADDONS",), includes=(".",), flags=("-pthread",),
    ),
    Case(
        "macro with CUDA sources, deps across packages", "tensorflow/recommenders-addons tools/install_so_files.sh + BUILD",
        "core/_hash_ops.so",
        {
            **touch("core/kernels/hash.cc", "core/kernels/hash_gpu.cu.cc", "core/ops/hash_ops.cc", "lib/util.cc", "lib/util.h"),
            "WORKSPACE": "",
            "lib/BUILD": 'cc_library(name = "util", srcs = ["util.cc"], hdrs = ["util.h"], defines = ["UTIL"])\n',
            "core/BUILD": 'load("//:tf.bzl", "custom_op_library")\nOPS = ["ops/hash_ops.cc"]\ncustom_op_library(\n    name = '
            '"_hash_ops.so",\n    srcs = glob(["kernels/*.cc"], exclude = ["kernels/*.cu.cc"]) + OPS,\n    cuda_srcs = '
            '["kernels/hash_gpu.cu.cc"],\n    deps = ["//lib:util", "@sparsehash_c11//:sparsehash"],\n)\n',
        },
        "bazel", "_hash_ops.so", ("core/kernels/hash.cc", "core/ops/hash_ops.cc", "lib/util.cc"),
        ("core/kernels/hash_gpu.cu.cc",), defines=("UTIL",), includes=(".",),
    ),
    Case(
        "compile() in the loading module", "simonmeister/UnFlow src/e2eflow/ops.py", "ops/correlation_op.so",
        {
            **touch("ops/correlation_op.cc", "ops/correlation_op.cu.cc", "ops/downsample_op.cc", "ops/downsample_op.cu.cc"),
            "config.ini": "[compile]\ng++ = g++-4.8\n",
            "src/flow/ops.py": "import os\nimport sys\nimport tensorflow as tf\nimport subprocess\nimport configparser\n"
            "OP_NAMES = ['downsample', 'correlation']\ncwd = os.getcwd()\nos.chdir(os.path.dirname(os.path.realpath(__file__)))\n"
            'os.chdir("../../ops")\nconfig = configparser.ConfigParser()\nconfig.read("../config.ini")\n\ndef compile(op=None):\n'
            "    if op is not None:\n        to_compile = [op]\n    else:\n        to_compile = OP_NAMES\n    tf_inc = \" \".join("
            'tf.sysconfig.get_compile_flags())\n    tf_lib = " ".join(tf.sysconfig.get_link_flags())\n    for n in to_compile:\n'
            '        base = n + "_op"\n        fn_cu_cc = base + ".cu.cc"\n        fn_cu_o = base + ".cu.o"\n        fn_cc = base + '
            '".cc"\n        fn_so = base + ".so"\n        nvcc_cmd = "nvcc -std=c++11 -c -o {} {} {} -D GOOGLE_CUDA=1 -x cu '
            '-Xcompiler -fPIC -I /usr/local --expt-relaxed-constexpr"\n        nvcc_cmd = nvcc_cmd.format(" ".join([fn_cu_o, '
            "fn_cu_cc]),\n                                   tf_inc, tf_lib)\n        subprocess.check_output(nvcc_cmd, "
            'shell=True)\n        gcc_cmd = "{} -std=c++11 -shared -o {} {} -fPIC -L /usr/local/cuda-8.0/lib64 -lcudart {} -O2"\n'
            "        gcc_cmd = gcc_cmd.format(config['compile']['g++'],\n                                 \" \".join([fn_so, "
            "fn_cu_o, fn_cc]),\n                                 tf_inc, tf_lib)\n        subprocess.check_output(gcc_cmd, "
            'shell=True)\n\nif __name__ == "__main__":\n    compile()\n\nfor n in OP_NAMES:\n    lib_path = '
            "'./{}_op.so'.format(n)\n    try:\n        op_lib = tf.load_op_library(lib_path)\n    except:\n        compile(n)\n"
            "        op_lib = tf.load_op_library(lib_path)\n",
        },
        "jit", "correlation_op.so", ("ops/correlation_op.cc",), ("ops/correlation_op.cu.cc",), cuda_libraries=("cudart",),
        flags=("-O2",),
    ),
    Case(
        "plug-in compiled by nvcc into a cache", "NVlabs/stylegan2 dnnlib/tflib/custom_ops.py",
        "dnnlib/tflib/_cudacache/upfirdn_2d_0123456789abcdef0123456789abcdef.so",
        {
            **touch("dnnlib/tflib/ops/upfirdn_2d.cu"),
            "dnnlib/tflib/ops/upfirdn_2d.py": "import os\nfrom .. import custom_ops\n\ndef _get_plugin():\n    return "
            "custom_ops.get_plugin(os.path.splitext(__file__)[0] + '.cu')\n",
        },
        "jit", "upfirdn_2d.so", (), ("dnnlib/tflib/ops/upfirdn_2d.cu",),
    ),
    Case(
        "argument list, cwd", "NVIDIA/DALI dali_tf_plugin/dali_tf_plugin_install_tool.py", "plugin/libplug.so",
        {
            **touch("plugin/src/a.cc", "plugin/src/b.cc", "plugin/include/p.h"),
            "plugin/install_tool.py": "import os, subprocess\nfrom pathlib import Path\nimport tensorflow as tf\n"
            "HERE = Path(__file__).parent\n\nclass Build:\n    def run(self):\n        srcs = [str(p) for p in "
            "(HERE / 'src').glob('*.cc')]\n        cmd = [os.environ.get('CXX_OF_MINE', 'g++'), '-shared', '-O2', '-DNDEBUG', "
            "f'-I{HERE}/include', *tf.sysconfig.get_compile_flags(), '-o', 'libplug.so'] + srcs\n        "
            "subprocess.check_call(cmd + tf.sysconfig.get_link_flags(), cwd=str(HERE))\n",
        },
        "jit", "libplug.so", ("plugin/src/a.cc", "plugin/src/b.cc"), defines=("NDEBUG",), includes=("plugin/include",),
        flags=("-O2",),
    ),
    Case(
        "README command only", "mbaradad/munkres-tensorflow README.md", "hungarian.so",
        {
            **touch("hungarian.cc", "munkres.cpp"),
            "README.md": "# Munkres\n\nTo compile:\n\n    TF_INC=$(python -c 'import tensorflow as tf; "
            "print(tf.sysconfig.get_include())')\n    g++ -std=c++11 -shared hungarian.cc munkres.cpp -o hungarian.so -fPIC -I "
            "$TF_INC\n\nor `pip install it`.\n",
        },
        "readme", "hungarian.so", ("hungarian.cc", "munkres.cpp"),
    ),
    Case(
        "a command in the loading file's comment", "mbaradad/munkres-tensorflow README.md", "ops/grl_op.so",
        {
            **touch("ops/grl.cc"),
            "ops/grl_op.py": "# compile with:\n#   g++ -std=c++11 -shared grl.cc -o grl_op.so -fPIC -DGRL -I \\\n#     "
            "/home/me/tensorflow/include\nimport tensorflow as tf\nlib = tf.load_op_library('./grl_op.so')\n",
        },
        "comment", "grl_op.so", ("ops/grl.cc",), defines=("GRL",),
    ),
    Case(
        "no recipe: the stem, its header's source, the kernels of its op", "", "ops/roi_pooling.so",
        {
            "ops/cc/roi_pooling_op.cc": REGISTER.format("RoiPooling") + '#include "util/area.h"\n',
            "ops/cc/roi_pooling_kernel.cc": 'REGISTER_KERNEL_BUILDER(Name("RoiPooling").Device(DEVICE_CPU), Op);\n',
            "ops/cc/util/area.h": "", "ops/cc/util/area.cc": "", "ops/cc/roi_pooling_test.cc": "", "ops/cc/other.cc": "",
        },
        "none", "roi_pooling.so", ("ops/cc/roi_pooling_kernel.cc", "ops/cc/roi_pooling_op.cc", "ops/cc/util/area.cc"),
        includes=("ops/cc", "ops/cc/util"),
    ),
    Case(
        "no recipe: only the ops tell", "", "lib/custom.so",
        {
            "native/pool.cc": REGISTER.format("RoiPooling"), "native/align.cc": REGISTER.format("RoiAlign"),
            "lib/readme.txt": "",
        },
        "none", "custom.so", ("native/pool.cc",), includes=("native",), ops=("RoiPooling",),
    ),
    Case(
        "the recipe's output has another name: the ops tell", "", "libs/pool_v2.so",
        {
            "src/pool.cc": REGISTER.format("RoiPooling"),
            "src/build.sh": "g++ -shared -fPIC -DPOOL pool.cc -o libmine.so\n",
        },
        "shell", "libmine.so", ("src/pool.cc",), defines=("POOL",), ops=("RoiPooling",),
    ),
]  # fmt: skip
