"""Fifty ways in which real code deals with a failing load, each reduced to a script that runs.

``CASES[number] = (file name, text, kinds)``: one kind for each failing load, in the order in which they
happen. The scripts stem from public repositories (named where that helps); what they catch, how their
loops end and where the second attempt stands is as there. ``tensorflow`` is the stand-in of
callsite_child.py: a real dlopen that fails, reported as ``errors.NotFoundError``.
"""

from __future__ import annotations

_TF = "import os, sys, ctypes\nimport tensorflow as tf\nfrom tensorflow.python.framework import errors_impl\n"
_C = "import os, sys, ctypes\n"

CASES = {
    1: ("unflow.py", _TF + '''
def compile(name, flags=""):
    os.system("make -s -C build {} >/dev/null 2>&1".format(name))

def load(name):
    try:
        return tf.load_op_library("./build/{}.so".format(name))
    except:
        compile(name)
        return tf.load_op_library("./build/{}.so".format(name))

load("correlation_op")
''', ("compile", "none")),
    2: ("compile_n.py", _TF + '''
def compile(n):
    os.system("make -s -C ops " + n + " >/dev/null 2>&1")

n = "warp_op"
try:
    op = tf.load_op_library("ops/" + n + ".so")
except:
    compile(n)
    op = tf.load_op_library("ops/" + n + ".so")
''', ("compile", "none")),
    3: ("abi.py", _TF + '''
def build(abi):
    os.system("make -s -C ops ABI={} >/dev/null 2>&1".format(abi))

path = os.path.join(os.path.dirname(__file__), "ops", "knn.so")
try:
    knn = tf.load_op_library(path)
except:
    try:
        build(0)
        knn = tf.load_op_library(path)
    except:
        build(1)
        knn = tf.load_op_library(path)
''', ("compile", "compile", "none")),
    4: ("gxx.py", _C + '''
try:
    lib = ctypes.CDLL("./libfast.so")
except:
    os.system("make -s libfast.so CXX=g++ >/dev/null 2>&1")
    lib = ctypes.CDLL("./libfast.so")
''', ("compile", "none")),
    5: ("codegen_user.py", _C + '''
class codegen:
    @staticmethod
    def compile_shared_object():
        return "/nowhere/libcodegen.so"

def load_function(path):
    try:
        return ctypes.cdll.LoadLibrary(path)
    except Exception:
        path = codegen.compile_shared_object()
        return ctypes.cdll.LoadLibrary(path)

load_function("libcodegen.so")
''', ("compile", "none")),
    6: ("load_module.py", _TF + '''
from tensorflow.python.framework import errors
import site

def load_module(name):
    try:
        path = os.path.join(os.path.dirname(__file__), "../../core/ops", name)
        return tf.load_op_library(path)
    except (IOError, errors.NotFoundError):
        path = os.path.join("/nowhere/site-packages", "tensorflow_quantum/core/ops", name)
        return tf.load_op_library(path)

load_module("_tfq_simulate_ops.so")
''', ("alternative", "none")),
    7: ("roi.py", _TF + '''
try:
    _roi = tf.load_op_library(os.path.join(os.path.dirname(__file__), "lib", "roi_pooling.so"))
except:
    _roi = tf.load_op_library("./roi_pooling.so")
''', ("alternative", "none")),
    8: ("augment.py", _C + '''
class Augment(object):
    def __init__(self):
        try:
            self.lib = ctypes.cdll.LoadLibrary("libaugment.so")
        except:
            self.lib = ctypes.cdll.LoadLibrary(os.path.join("build", "libaugment.so"))

Augment()
''', ("alternative", "none")),
    9: ("physics.py", _C + '''
try:
    physics = ctypes.CDLL("physics.so")
except:
    physics = ctypes.CDLL("./physics.so")
''', ("alternative", "none")),
    10: ("sys_path.py", _TF + '''
ROOTS = ["/nowhere/a", "/nowhere/b"]

def _load():
    for root in ROOTS:
        try:
            return tf.load_op_library(os.path.join(root, "_ops.so"))
        except errors_impl.NotFoundError:
            pass
    raise NotImplementedError("no library in sys.path")

_load()
''', ("alternative", "reraise")),
    11: ("tfio_ops.py", _TF + '''
def _load_library(filename, lib="op"):
    filenames = [os.path.join("/nowhere/here", filename), os.path.join("/nowhere/datapath", filename)]
    if lib == "op":
        load_fn = tf.load_op_library
    errs = []
    for f in filenames:
        try:
            l = load_fn(f)
            if l is not None:
                return l
        except (tf.errors.NotFoundError, OSError) as e:
            errs.append(str(e))
    raise NotImplementedError("unable to open file: " + str(filenames) + " caused by: " + str(errs))

_load_library("libtensorflow_io.so")
''', ("alternative", "reraise")),
    12: ("tfio_init.py", _TF + '''
import warnings
def _load_library(filename):
    errs = []
    for f in [os.path.join("/nowhere", filename)]:
        try:
            return tf.load_op_library(f)
        except (tf.errors.NotFoundError, OSError) as e:
            errs.append(str(e))
    raise NotImplementedError("unable to open file: " + str(errs))

try:
    plugin_ops = _load_library("libtensorflow_io_plugins.so")
except NotImplementedError as e:
    warnings.filterwarnings("ignore")
    try:
        plugin_ops = _load_library("libtensorflow_io.so")
    except NotImplementedError as e:
        warnings.warn("file system plugins are not loaded: {}".format(e))
        plugin_ops = None
''', ("alternative", "optional")),
    13: ("ffmpeg.py", _TF + '''
def _load_library(filename):
    for f in ["/nowhere/" + filename]:
        try:
            return tf.load_op_library(f)
        except (tf.errors.NotFoundError, OSError) as e:
            pass
    raise NotImplementedError("unable to open file")

def _load_dependency_and_library(p):
    for library in p:
        try:
            v = _load_library(library)
            return v
        except NotImplementedError as e:
            pass
    raise NotImplementedError("could not find ffmpeg")

_load_dependency_and_library(["ffmpeg_4.2.so", "ffmpeg_3.4.so", "ffmpeg_2.8.so"])
''', ("alternative", "alternative", "reraise")),
    14: ("gcs.py", _TF + '''
import warnings
def _load_library(filename):
    try:
        return tf.load_library(filename)
    except (tf.errors.NotFoundError, OSError) as e:
        raise NotImplementedError("unable to open file: " + filename)

try:
    plugin_ops = _load_library("/nowhere/libtensorflow_io_gcs_filesystem.so")
except NotImplementedError as e:
    warnings.simplefilter("ignore")
    warnings.warn("file system plugin for gs are not loaded: {}".format(e))
''', ("optional",)),
    15: ("dali.py", _TF + '''
def load_dali_tf_plugin():
    processed, first_error, module = [], None, None
    libs = ["/nowhere/libdali_tf_current.so", "/nowhere/libdali_tf_1_15.so", "/nowhere/libdali_tf_2_1.so"]
    for lib in libs:
        try:
            module = tf.load_op_library(lib)
            break
        except tf.errors.NotFoundError as error:
            if first_error is None:
                first_error = error
    else:
        raise first_error or Exception("No matching DALI plugin found for installed TensorFlow version")
    return module

load_dali_tf_plugin()
''', ("alternative", "alternative", "reraise")),
    16: ("open3d.py", _TF + '''
_lib_path = [os.path.join("/nowhere", a, "open3d_tf_ops.so") for a in ("cuda", "cpu")]
_load_except = None
_loaded = False
for _p in _lib_path:
    try:
        _lib = tf.load_op_library(_p)
        _loaded = True
        break
    except Exception as ex:
        _load_except = ex
        if not os.path.exists(_p):
            print("The op library does not exist: {}".format(_p), file=sys.stderr)
if not _loaded:
    raise _load_except
''', ("alternative", "reraise")),
    17: ("darknet.py", _C + '''
gpu, nogpu = "/nowhere/yolo_cpp_dll.so", "/nowhere/yolo_cpp_dll_nogpu.so"
try:
    if os.environ["CALLSITE_FORCE_CPU"]:
        raise ValueError("ForceCPU")
    lib = ctypes.CDLL(gpu, ctypes.RTLD_GLOBAL)
except (KeyError, ValueError):
    lib = ctypes.CDLL(nogpu, ctypes.RTLD_GLOBAL)
''', ("none",)),
    18: ("distort.py", _TF + '''
import warnings
class LazySO:
    def __init__(self, path):
        self.path, self._ops = path, None
    @property
    def ops(self):
        if self._ops is None:
            self._ops = tf.load_op_library(self.path)
        return self._ops

_so = LazySO("/nowhere/_image_ops.so")

def adjust(image):
    try:
        return _so.ops.addons_adjust_hsv_in_yiq(image)
    except tf.errors.NotFoundError:
        warnings.simplefilter("ignore")
        warnings.warn("falling back to the python op", RuntimeWarning)
    return image * 2

adjust(3)
''', ("optional",)),
    19: ("math_ops.py", _TF + '''
from tensorflow.python.framework import errors
try:
    _math = tf.load_op_library("/nowhere/_math_ops.so")
    segment = _math.sparse_segment_sum
except errors.NotFoundError:
    def segment(data, ids):
        return data
''', ("optional",)),
    20: ("deepv2d.py", _TF + '''
try:
    back = tf.load_op_library("/nowhere/back_project.so")
    @tf.RegisterGradient("BackProject")
    def _grad(op, grad):
        return back.grad(grad)
    use_cuda = True
except:
    use_cuda = False
    print("using pure tensorflow back projection")
''', ("optional",)),
    21: ("slow.py", _TF + '''
sys.modules["slow_fallback"] = os
try:
    fast = tf.load_op_library("/nowhere/fast.so")
except tf.errors.AlreadyExistsError:
    pass
except Exception:
    import slow_fallback as fast
''', ("alternative",)),
    22: ("secure_random.py", _TF + '''
import logging
logging.disable(logging.CRITICAL)
SO = "/nowhere/secure_random_module_tf_{}.so"
try:
    module = tf.load_op_library(SO.format("1.15.0"))
    seed = module.secure_seed
except tf.errors.NotFoundError:
    module = None
    logging.warning("Falling back to insecure randomness since the required custom op could not be found")
''', ("optional",)),
    23: ("int64.py", _TF + '''
import logging
logging.disable(logging.CRITICAL)
def try_load(path):
    try:
        return tf.load_op_library(path)
    except tf.errors.NotFoundError:
        logging.warning("not found, slow path")
        return None
    except Exception as e:
        logging.error(e)
        return None
ops = try_load("/nowhere/matmul.so")
if ops is not None:
    print("fast")
''', ("optional",)),
    24: ("avx.py", _TF + '''
import logging
logging.disable(logging.CRITICAL)
try:
    ops = tf.load_op_library("/nowhere/libstr_avx_op.so")
    string_split = ops.avx512_string_split
except Exception as ex:
    logging.warning("exception: %s" % str(ex))
    ops = None

def split(text):
    if ops is None:
        return text.split()
    return ops.avx512_string_split(text)
split("a b")
''', ("optional",)),
    25: ("easyrec.py", _TF + '''
import logging
try:
    lib = tf.load_op_library("/nowhere/libcustom_ops.so")
except Exception:
    lib = None
''', ("optional",)),
    26: ("keras_ops.py", _TF + '''
import logging
logging.disable(logging.CRITICAL)
if tf.VERSION == "1.15":
    directory = "/nowhere/1.15"
else:
    directory = "/nowhere/2.12"
try:
    custom_ops = tf.load_op_library(os.path.join(directory, "libcustom_ops.so"))
except Exception as ex:
    logging.warning("load libcustom_ops.so failed: %s" % str(ex))
    custom_ops = None
''', ("optional",)),
    27: ("kafka.py", _TF + '''
kafka = os.path.join(os.path.dirname(__file__), "kafka.so")
open(kafka, "w").close()
module = None
if os.path.exists(kafka):
    try:
        module = tf.load_op_library(kafka)
    except Exception as ex:
        print("load failed: %s" % ex, file=sys.stderr)
''', ("optional",)),
    28: ("incr.py", _TF + '''
def new_form():
    try:
        ops = tf.load_op_library("/nowhere/incr.so")
        return ops.a, ops.b
    except ImportError:
        return None, None
    except Exception:
        return None, None

def old_form():
    try:
        return tf.load_op_library("/nowhere/incr_old.so")
    except ImportError:
        return None

new_form()
old_form()
''', ("optional", "none")),
    29: ("predictor.py", _TF + '''
class Predictor(object):
    def __init__(self):
        try:
            tf.load_op_library("/nowhere/libpredict.so")
        except Exception as ex:
            print("error: %s" % ex, file=sys.stderr)
        self.graph = 1
Predictor()
''', ("optional",)),
    30: ("boosted_trees.py", _TF + '''
from tensorflow.python.framework import errors
_op = None
try:
    _op = tf.load_op_library("/nowhere/_model_ops.so")
except (errors.NotFoundError, IOError):
    print("Error loading _model_ops.so", file=sys.stderr)
''', ("optional",)),
    31: ("lingvo.py", _TF + '''
try:
    from lingvo_static import gen_ops
except ImportError:
    gen_ops = tf.load_op_library("/nowhere/x_ops.so")
''', ("none",)),
    32: ("trt.py", _TF + '''
from tensorflow.python.framework import errors
try:
    trt = tf.load_op_library("/nowhere/_trt_engine_op.so")
except errors.NotFoundError as e:
    no_trt_message = "**** Failed to initialize TensorRT ****"
    print(no_trt_message, file=sys.stderr)
    raise e
''', ("reraise",)),
    33: ("decision_forests.py", _TF + '''
def check_version(tf_version, compatible):
    print("version", tf_version, file=sys.stderr)

try:
    ops = tf.load_op_library("/nowhere/training.so")
except Exception as e:
    check_version("2.21", ["2.20"])
    raise e
''', ("reraise",)),
    34: ("deepmd_tf.py", _TF + '''
def get_module(name):
    file = "/nowhere/lib{}.so".format(name)
    try:
        module = tf.load_op_library(file)
    except tf.errors.NotFoundError as e:
        if tf.VERSION != "1.14":
            raise RuntimeError("built against another TensorFlow, " + tf.VERSION) from e
        error = "This deepmd-kit package is inconsitent with TensorFlow runtime"
        raise RuntimeError(error) from e
    return module
get_module("deepmd_op")
''', ("reraise",)),
    35: ("deepmd_pt.py", _C + '''
def load_library(name):
    try:
        ctypes.CDLL(name)
    except OSError as e:
        if os.environ.get("CALLSITE_NO_SUCH") == "1":
            raise RuntimeError("a") from e
        raise RuntimeError("b: CXX11_ABI_FLAG differs") from e
    return True
load_library("/nowhere/libdeepmd_op_pt.so")
''', ("reraise",)),
    36: ("horovod_mpi_ops.py", _TF + '''
def check_installed_version(name, version, e):
    if name == "other":
        raise ImportError("Extension was not built")

def _load_library(name):
    library = tf.load_op_library("/nowhere/" + name)
    return library

try:
    MPI_LIB = _load_library("mpi_lib.so")
except Exception as e:
    check_installed_version("tensorflow", tf.VERSION, e)
    raise e
''', ("reraise",)),
    37: ("register.py", _TF + '''
def register_all():
    for path in ["/nowhere/a.so", "/nowhere/b.so"]:
        try:
            tf.load_op_library(path)
        except tf.errors.NotFoundError as e:
            raise RuntimeError("One of the shared objects ({}) could not be loaded.".format(path)) from e
register_all()
''', ("reraise",)),
    38: ("setup.py", _TF + '''
def test_flags():
    for flags in (["-lfoo"], ["-lbar"]):
        try:
            tf.load_op_library("/nowhere/build/test_flags.so")
            return flags
        except Exception:
            pass
test_flags()
''', ("probe", "probe")),
    39: ("jpeg.py", _C + '''
try:
    turbo = ctypes.CDLL("libturbojpeg-absent.so")
    use_turbo = True
except OSError:
    use_turbo = False
    print("using PIL")
''', ("optional",)),
    40: ("feature.py", _C + '''
HAVE = False
try:
    ctypes.CDLL("libfeature-absent.so")
    HAVE = True
except (ImportError, OSError):
    pass
''', ("optional",)),
    41: ("driver.py", _C + '''
def gpus():
    try:
        cuda = ctypes.CDLL("libcuda-absent.so")
    except OSError:
        return 0
    return cuda.count()

if gpus() > 0:
    print("gpu")
try:
    nvml = ctypes.CDLL("libnvml-absent.so")
except Exception:
    pass
''', ("optional", "optional")),
    42: ("nested.py", _C + '''
try:
    lib = ctypes.CDLL("/nowhere/1/libx.so")
except:
    try:
        lib = ctypes.CDLL("/nowhere/2/libx.so")
    except:
        try:
            lib = ctypes.CDLL("/nowhere/3/libx.so")
        except:
            lib = None
            print("feature off", file=sys.stderr)
''', ("alternative", "alternative", "optional")),
    43: ("versions.py", _C + '''
try:
    lib = ctypes.CDLL("libX-absent.so")
except:
    lib = ctypes.CDLL("libX-absent.so.5")
''', ("alternative", "none")),
    44: ("package_dir.py", _C + '''
def load(name):
    try:
        return ctypes.CDLL(name)
    except OSError:
        here = os.path.dirname(os.path.abspath(__file__))
        return ctypes.CDLL(os.path.join(here, name))
load("libpkg-absent.so")
''', ("alternative", "none")),
    45: ("soundfile.py", _C + '''
class _ffi:
    @staticmethod
    def dlopen(name):
        return ctypes.CDLL(name)
try:
    _libname = None or "libsndfile-absent.so"
    _snd = _ffi.dlopen(_libname)
except (OSError, ImportError, TypeError):
    _packaged = "libsndfile_x86_64.so"
    try:
        _path = "/nowhere/_soundfile_data"
        _full = os.path.join(_path, _packaged)
        _snd = _ffi.dlopen(_full)
    except (OSError, ImportError, TypeError):
        if sys.platform == "darwin":
            _hbrew = "/opt/homebrew/lib/libsndfile.dylib"
        else:
            _hbrew = "libsndfile-absent.so.1"
        _snd = _ffi.dlopen(_hbrew)
''', ("alternative", "alternative", "none")),
    46: ("xgboost_lib.py", _C + '''
class XGBoostError(ValueError):
    pass

def _load_lib():
    lib_paths = ["/nowhere/lib/libxgboost.so", "/nowhere/libxgboost.so"]
    lib_success = False
    os_error_list = []
    for lib_path in lib_paths:
        try:
            lib = ctypes.cdll.LoadLibrary(lib_path)
            setattr(lib, "path", os.path.normpath(lib_path))
            lib_success = True
        except OSError as e:
            os_error_list.append(str(e))
            continue
        finally:
            os.environ["CALLSITE_PATH"] = ""
    if not lib_success:
        libname = os.path.basename(lib_paths[0])
        raise XGBoostError("XGBoost Library ({}) could not be loaded. {}".format(libname, os_error_list))
    return lib
_load_lib()
''', ("alternative", "reraise")),
    47: ("fake.py", _C + '''
class FakeLibrary(object):
    def __getattr__(self, name):
        raise AttributeError(name)
try:
    library = ctypes.CDLL("libreal-absent.so")
except:
    library = FakeLibrary()
''', ("optional",)),
    48: ("debugging.py", _C + '''
try:
    lib = ctypes.CDLL("/nowhere/libgpu_nms.so")
except:
    import pdb
    pdb.set_trace()
''', ("reraise",)),
    49: ("silent.py", _C + '''
try:
    ctypes.CDLL("libsilent-absent.so")
except:
    pass
''', ("optional",)),
    50: ("already.py", _TF + '''
try:
    ops = tf.load_op_library("/nowhere/already.so")
except tf.errors.AlreadyExistsError:
    ops = sys.modules["already"]
''', ("none",)),
}  # fmt: skip
