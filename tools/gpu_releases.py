"""Real CUDA builds of TensorFlow on a machine with a made GPU: which names their loader opens, and what dlrepair does.

    python tools/gpu_releases.py [--output PAGE] [RELEASE…]      about 600 MB and three minutes a release; needs root

Each published wheel is unpacked beside the packages of the test environment of that release (``.envs/``). It runs in a
mount namespace of its own whose ``/dev`` has the nodes of NVIDIA's driver. The driver itself is made: a libcuda.so.1
and a libnvidia-ml.so.1 that report one device, with every function that this TensorFlow knows; CUDA's libraries are
empty ones that bear the right SONAMEs. Two runs: without dlrepair, and with its hook.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests")]

import envs  # noqa: E402
import hooked  # noqa: E402
from interpreters import bare_env, site_packages  # noqa: E402

from dlrepair.repair.gpu import wanted_names  # noqa: E402

#: release -> (distribution, environment of its other packages)
RELEASES = {
    "1.15.5": ("tensorflow-gpu", "tf115"), "2.4.4": ("tensorflow", "tf24"), "2.10.1": ("tensorflow", "tf210"),
    "2.15.1": ("tensorflow", "tf215"), "2.21.0": ("tensorflow", "tf221"),
}  # fmt: skip

NODES = """mount -t tmpfs -o mode=755 tmpfs /dev && mkdir /dev/shm && mknod -m 666 /dev/null c 1 3 &&
mknod -m 666 /dev/zero c 1 5 && mknod -m 666 /dev/urandom c 1 9 &&
for name in nvidiactl nvidia0; do mknod -m 666 /dev/$name c 195 255; done && exec "$@"
"""
PROGRAM = """import tensorflow as tf
config = tf.config if hasattr(tf.config, "list_physical_devices") else tf.config.experimental
print("devices", len(config.list_physical_devices("GPU")))
"""
#: what the made driver answers; every other function returns 0
ANSWERS = {
    "cuDriverGetVersion": "int *v) { *v = 12050; return 0; }", "cuDeviceGetCount": "int *v) { *v = 1; return 0; }",
    "cuDeviceGet": "int *v, int n) { *v = n; return 0; }",
    "cuDeviceGetName": 'char *s, int n, int d) { strncpy(s, "Made GPU", n); return 0; }',
    "cuDeviceGetPCIBusId": 'char *s, int n, int d) { strncpy(s, "0000:01:00.0", n); return 0; }',
    "cuDeviceGetAttribute": "int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 0 : a == 10 ? 32 : 80; return 0; }",
    "cuDeviceTotalMem_v2": "unsigned long *v, int d) { *v = 1ul << 34; return 0; }",
    "cuMemGetInfo_v2": "unsigned long *f, unsigned long *v) { *f = *v = 1ul << 34; return 0; }",
    "cuDevicePrimaryCtxRetain": "void **c, int d) { static int x; *c = &x; return 0; }",
    "cuCtxGetCurrent": "void **c) { static int x; *c = &x; return 0; }",
    "nvmlSystemGetDriverVersion": 'char *s, unsigned n) { strncpy(s, "550.54.15", n); return 0; }',
}


def library(path: str, source: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    soname = "-Wl,-soname," + os.path.basename(path)
    command = ["gcc", "-shared", "-fPIC", "-w", "-x", "c", "-", "-o", path, soname]
    subprocess.run(command, input=("#include <string.h>\n" + source).encode(), check=True)


def driver(package: str, place: str) -> None:
    """The libraries of a driver with one device, with the functions whose names this TensorFlow holds."""
    names = set(ANSWERS)
    for path in glob.glob(package + "/libtensorflow_*.so.2") + glob.glob(package + "/python/_pywrap_tensorflow_in*.so"):
        with open(path, "rb") as file:
            names |= {one.decode() for one in re.findall(rb"\0((?:cu|nvml)[A-Z]\w{2,60})(?=\0)", file.read())}
    source = {"cu": "", "nv": ""}
    for name in sorted(names):
        source[name[:2]] += "int {}({}\n".format(name, ANSWERS.get(name, "void) { return 0; }"))
    library(place + "/libcuda.so.1", source["cu"])
    library(place + "/libnvidia-ml.so.1", source["nv"])


def run(python: str, place: str, home: str, **more: str) -> tuple[int, str, int]:
    """(devices that TensorFlow has, its output, exit status)."""
    env = bare_env(HOME=home, LD_LIBRARY_PATH=place, TF_CPP_VMODULE="dso_loader=1", TF_CPP_MIN_LOG_LEVEL="0", **more)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", NODES, "sh", python, "-c", PROGRAM], env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    found = re.search(r"^devices (\d+)$", done.stdout, re.MULTILINE)
    return int(found.group(1)) if found else -1, done.stdout, done.returncode


def opened(text: str, words: str) -> list[str]:
    """CUDA libraries that TensorFlow's log names after ``words``, without the driver's and TensorRT's."""
    found = dict.fromkeys(re.findall(words + r"'?(lib\w+\.so[.\d]*)", text))
    return [name for name in found if not name.startswith(("libcuda.", "libnvidia", "libnvinfer", "libnccl"))]


