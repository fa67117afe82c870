"""What is read and written of C++ sources without a compiler: comments, the ladder's rewrites, command lines."""

from __future__ import annotations

import os

import pytest

from dlrepair.build import commands, compiler, eras, includes, lexer, objects, precompiled
from dlrepair.model.build import Recipe
from dlrepair.model.toolchain import Compiler, TensorFlow, Toolchain

GXX = Compiler(("/usr/bin/g++",), "/usr/bin/g++-12", "g++ 12.2.0", "gcc", 12)
NVCC = Compiler(("/usr/local/cuda/bin/nvcc",), "/usr/local/cuda/bin/nvcc", "V12.4", "nvcc", 12)


def tensorflow(version: str = "2.21.0", standard: str = "c++17", cuda: bool = False) -> TensorFlow:
    flags = ("-I/env/tensorflow/include", "-D_GLIBCXX_USE_CXX11_ABI=1", "--std=" + standard)
    link = ("-L/env/tensorflow", "-l:libtensorflow_framework.so.2")
    return TensorFlow(version, "v" + version, "/env/tensorflow/include", "/env/tensorflow/libtensorflow_framework.so.2",
                      flags, link, standard, cuda)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int a; // x\nint b;", "int a;\nint b;"),
        ("int /* x */ a;", "int a;"),
        ("\n  int a;  /* x */", "\nint a;"),
        ('char *s = "/* no */"; // c', 'char *s = "/* no */";'),
        ("int a = 1'000; // '", "int a = 1'000;"),
        ('auto r = R"x(// no)")x"; // c', 'auto r = R"x(// no)")x";'),
        ("int a;\n// the end\n", "int a;\n"),
        ("char c = '\"'; /* \" */ int d;", "char c = '\"'; int d;"),
    ],
)
def test_comments_do_not_count(one: str, other: str) -> None:
    assert lexer.without_comments(one) == lexer.without_comments(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("// x\nint a;", "int a;"),  # __LINE__
        ("/* x\n */ int a;", "/* x */ int a;"),
        ("int a/**/b;", "int ab;"),
        ('char *s = "a  b";', 'char *s = "a b";'),
        ('auto r = R"(a\n// b\n)";', 'auto r = R"(a\n)";'),
        ("#define F (x) 1", "#define F(x) 1"),
        ("#define X a /*\n*/ b", "#define X a\nb"),
        ("#include <a//b>", "#include <a>"),
        ("// x \\\nint hidden;\nint a;", "// x\nint hidden;\nint a;"),
    ],
)
def test_code_counts(one: str, other: str) -> None:
    assert lexer.without_comments(one) != lexer.without_comments(other)


def step(name: str) -> eras.EraStep:
    return eras.by_name([name])[0]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("status-ok", "return Status::OK();", "return ::tensorflow::Status();"),
        ("status-ok", "return ::tensorflow::Status::OK();", "return ::tensorflow::Status();"),
        ("status-ok", "return tf::Status::OK();", "return ::tensorflow::Status();"),
        ("status-ok", "return leveldb::Status::OK();", "return leveldb::Status::OK();"),
        ("status-ok", '// Status::OK()\nLOG("Status::OK()");', '// Status::OK()\nLOG("Status::OK()");'),
        ("status-message", "s.error_message()", "s.message()"),
        ("status-code", "Status(error::INVALID_ARGUMENT, m)", "Status(::absl::StatusCode::kInvalidArgument, m)"),
        ("status-code", "tensorflow::error::Code::NOT_FOUND", "::absl::StatusCode::kNotFound"),
        ("status-code", "errors::InvalidArgument(m)", "errors::InvalidArgument(m)"),
        ("short-integers", "flat<uint8>()", "flat<uint8_t>()"),
        ("short-integers", "Eigen::uint8 x; DT_INT8", "Eigen::uint8 x; DT_INT8"),
        ("long-integers", "int64 n = tensorflow::int64(3);", "int64_t n = tensorflow::int64(3);"),
        ("string-tensor", "t->flat<string>()(0)", "t->flat<::tensorflow::tstring>()(0)"),
        ("string-tensor", "std::vector<string> names", "std::vector<string> names"),
        ("thread-annotations", "int n GUARDED_BY(mu_);", "int n TF_GUARDED_BY(mu_);"),
        ("thread-annotations", "int n TF_GUARDED_BY(mu_);", "int n TF_GUARDED_BY(mu_);"),
        ("register", "register int i = 0;", "int i = 0;"),
        ("array-slice", "gtl::ArraySlice<int64> s", "::absl::Span<const int64> s"),
    ],
)
def test_rewrites(name: str, old: str, new: str) -> None:
    assert eras.rewrite(old, [step(name)], ["tf"]) == new


