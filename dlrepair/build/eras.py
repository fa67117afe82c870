"""What moved between releases of TensorFlow, as ordered data: the ladder that a private copy of old sources climbs.

A step says by which words of the compiler it is called for, or from which release on it is known to be needed, and what
it does: it rewrites code (never comments or literals, never lines), forwards a header to where it lies now, or
adds a flag. Each follows from a real op or from the headers of two releases, and means the same in the release that it
is applied for.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterable, Mapping

    from dlrepair.model.toolchain import TensorFlow

#: bumped when a step changes what it makes of the same source
VERSION = "2"


@dataclass(frozen=True)
class EraStep:
    """One thing that moved."""

    name: str
    what: str  #: one clause for the journal and the user
    #: regular expression over the compiler's output: it calls for the step
    asks: str
    #: (regular expression over code, replacement), applied in order
    rewrites: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()
    #: TensorFlow's own headers that are rewritten, in copies that come before them; nothing of the project's is then
    headers: tuple[str, ...] = ()
    #: whether it is looked at only where no other step is called for
    last: bool = False
    #: release from which on the step is applied without waiting for an error, where ``rewrites`` find something
    known_from: tuple[int, int] = (99, 0)


#: header that is gone -> headers that hold the same now, the first that exists is taken.
#: What lies below third_party/eigen3 is one rule: the same path without that prefix.
MOVED_HEADERS: Mapping[str, tuple[str, ...]] = {
    "tensorflow/core/platform/default/logging.h": ("tensorflow/core/platform/logging.h",),
    "tensorflow/core/platform/default/integral_types.h": ("tensorflow/core/platform/types.h",),
    "tensorflow/core/platform/default/mutex.h": ("tensorflow/core/platform/mutex.h",),
    "tensorflow/core/util/cuda_kernel_helper.h": ("tensorflow/core/util/gpu_kernel_helper.h",),
    "tensorflow/core/util/cuda_launch_config.h": ("tensorflow/core/util/gpu_launch_config.h",),
    "tensorflow/core/util/cuda_device_functions.h": ("tensorflow/core/util/gpu_device_functions.h",),
    "tensorflow/core/kernels/bounds_check.h": ("tensorflow/core/framework/bounds_check.h",),
    "tensorflow/core/lib/gtl/stl_util.h": ("tensorflow/core/platform/stl_util.h", "tsl/lib/gtl/map_util.h"),
    "tensorflow/core/lib/gtl/optional.h": ("absl/types/optional.h",),
    "tensorflow/core/lib/core/blocking_counter.h": (
        "tensorflow/core/platform/blocking_counter.h", "absl/synchronization/blocking_counter.h",
    ),
    "tensorflow/core/lib/strings/stringprintf.h": ("tensorflow/core/platform/stringprintf.h",),
    "tensorflow/core/lib/bfloat16/bfloat16.h": ("tensorflow/core/platform/bfloat16.h",),
    "tensorflow/core/lib/core/error_codes.pb.h": ("tensorflow/core/protobuf/error_codes.pb.h",),
    "tensorflow/stream_executor/stream.h": (
        "tensorflow/compiler/xla/stream_executor/stream.h", "xla/stream_executor/stream.h",
    ),
    "tensorflow/stream_executor/stream_executor.h": (
        "tensorflow/compiler/xla/stream_executor/stream_executor.h", "xla/stream_executor/stream_executor.h",
    ),
    "nsync.h": ("external/nsync/public/nsync.h",),
}  # fmt: skip

_EIGEN = "third_party/eigen3/"

#: before an unqualified name: neither part of a longer one nor a member
_FREE = r"(?<![\w:.>])"
#: a name of namespace tensorflow, qualified or not
_TF = r"(?:(?:::\s*)?\btensorflow\s*::\s*|(?<![\w:.>]))"
#: `tensorflow` in a pattern stands for this and for the aliases that the sources declare
_NAMESPACE = r"\btensorflow\s*::"
_ALIAS = r"\bnamespace\s+(\w+)\s*=\s*(?:::\s*)?tensorflow\s*;"
_ANNOTATIONS = (
    "(?:PT_)?GUARDED_BY|EXCLUSIVE_LOCKS_REQUIRED|SHARED_LOCKS_REQUIRED|LOCKS_EXCLUDED|ACQUIRED_(?:BEFORE|AFTER)"
    "|LOCK_RETURNED|LOCKABLE|SCOPED_LOCKABLE|NO_THREAD_SAFETY_ANALYSIS"
)
_STRING = r"(?:::)?(?:std\s*::\s*|\btensorflow\s*::\s*)?string"

#: (enumerator of tensorflow::error::Code, of absl::StatusCode)
_CODES = (
    ("OK", "kOk"), ("CANCELLED", "kCancelled"), ("UNKNOWN", "kUnknown"), ("INVALID_ARGUMENT", "kInvalidArgument"),
    ("DEADLINE_EXCEEDED", "kDeadlineExceeded"), ("NOT_FOUND", "kNotFound"), ("ALREADY_EXISTS", "kAlreadyExists"),
    ("PERMISSION_DENIED", "kPermissionDenied"), ("UNAUTHENTICATED", "kUnauthenticated"),
    ("RESOURCE_EXHAUSTED", "kResourceExhausted"), ("FAILED_PRECONDITION", "kFailedPrecondition"),
    ("ABORTED", "kAborted"), ("OUT_OF_RANGE", "kOutOfRange"), ("UNIMPLEMENTED", "kUnimplemented"),
    ("INTERNAL", "kInternal"), ("UNAVAILABLE", "kUnavailable"), ("DATA_LOSS", "kDataLoss"),
)  # fmt: skip

STEPS: tuple[EraStep, ...] = (
    EraStep(
        "status-ok", "Status::OK() is ::tensorflow::Status() since TensorFlow 2.14",
        r"'OK' is not a member of|no member named 'OK' in",
        ((_TF + r"(?:\b(?:tsl|absl)\s*::\s*)?\bStatus\s*::\s*OK\s*\(\s*\)", "::tensorflow::Status()"),),
        known_from=(2, 14),
    ),
    EraStep(
        "status-message", "Status::error_message() is message() since TensorFlow 2.14",
        r"has no member named 'error_message'|no member named 'error_message'",
        ((r"(\.|->)\s*error_message\s*\(\s*\)", r"\1message()"),),
    ),
    EraStep(
        "status-code", "tensorflow::error::CODE is absl::StatusCode::kCode since TensorFlow 2.13",
        r"tensorflow::error::Code|error::Code'? to|absl::StatusCode|'error' (?:is not a member|has not been)",
        tuple(
            (_TF + r"\berror\s*::\s*(?:Code\s*::\s*)?" + old + r"\b", "::absl::StatusCode::" + new)
            for old, new in _CODES
        ),
    ),
    EraStep(
        "short-integers", "int8 to uint16 are the standard's int8_t to uint16_t since TensorFlow 2.20",
        r"'(?:tensorflow::)?u?int(?:8|16)'|unknown type name 'u?int(?:8|16)'",
        ((_TF + r"(?<!DT_)\b(u?int(?:8|16))\b(?!\s*\()", r"\1_t"),),
    ),
    EraStep(
        "long-integers", "int64 and its like are the standard's int64_t",
        r"'(?:tensorflow::)?u?int(?:32|64)' (?:was not declared|does not name|has not been|is not a)"
        r"|unknown type name 'u?int(?:32|64)'|'u?int64' in namespace",
        ((_TF + r"\b(u?int(?:32|64))\b(?!\s*\()", r"\1_t"),),
    ),
    EraStep(
        "string-tensor", "string tensors hold tstring since TensorFlow 2.0",
        r"DataTypeToEnum<std::(?:__cxx11::)?basic_string|DataTypeToEnum<T>::value|IsValidDataType<std::"
        r"|std::string is no longer a scalar type",
        ((r"\b(flat|scalar|vec|matrix|tensor|unaligned_flat|flat_inner_dims)\s*<\s*" + _STRING + r"\b",
          r"\1<::tensorflow::tstring"),
         (r"\bTypeConstraint\s*<\s*" + _STRING + r"\s*>", "TypeConstraint<::tensorflow::tstring>")),
        known_from=(2, 4),
    ),
    EraStep(
        "string-piece", "StringPiece is absl::string_view",
        r"'(?:tensorflow::)?StringPiece'|StringPiece' (?:was not|in namespace|has not)",
        ((_TF + r"\bStringPiece\b", "::absl::string_view"),),
    ),
    EraStep(
        "string", "tensorflow::string is std::string",
        r"'string' (?:was not declared|does not name|in namespace 'tensorflow)|unknown type name 'string'"
        r"|template argument 1 is invalid[^\n]*string",
        ((r"(?:::\s*)?\btensorflow\s*::\s*string\b(?!\s*::)", "::std::string"),
         (r"(?<![\w:.>#])\bstring\b(?=\s*(?:&|\*|>|\w|\())", "::std::string")),
    ),
    EraStep(
        "array-slice", "gtl::ArraySlice is absl::Span",
        r"'(?:tensorflow::gtl::|gtl::)?ArraySlice'|'gtl' (?:has not|is not|was not)",
        ((_TF + r"\bgtl\s*::\s*MutableArraySlice\s*<", "::absl::Span<"),
         (_TF + r"\bgtl\s*::\s*ArraySlice\s*<\s*((?:\w|::)+)\s*>", r"::absl::Span<const \1>"),
         (_TF + r"\bgtl\s*::\s*InlinedVector\s*<", "::absl::InlinedVector<"),
         (_TF + r"\bgtl\s*::\s*optional\s*<", "::std::optional<")),
    ),
    EraStep(
        "cuda-names", "Cuda names of the launch helpers are Gpu names since TensorFlow 1.14",
        r"'(?:GetCudaLaunchConfig|CudaLaunchConfig|CUDA_1D_KERNEL_LOOP|CudaLaunchKernel|CudaAtomic\w+)'",
        ((r"\bGetCuda(\w*)LaunchConfig\b", r"GetGpu\1LaunchConfig"),
         (r"\bCuda(\w*)LaunchConfig\b", r"Gpu\1LaunchConfig"),
         (r"\bCUDA_1D_KERNEL_LOOP\b", "GPU_1D_KERNEL_LOOP"), (r"\bCudaLaunchKernel\b", "GpuLaunchKernel"),
         (r"\bCudaAtomic(\w+)\b", r"GpuAtomic\1")),
    ),
    EraStep(
        "thread-annotations", "GUARDED_BY and its like are TF_GUARDED_BY since TensorFlow 2.3",
        r"\b(?:{})\b".format(_ANNOTATIONS),
        ((r"(?<!define )\b({})\b".format(_ANNOTATIONS), r"TF_\1"),),
        known_from=(2, 3),
    ),
    EraStep(
        "status-lambda", "a shape function's lambda says that it returns a Status",
        r"inconsistent (?:types|deduced)[^\n]*lambda|return type '[^\n']*Status'[^\n]*must match previous",
        ((r"(\[\s*\]\s*\(\s*(?:::)?(?:\w+\s*::\s*)*InferenceContext\s*\*\s*\w+\s*\))\s*\{",
          r"\1 -> ::tensorflow::Status {"),),
    ),
    EraStep(
        "register", "`register` has no meaning, and is no word of C++17 any more",
        r"ISO C\+\+17 does not allow 'register'",
        ((_FREE + r"\bregister\s+(?=\w)", ""),),
    ),
    EraStep(
        "throw-specification", "C++17 has no dynamic exception specifications",
        r"ISO C\+\+1[17] does not allow dynamic exception specifications",
        ((r"\)(\s*(?:const\s*)?)throw\s*\(\s*[\w:,\s]+\)(?=\s*[;{=])", r")\1"),),
    ),
    EraStep(
        "narrowing", "C++11 forbids a narrowing that older compilers let pass",
        r"narrowing conversion", flags=("-Wno-narrowing",),
    ),
    EraStep(
        "limits", "headers that other headers used to bring along",
        r"is not a member of 'std'|'std::(?:numeric_limits|function|mutex|memcpy)'"
        r"|(?:memcpy|memset|INT_MAX|FLT_MAX|DBL_MAX|assert|printf)' was not declared"
        r"|'u?int(?:8|16|32|64)_t' (?:was not declared|does not name)"
        r"|implicit instantiation of undefined template 'std::",
        flags=("-include", "climits", "-include", "cfloat", "-include", "cstdint", "-include", "cstring",
               "-include", "cstdio", "-include", "cassert", "-include", "limits", "-include", "algorithm",
               "-include", "functional", "-include", "memory", "-include", "numeric", "-include", "mutex",
               "-include", "string", "-include", "vector"),
    ),
    EraStep(
        "nvcc-absl", "absl's IfRRef is spelled out: what nvcc before CUDA 13 makes of it is no C++",
        r"IfRRef<[^\n]*::AddPtr<",
        ((r"\bIfRRef<int (\w+)>::AddPtr<(\w+)>",
          r"::std::conditional_t<::std::is_rvalue_reference_v<int \1>, \2*, \2>"),),
        headers=("absl/container/internal/raw_hash_map.h", "absl/container/internal/btree_container.h"),
    ),
    EraStep(
        "permissive", "what this compiler is stricter about than those of the time",
        r"\[-fpermissive\]", flags=("-fpermissive",), last=True,
    ),
)  # fmt: skip


def forwards(names: Iterable[str], include: str) -> dict[str, str]:
    """Header that is gone -> header below ``include`` that holds the same, for those of ``names`` that have moved."""
    import os

    found: dict[str, str] = {}
    for name in sorted(names):
        if os.path.exists(os.path.join(include, name)):
            continue
        targets = MOVED_HEADERS.get(name, ())
        if name.startswith(_EIGEN):
            targets = (name[len(_EIGEN) :],)
        for target in targets:
            if os.path.exists(os.path.join(include, target)):
                found[name] = target
                break
    return found


def missing_headers(output: str) -> list[str]:
    """Names of the headers that a compiler did not find."""
    import re

    gcc = re.findall(r"fatal error: ([^\s:]+): No such file or directory", output)
    return gcc + re.findall(r"fatal error: '([^'\n]+)' file not found", output)


def known(tensorflow: TensorFlow | None, texts: Iterable[str]) -> tuple[EraStep, ...]:
    """Steps that this release is known to need for these texts."""
    if tensorflow is None:
        return ()
    texts = list(texts)
    release = tensorflow.release
    names = aliases(texts)
    return tuple(
        step
        for step in STEPS
        if release >= step.known_from and any(rewrite(text, (step,), names) != text for text in texts)
    )


def called_for(output: str, done: Iterable[EraStep]) -> tuple[EraStep, ...]:
    """Steps that the compiler's words call for and that are not done, in order."""
    import re

    output = _in_gccs_words(output)
    held = set(done)
    found = [step for step in STEPS if step not in held and re.search(step.asks, output)]
    return tuple(step for step in found if not step.last) or tuple(found)