def try_release(release: str, top: str) -> dict[str, object]:
    distribution, base = RELEASES[release]
    env = envs.find_env(base)
    assert env is not None, "no interpreter for TensorFlow " + release
    python = hooked.make(envs.make(env), os.path.join(top, "env"))
    site = site_packages(python)
    hooked.run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", top, "{}=={}".format(distribution, release)])
    (wheel,) = glob.glob(os.path.join(top, "*.whl"))
    shutil.unpack_archive(wheel, site, "zip")
    package = os.path.join(site, "tensorflow_core" if os.path.isdir(site + "/tensorflow_core") else "tensorflow")
    names = wanted_names(package)
    driver(package, os.path.join(top, "driver"))
    before = run(python, os.path.join(top, "driver"), os.path.join(top, "home"), DLREPAIR="off")
    for name in names:
        library(os.path.join(site, "nvidia", "made", "lib", name), "int made;")
    runs = [run(python, os.path.join(top, "driver"), os.path.join(top, "home")) for _ in range(2)]
    spent = []
    for path in glob.glob(os.path.join(top, "home", ".local", "state", "dlrepair", "journal", "*.jsonl")):
        with open(path, encoding="utf-8") as journal:
            events = [json.loads(line) for line in journal]
        spent += [event["ms"] for event in events if event["event"] == "load-repaired"]
    return {
        "release": release, "names": names, "missed": opened(before[1], "Could not load dynamic library "),
        "opened": opened(runs[0][1], "opened dynamic library "), "before": before[0], "after": runs[0][0], "ms": spent,
    }  # fmt: skip


def page(rows: list[dict[str, object]]) -> str:
    lines = ["| TensorFlow | GPUs without | GPUs with | its loader opens | preloaded besides | first, again (ms) |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for row in rows:
        names, done = list(row["names"]), list(row["opened"])  # type: ignore[call-overload]
        besides = ", ".join(name for name in names if name not in done) or "none"
        spent = ", ".join("{:.0f}".format(ms) for ms in row["ms"])  # type: ignore[attr-defined]
        shown = (row["release"], row["before"], row["after"], ", ".join(done), besides, spent)
        lines.append("| " + " | ".join(map(str, shown)) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("releases", nargs="*", default=list(RELEASES))
    parser.add_argument("--output", help="file for the table")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as top:
        for release in arguments.releases:
            place = os.path.join(top, release)
            os.mkdir(place)
            rows.append(try_release(release, place))
            shutil.rmtree(os.path.join(place, "env", "venv"))  # dlrepair's own wheel, beside it, serves the next
            os.unlink(glob.glob(os.path.join(place, "*.whl"))[0])
            sys.stderr.write("{}\n".format(rows[-1]))
    text = page(rows)
    sys.stdout.write(text)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            file.write(text)
    short = [row for row in rows if row["after"] != 1 or set(row["missed"]) - set(row["names"])]  # type: ignore
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