def test_every_step_keeps_lines() -> None:
    text = "register int a;\nreturn Status::OK();\nuint8 b;\nmutable int n GUARDED_BY(mu_);\n"
    assert eras.rewrite(text, eras.STEPS).count("\n") == text.count("\n")


def test_what_a_release_is_known_to_need() -> None:
    text = "return Status::OK();"
    assert [one.name for one in eras.known(tensorflow("2.21.0"), [text])] == ["status-ok"]
    assert eras.known(tensorflow("2.10.1"), [text]) == ()
    assert eras.known(None, [text]) == ()


def test_a_step_of_last_resort_waits() -> None:
    both = "x.cc:1: error: 'OK' is not a member of 'absl::Status' [-fpermissive]"
    assert [one.name for one in eras.called_for(both, [])] == ["status-ok"]
    assert [one.name for one in eras.called_for(both, [step("status-ok")])] == ["permissive"]


def test_moved_headers(tmp_path: object) -> None:
    include = str(tmp_path)
    os.makedirs(os.path.join(include, "unsupported/Eigen/CXX11"))
    with open(os.path.join(include, "unsupported/Eigen/CXX11/Tensor"), "w"):
        pass
    wanted = "third_party/eigen3/unsupported/Eigen/CXX11/Tensor"
    assert eras.forwards([wanted, "mine.h"], include) == {wanted: "unsupported/Eigen/CXX11/Tensor"}
    assert eras.missing_headers("a.cc:1:10: fatal error: {}: No such file or directory".format(wanted)) == [wanted]


def test_aliases() -> None:
    assert eras.aliases(["namespace tf = tensorflow;", "namespace x = ::tensorflow ;"]) == ("tf", "x")


OPS = '#include "tensorflow/core/framework/op.h"\nREGISTER_OP("One").Input("a: float");\n// REGISTER_OP("Two")\n'


def scan(tmp_path: object, text: str = OPS) -> includes.Scan:
    path = os.path.join(str(tmp_path), "op.cc")
    with open(path, "w") as stream:
        stream.write(text)
    return includes.Scan([path], [])


def test_ops_that_sources_register(tmp_path: object) -> None:
    found = scan(tmp_path)
    assert (found.ops(), found.uses_tensorflow) == (("One",), True)


def unit(tmp_path: object, recipe: Recipe, chain: Toolchain) -> list[commands.Unit]:
    return commands.units(recipe, chain, scan(tmp_path))


def test_flags_are_the_running_tensorflows(tmp_path: object) -> None:
    source = os.path.join(str(tmp_path), "op.cc")
    recipe = Recipe("op.so", (source,), standard="c++11", flags=("-O0", "-fopenmp"), defines=("A=1",))
    (one,) = unit(tmp_path, recipe, Toolchain(GXX, tensorflow()))
    assert one.argv[:5] == ["/usr/bin/g++", "-std=c++17", "-O2", "-fPIC", "-w"]
    assert "-O0" not in one.argv and {"-fopenmp", "-DA=1", "-DNDEBUG"} <= set(one.argv)
    link = commands.link(recipe, Toolchain(GXX, tensorflow()), ["op.o"], "op.so", [])
    assert link[-2:] != [] and "-l:libtensorflow_framework.so.2" in link and "-fopenmp" in link


@pytest.mark.parametrize(
    ("asked", "theirs", "chosen"),
    [("c++11", "c++17", "c++17"), ("c++20", "c++17", "c++20"), ("c++17", "c++14", "c++14"),
     ("gnu++2a", "c++17", "c++20"), ("", "c++14", "c++14"), ("c++98", "c++14", "c++14")],
)  # fmt: skip
def test_standards(asked: str, theirs: str, chosen: str) -> None:
    recipe = Recipe("op.so", ("op.cc",), standard=asked)
    assert commands.standard(recipe, Toolchain(GXX, tensorflow(standard=theirs))) == chosen


