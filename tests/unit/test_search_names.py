"""Which names may stand for which: every rule of the survey, with the neighbours that it must not reach."""

from __future__ import annotations

import pytest

from dlrepair.search import names

OWN = names.extension_suffixes()[0]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("libfoo.so", ("libfoo", "", ".so", "")),
        ("libfoo.so.1.2.3", ("libfoo", "", ".so", "1.2.3")),
        ("foo.cpython-37m-x86_64-linux-gnu.so", ("foo", "cpython-37m-x86_64-linux-gnu", ".so", "")),
        ("foo.abi3.so", ("foo", "abi3", ".so", "")),
        ("libx_tf_1.13.1.so", ("libx_tf_1.13.1", "", ".so", "")),
        ("libfoo.1.2.dylib", ("libfoo", "", ".dylib", "1.2")),
        ("foo.cp311-win_amd64.pyd", ("foo", "cp311-win_amd64", ".pyd", "")),
        ("libfoo.so.debug", ("libfoo.so.debug", "", "", "")),
        ("foo.sources", ("foo.sources", "", "", "")),
        (".so", (".so", "", "", "")),
        ("foo", ("foo", "", "", "")),
    ],
)
def test_split(name: str, parts: object) -> None:
    assert names.split(name) == parts


@pytest.mark.parametrize(
    ("wanted", "found", "rule"),
    [
        ("roi_pooling.so", "roi_pooling.so", "exact"),
        ("roi_pooling.so", "libroi_pooling.so", "lib-prefix"),
        ("libroi_pooling.so", "roi_pooling.so", "lib-prefix"),
        ("tf_sampling_so.so", "libtf_sampling.so", "lib-prefix+affix"),
        ("roi_pooling.so", "roi_pooling_op.so", "affix"),
        ("roi_pooling_op.so", "roi_pooling_ops.so", "affix"),
        ("tf_nndistance_so.so", "tf_nndistance.so", "affix"),
        ("tf_nndistance_so.so", "nndistance_so.so", "affix"),
        ("augment.so", "augment_kernels.so", "affix"),
        ("roi_pooling.so", "_roi_pooling.so", "underscore"),
        ("c_lib.so", "c_lib" + OWN, "python-suffix"),
        ("c_lib.cpython-26-none.so", "c_lib" + OWN, "python-suffix"),
        ("c_lib.cpython-26-none.so", "c_lib.so", "python-suffix"),
        ("c_lib.so", "c_lib.cpython-26-none.so", "python-tag"),
        ("libfoo.dylib", "libfoo.so", "platform-suffix"),
        ("foo.dll", "libfoo.so", "lib-prefix+platform-suffix"),
        ("physics", "physics.so", "platform-suffix"),
        ("libQt5Widgets.so", "libQt5Widgets.so.5", "soname-version"),
        ("libfoo.so.1", "libfoo.so.1.2.3", "soname-version"),
        ("libfoo.so.1.2", "libfoo.so.1", "soname-version"),
        ("libfoo.so.1", "libfoo.so", "soname-version"),
        ("libfoo.1.dylib", "libfoo.so.1", "platform-suffix"),
    ],
)
def test_a_name_that_may_stand_for_another(wanted: str, found: str, rule: str) -> None:
    assert names.Names(wanted, "ctypes").match(found) == rule


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("libfoo.so.1", "libfoo.so.2"),
        ("libfoo.so.1", "libfoo.so.10"),
        ("libdali_tf_1_15.so", "libdali_tf_2_4.so"),
        ("secure_random_tf_1.13.1.so", "secure_random_tf_1.15.0.so"),
        ("secure_random_tf_1.13.1.so", "secure_random.so"),
        ("upfirdn_5d41402abc4b2a76b9719d911017c592.so", "upfirdn.so"),
        ("upfirdn.so", "upfirdn_5d41402abc4b2a76b9719d911017c592.so"),
        ("tf_ops.so", "ops.so"),
        ("lib_ops.so", "ops.so"),
        ("a_op.so", "a.so"),
        ("roi_pooling.so", "roi_pooling.so.bak"),
        ("roi_pooling.so", "roi_pooling.sources"),
        ("roi_pooling.so", "roi_pooling.cc"),
        ("roi_pooling.so", "lib_tf_roi_pooling_op.so"),
        ("roi_pooling.so", "roi_pooling2.so"),
        ("roi_pooling.so", "roi_pooling.dylib"),
        ("x.so.1", "xy.so.1"),
    ],
)
def test_a_name_that_may_not(wanted: str, found: str) -> None:
    assert names.Names(wanted, "ctypes").match(found) is None