#: what nvcc's front end (EDG's) says -> what g++ does
_EDG = (
    (r'identifier "([^"]+)" is undefined', r"'\1' was not declared"),
    (r'name(?:space|) "([^"]+)" has no member "([^"]+)"', r"'\2' is not a member of '\1', '\2' in namespace '\1'"),
    (r'class "([^"]+)" has no member "([^"]+)"', r"'\2' is not a member of '\1', '\1' has no member named '\2'"),
    (r'the global scope has no "([^"]+)"', r"'\1' was not declared"),
)


def _in_gccs_words(output: str) -> str:
    import re

    for pattern, replacement in _EDG:
        output = re.sub(pattern, replacement, output)
    return output


def aliases(texts: Iterable[str]) -> tuple[str, ...]:
    """Names that sources give to namespace tensorflow: ``namespace tf = tensorflow;``."""
    import re

    return tuple(sorted({name for text in texts for name in re.findall(_ALIAS, text)}))


def rewrite(text: str, steps: Iterable[EraStep], names: Iterable[str] = ()) -> str:
    """``text`` after the steps; line for line the same. ``names``: aliases of namespace tensorflow."""
    import re

    from dlrepair.build import lexer

    namespace = r"\b(?:{})\s*::".format("|".join(("tensorflow", *names)))
    own = [step for step in steps if not step.headers]
    pairs = [(old.replace(_NAMESPACE, namespace), new) for step in own for old, new in step.rewrites]
    if not any(re.search(pattern, text) for pattern, _ in pairs):
        return text

    def change(code: str) -> str:
        for pattern, replacement in pairs:
            code = re.sub(pattern, replacement, code)
        return code

    return lexer.map_code(text, change)


def rewritten_headers(steps: Iterable[EraStep], include: str) -> dict[str, str]:
    """Name of a header below ``include`` -> its text after the steps, of those that the steps change."""
    import os
    import re

    found: dict[str, str] = {}
    for step in steps:
        for name in step.headers:
            try:
                with open(os.path.join(include, name), encoding="utf-8", errors="surrogateescape") as stream:
                    old = stream.read()
            except OSError:
                continue
            text = found.get(name, old)
            for pattern, replacement in step.rewrites:
                text = re.sub(pattern, replacement, text)
            if text != old:
                found[name] = text
    return found


def by_name(names: Iterable[str]) -> tuple[EraStep, ...]:
    """The steps of these names, in the ladder's order."""
    wanted = set(names)
    return tuple(step for step in STEPS if step.name in wanted)
