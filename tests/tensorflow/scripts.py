"""The user's scripts. Each loads the op in its own way and prints the same line in a working world."""

from __future__ import annotations

import opkit

HEAD = """\
import os
import sys
import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
v1 = tf.compat.v1
v1.disable_eager_execution()
"""

TAIL = """
image = np.arange(64, dtype=np.float32).reshape(8, 8)
rois = np.array([[0, 0, 4, 4], [2, 2, 8, 8], [7, 0, 8, 1]], np.int32)
with v1.Session() as session:
    pooled = POOLED
    print("pooled", *session.run(pooled), count())
"""

COUNT = """
def count():
    with open("/proc/self/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if line.count("/") and "roi" in line.rsplit("/", 1)[1]}
    return "op libraries: %d" % len([path for path in paths if "helper" not in path and "base" not in path])
"""

LOAD = 'roi_ops = tf.load_op_library(os.path.join(HERE, "ops", "roi_pool.so"))\n'


def script(load: str, pooled: str = "roi_ops.roi_pool(tf.constant(image), tf.constant(rois))") -> str:
    """A script that loads the op by the lines ``load`` and runs it."""
    return HEAD + COUNT + load + TAIL.replace("POOLED", pooled)


#: How a graph is built for kernels that were loaded without a Python module (tf.load_library).
BY_NAME = (
    "v1.get_default_graph().create_op('RoiPool', [tf.constant(image), tf.constant(rois)], [tf.float32]).outputs[0]"
)


def build(world: opkit.TfWorld) -> None:
    """The op with its helper inside, in ops/."""
    world.op(own_helper=True)


def with_helper(world: opkit.TfWorld) -> None:
    """The op and the helper library that it needs, side by side."""
    world.helper()
    world.op(needs=["ops/libroi_helper.so"])


def with_two_levels(world: opkit.TfWorld) -> None:
    """The op, a helper, and what the helper needs."""
    with open(opkit.HELPER) as handle:
        source = handle.read().replace("roi_maximum", "roi_base").replace('#include "roi_helper.h"', "")
    world.write("ops/base.cc", source)
    opkit.gcc(["-shared", "-fPIC", world.path("ops/base.cc"), "-o", world.path("ops/libroi_base.so"),
               "-Wl,-soname,libroi_base.so"])  # fmt: skip
    world.library("ops/libroi_helper.so", opkit.FORWARDING_HELPER, needs=["ops/libroi_base.so"], runpath="$ORIGIN")
    world.op(needs=["ops/libroi_helper.so"])