def test_the_exact_name_comes_first_and_every_name_once() -> None:
    for wanted in ("roi_pooling.so", "libtf_sampling_so.so", "_mask.so", "x", "libfoo.so.1", "a.dylib", "op.so"):
        pairs = names.variants(wanted, "tensorflow")
        assert pairs[0] == (wanted, "exact")
        assert len({name for name, _ in pairs}) == len(pairs)
        costs = [names.cost(rule) for _, rule in pairs]
        assert costs == sorted(costs)
        assert len(pairs) < 150


def test_the_last_component_is_the_name() -> None:
    assert names.variants("../build/foo.so", "ctypes")[0] == ("foo.so", "exact")
    assert names.variants("a/b/", "ctypes") == []
    assert names.variants("", "ctypes") == []
    assert names.variants("..", "ctypes") == []


def test_an_extension_module_keeps_its_stem() -> None:
    own = names.Names("fast" + OWN, "import")
    assert own.match("fast.so") == "python-suffix"
    assert own.match("fast.abi3.so") == "python-suffix"
    for other in ("libfast.so", "fast_op.so", "_fast.so", "fast.cpython-26-none.so", "fast.so.1"):
        assert own.match(other) is None


def test_a_dependency_keeps_its_name_but_for_the_version() -> None:
    own = names.Names("libfoo.so.1", "ctypes", "dependency")
    assert own.match("libfoo.so.1") == "exact"
    assert own.match("libfoo.so.1.2") == "soname-version"
    assert own.match("libfoo.so") == "soname-version"
    for other in ("foo.so.1", "libfoo.so.2", "libfoo_op.so.1", "libfoo.cpython-26-none.so"):
        assert own.match(other) is None


def test_a_free_step_takes_the_very_name_only() -> None:
    own = names.Names("libfoo.so", "ctypes", exact=True)
    assert own.match("libfoo.so") == "exact"
    for other in ("foo.so", "libfoo.so.1", "libfoo" + OWN):
        assert own.match(other) is None


@pytest.mark.parametrize(
    "name", ["a" * 100000, "lib" * 5000 + ".so", ".so" * 9000, "x.so." + "1." * 9000, "\udcff.so", "é.so"]
)
def test_hostile_names_are_only_names(name: str) -> None:
    own = names.Names(name, "tensorflow")
    assert own.match(name) == "exact"
    assert own.match("other.so") is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("sliced_argmax.so", "sliced_argmax_cpu.so"),
        ("sliced_argmax_gpu.so", "sliced_argmax.so"),
        ("sliced_argmax_gpu.so", "sliced_argmax_cpu.so"),
        ("foo_cuda.so", "foo.so"),
        ("foo_server.so", "foo.so"),
        ("foo_debug.so", "foo.so"),
        ("foo_op.so", "foo_op_gpu.so"),
        ("foo_op.so", "foo_gpu_op.so"),
        ("foo_gpu_op.so", "foo_op.so"),
    ],
)
def test_another_build_is_proposed_last_and_as_such(wanted: str, found: str) -> None:
    rule = names.Names(wanted, "ctypes").match(found)
    assert rule == "twin"
    assert not names.is_plain(rule)
    assert names.cost(rule) > names.cost("affix+lib-prefix")
    assert names.is_twin(wanted, found) and names.may_be_taken(wanted, found)
    assert names.Names(wanted, "import").match(found) is None
    assert names.Names(wanted, "ctypes", exact=True).match(found) is None
    assert names.Names(wanted, "ctypes", "dependency").match(found) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("roi.so", "roi_tf2.4.so"), ("roi_cu113.so", "roi_cu118.so"), ("libroi.so.3", "libroi.so.4")],
)
def test_consent_to_other_builds_holds_of_one_release(one: str, other: str) -> None:
    assert names.is_twin(one, other) and not names.may_be_taken(one, other)


@pytest.mark.parametrize(
    ("one", "other", "twins"),
    [
        ("roi.so", "roi_gpu.so", True),
        ("libroi_cpu.so", "roi_op_gpu.so", True),
        ("libroi.so.3", "libroi.so.4", True),
        ("ops_tf1.so", "ops_tf2.so", False),  # nothing is left that names a library
        ("roi_tf1.15.so", "roi_tf2.4.so", True),
        ("roi_cu113.so", "libroi_cu118.so", True),
        ("roi_0123456789ab.so", "roi_ba9876543210.so", True),
        ("roi.so", "libeverything.so", False),
        ("pointnet.so", "pointnet2.so", False),
        ("roi_gpu.so", "nms_gpu.so", False),
        ("roi_op.so", "libroi.so", False),
        ("decade.so", "facade.so", False),  # hexadecimal digits only, and words
        ("", "x.so", False),
    ],
)
def test_two_builds_of_one_library(one: str, other: str, twins: bool) -> None:
    assert names.is_twin(one, other) is names.is_twin(other, one) is twins