def test_cuda_parts(tmp_path: object) -> None:
    """The command line only: `make test-cuda` runs a real nvcc."""
    source, kernel = (os.path.join(str(tmp_path), name) for name in ("op.cc", "op.cu.cc"))
    recipe = Recipe("op.so", (source,), cuda_sources=(kernel,), cuda_libraries=("cudart", "cufft"), cuda=True)
    host = unit(tmp_path, recipe, Toolchain(GXX, tensorflow()))
    assert [one.language for one in host] == ["c++"] and "-DGOOGLE_CUDA=1" not in host[0].argv
    chain = Toolchain(GXX, tensorflow(cuda=True), NVCC, "/usr/local/cuda", ("-ccbin", "/usr/bin/g++"))
    both = unit(tmp_path, recipe, chain)
    assert [one.language for one in both] == ["c++", "cuda"]
    assert "-DGOOGLE_CUDA=1" in both[0].argv and "-DGOOGLE_CUDA=1" in both[1].argv
    assert both[1].argv[:3] == ["/usr/local/cuda/bin/nvcc", "-ccbin", "/usr/bin/g++"]
    for name in ("cudart", "cufft"):
        path = os.path.join(str(tmp_path), "cuda", "lib64", "lib{}.so".format(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w"):
            pass
    own = Toolchain(GXX, tensorflow(cuda=True), NVCC, os.path.join(str(tmp_path), "cuda"))
    link = commands.link(recipe, own, ["a.o", "b.o"], "op.so", [])
    assert [word[-12:] for word in link if word.endswith(".so")] == ["op.so", "libcudart.so", "/libcufft.so"]


@pytest.mark.parametrize(
    ("flag", "kept"),
    [
        ("-fopenmp", True), ("-ffast-math", True), ("-O3", True), ("-fno-strict-aliasing", True), ("-mavx2", True),
        ("-fplugin=/p/evil.so", False), ("-B/p", False), ("-specs=/p/x", False), ("-wrapper", False), ("@/p/x", False),
        ("-flto", False), ("-O0", False), ("-fprofile-use=/p/x", False), ("-Wl,-rpath,/p", False), ("-fPIC", False),
    ],
)  # fmt: skip
def test_flags_of_a_recipe(flag: str, kept: bool, tmp_path: object) -> None:
    source = os.path.join(str(tmp_path), "op.cc")
    recipe = Recipe("op.so", (source,), flags=(flag,))
    (one,) = unit(tmp_path, recipe, Toolchain(GXX, tensorflow()))
    own = [word for word in one.argv if word != "-fPIC"]
    assert (flag in own) is kept


TF = '#include "tensorflow/core/framework/op.h"\n'


@pytest.mark.parametrize(
    ("source", "headers", "valid"),
    [
        (TF + "#define X 1\n", [], True),
        ("#define EIGEN_USE_THREADS\n" + TF, [], False),
        ("#ifndef A_H\n#define A_H\n" + TF + "#endif\n", [], True),
        ('#include "own.h"\n' + TF, ["#define EIGEN_USE_THREADS\n"], False),
        ('#include "own.h"\n' + TF, ["#pragma once\nint x;\n"], True),
        (TF + '#include "own.h"\n', ["#define EIGEN_USE_THREADS\n"], True),
        ("// #define X\n" + TF, [], True),
        ("int x;\n", [], False),
    ],
)
def test_where_a_precompiled_header_is_valid(source: str, headers: list[str], valid: bool) -> None:
    assert precompiled.is_valid_for(source, headers) is valid


@pytest.mark.parametrize(
    ("output", "own"),
    [
        ("/p/a.cc: In function 'int f()':\n/p/a.cc:3:10: error: 'x' was not declared in this scope\n", True),
        ("In file included from /p/a.cc:1:\n/p/../p/a.h:3: error: expected ';' before 'int'\n  3 | int\n", True),
        ("/p/a.cc:1:10: fatal error: gone.h: No such file or directory\n", True),
        ("/p/a.cc:3:10: error: reference to 'Status' is ambiguous\n", False),
        ("/p/a.cc:3:10: error: redefinition of 'struct S'\n/p/a.cc:4:1: error: expected ';'\n", False),
        ("/p/a.cc:3:1: error: expected ')'\n/p/b.h:1:9: note: in expansion of macro 'CHECK'\n", False),
        ("/p/a.cc:3:1: error: expected ')'\n/p/a.cc:4:1: error: x\n note: in expansion of macro 'CHECK'\n", True),
        ("/tf/op.h:3:10: error: 'x' was not declared in this scope\n", False),
        ("cc1plus: out of memory\n", False),
    ],
)  # fmt: skip
def test_errors_that_a_precompiled_header_cannot_cause(output: str, own: bool) -> None:
    assert precompiled.is_the_sources_own(output, {"/p/a.cc": "", "/p/a.h": ""}) is own


def test_dependency_files(tmp_path: object) -> None:
    path = os.path.join(str(tmp_path), "a.d")
    with open(path, "w") as stream:
        stream.write("a.o: /p/a.cc /p/with\\ space.h \\\n /p/b$$.h\n")
    assert objects.read_dependencies(path) == ["/p/a.cc", "/p/with space.h", "/p/b$.h"]


@pytest.mark.parametrize(
    ("output", "first"),
    [
        ("In file included\na.cc:1:2: error: one\nb.cc:1:1: error: two\n", "a.cc:1:2: error: one"),
        ("ld: a.o: undefined reference to `f'\ncollect2: error: x\n", "ld: a.o: undefined reference to `f'"),
        ("/usr/bin/ld: cannot find -lfoo\n", "/usr/bin/ld: cannot find -lfoo"),
        ("", ""),
    ],
)  # fmt: skip
def test_first_error(output: str, first: str) -> None:
    assert compiler.first_error(output) == first
