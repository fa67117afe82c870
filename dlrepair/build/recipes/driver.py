"""The words of one compiler call, sorted: inputs, directories, definitions, libraries, flags.

After GCC's manual (Invoking GCC) and nvcc's (NVIDIA CUDA Compiler Driver, command options). Nothing is
judged here: what of it is kept is for ``places`` and ``assemble``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dlrepair.build.recipes.programs import is_nvcc
from dlrepair.build.recipes.text import MAX_WORD, TENSORFLOW, Command, has_unknown, is_known

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

#: Options whose value is the next word, and that say nothing that is kept.
_SKIPPED_PAIRS = {
    "-MF": "dependencies", "-MT": "dependencies", "-MQ": "dependencies", "-Xlinker": "linker option",
    "-Xassembler": "assembler option", "-undefined": "macOS", "-framework": "macOS", "-install_name": "macOS",
    "-compatibility_version": "macOS", "-current_version": "macOS", "-arch": "the author's GPU or CPU",
    "-gencode": "the author's GPU", "--generate-code": "the author's GPU", "--gpu-architecture": "the author's GPU",
    "--gpu-code": "the author's GPU", "-code": "the author's GPU", "-ccbin": "the author's compiler",
    "--compiler-bindir": "the author's compiler", "--keep-dir": "nvcc", "-odir": "nvcc", "-maxrregcount": "nvcc",
    "--maxrregcount": "nvcc", "-Xptxas": "nvcc", "--ptxas-options": "nvcc", "-Xnvlink": "nvcc",
    "-soname": "linker option",
    "-h": "linker option", "-rpath": "search path of the author", "-rpath-link": "search path of the author",
    "-T": "linker option", "-e": "linker option", "-z": "linker option", "--param": "compiler tuning",
}  # fmt: skip
_NVCCS_PAIRS = ("-t", "--threads", "-split-compile", "--split-compile")
#: Make objects. Device code is linked into an object, too, of the same sources.
_NO_LINK = ("-c", "-S", "-E", "-dc", "--device-c", "--compile", "-dlink", "--device-link")
_DIRECTORY_PAIRS = ("-isystem", "-iquote", "-idirafter", "--include-path", "--system-include")
_NESTED = ("-Xcompiler", "--compiler-options", "-Xpreprocessor", "-Xclang")
_STANDARDS = ("-std=", "--std=", "-std:")

#: Begin what is kept as it is: what the code is compiled to, not where or for whom.
_KEPT = (
    "-fopenmp", "-O", "-ffast-math", "-funroll", "-fno-", "-fpermissive", "-fexceptions", "-frtti", "-fvisibility",
    "-fcx-", "-ffp-contract", "-fassociative-math", "-ftree-", "-fwrapv", "-fstrict-aliasing", "-fcilkplus",
    "-funsafe-math", "-fsigned-char", "-funsigned-char", "-pthread", "-include", "-imacros", "-msse", "-mssse",
    "-mavx", "-mfma", "-mf16c", "-mpopcnt", "-mbmi", "-maes", "-mfpmath", "-ftemplate-depth", "-fconcepts",
)  # fmt: skip
_INPUTS = {
    ".cc": "c++", ".cpp": "c++", ".cxx": "c++", ".c++": "c++", ".cp": "c++", ".C": "c++", ".c": "c", ".cu": "cuda",
    ".o": "object", ".obj": "object", ".lo": "object", ".a": "archive", ".so": "shared", ".dylib": "shared",
    ".pyx": "cython", ".ii": "c++", ".i": "c", ".S": "c", ".s": "c", ".h": "header", ".hpp": "header",
    ".hh": "header", ".cuh": "header", ".hxx": "header", ".inc": "header", ".ipp": "header",
}  # fmt: skip
#: nvcc's options that say for which GPUs, and those of the others that are kept
_GPUS = ("-arch", "-gencode", "--generate-code", "--gpu-architecture", "--gpu-code", "-code")
_NVCCS_OWN = ("use_fast_math", "extended-lambda", "expt-extended-lambda", "fmad", "ftz", "prec-div", "prec-sqrt")

TENSORFLOWS = "TensorFlow's: taken from the running one"


@dataclass
class Call:
    """One compiler call. Paths are as written; the order of inputs and libraries is kept."""

    command: Command
    nvcc: bool = False
    output: str = ""
    compile_only: bool = False
    shared: bool = False
    inputs: list[tuple[str, str]] = field(default_factory=list)  #: (path, kind: c, c++, cuda, object, shared, …)
    others: list[str] = field(default_factory=list)  #: what no compiler takes by its name: an object called otherwise
    includes: list[str] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)  #: names as after ``-l``
    defines: list[str] = field(default_factory=list)
    undefines: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    nvcc_flags: list[str] = field(default_factory=list)  #: ``code=sm_52`` of each GPU, and nvcc's own words
    standard: str = ""
    tensorflow: bool = False
    dropped: list[tuple[str, str]] = field(default_factory=list)


def input_kind(path: str, nvcc: bool = False) -> str:
    """Return what a file is by its name, "" if no compiler takes it. ``.cu.cc`` is CUDA's wherever it stands."""
    name = path.rsplit("/", 1)[-1]
    if name.endswith((".cu", ".cu.cc", ".cu.cpp", ".cu.cxx", ".cu.c++")):
        return "cuda"
    suffix = "." + name.rpartition(".")[2] if "." in name else ""
    kind = _INPUTS.get(suffix, "")
    if not kind and ".so." in name and name.rpartition(".so.")[2].replace(".", "").isdigit():
        return "shared"
    return kind


def read_call(command: Command) -> Call:
    """Return a compiler command's words sorted."""
    call = Call(command, nvcc=is_nvcc(command.words[0]))
    _read(call, list(command.words[1:]))
    if call.compile_only and not call.output and len(call.inputs) == 1:
        base = call.inputs[0][0].rsplit("/", 1)[-1]
        call.output = base.rpartition(".")[0] + ".o"
    name = call.output.rsplit("/", 1)[-1]
    call.shared = not call.compile_only and (call.shared or name.endswith((".so", ".dylib", ".pyd")) or ".so." in name)
    return call


def _read(call: Call, words: list[str], language: str = "") -> None:
    rest = _Words(words[: MAX_WORD // 4])
    for word in rest:
        if TENSORFLOW in word:
            call.tensorflow = True
        if not word or word in ("2>&1", ">", "|", "\\", "`", "&&"):
            continue
        if not word.startswith("-"):
            if word.startswith("@"):
                call.dropped.append((word, "response file"))
            elif "=" in word and word.startswith("arch"):
                call.dropped.append((word, "the author's GPU"))
            else:
                _input(call, word, language)
            continue
        if word == "-x" or word == "--x":
            language = next(rest, "")
            if language == "cu":
                call.inputs = [(path, "cuda" if kind in ("c", "c++", "") else kind) for path, kind in call.inputs]
            continue
        if word in _NO_LINK:
            call.compile_only = True
            continue
        _option(call, word, rest)


class _Words:
    """The words of a call, one after the other."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 0

    def __iter__(self) -> _Words:
        return self

    def __next__(self) -> str:
        if self.at >= len(self.words):
            raise StopIteration
        self.at += 1
        return self.words[self.at - 1]

    def peek(self) -> str:
        """Return the next word without taking it, "" at the end."""
        return self.words[self.at] if self.at < len(self.words) else ""


def _input(call: Call, word: str, language: str) -> None:
    kind = input_kind(word)
    if not kind and not is_known(word):
        call.dropped.append((word, TENSORFLOWS if TENSORFLOW in word else "its value is not known"))
        return
    if language == "cu" and kind in ("c", "c++", ""):
        kind = "cuda"
    elif language in ("c++", "c") and not kind:
        kind = language
    elif kind == "cuda" and not call.nvcc and not word.endswith(".cu"):
        kind = "guarded"  # .cu.cc for the host compiler: its content is behind #if GOOGLE_CUDA
    if not kind:
        call.others.append(word)
        return
    call.inputs.append((word, kind))


def _value(word: str, option: str, rest: _Words) -> str:
    return word[len(option) :].lstrip("=") if len(word) > len(option) else next(rest, "")


def _output(call: Call, value: str) -> None:
    call.output = value


#: Options with a value, joined or not, in the order in which they are tried.
_VALUED: tuple[tuple[str, Callable[[Call, str], None]], ...] = (
    ("--output-file", _output),
    ("-I", lambda call, value: call.includes.append(value)),
    ("-L", lambda call, value: call.library_dirs.append(value)),
    ("-D", lambda call, value: call.defines.append(value)),
    ("--define-macro", lambda call, value: call.defines.append(value)),
    ("-U", lambda call, value: call.undefines.append(value)),
    ("-l", lambda call, value: call.libraries.append(value)),
)


def _option(call: Call, word: str, rest: _Words) -> None:
    head = word.split("=")[0]
    if word in ("-shared", "--shared", "-dynamiclib", "-bundle", "-Wl,-shared", "-dynamic", "--dylib"):
        call.shared = True
    elif word in ("-o", "--output") or (
        (word.startswith("-o") and "/" in word) or (word.startswith("-o") and ".so" in word)
    ):
        call.output = _value(word, "-o", rest) if word not in ("--output",) else next(rest, "")
    elif head in _DIRECTORY_PAIRS or any(
        word.startswith(one) and len(word) > len(one) for one in ("-isystem", "-iquote")
    ):
        option = next(one for one in _DIRECTORY_PAIRS if word.startswith(one))
        call.includes.append(_value(word, option, rest))
    elif head in _NESTED:
        _nested(call, _value(word, head, rest))
    elif word.startswith(_STANDARDS) or word in ("-std", "--std", "-ansi"):
        call.standard = (word.partition("=")[2] or (next(rest, "") if word != "-ansi" else "c++98")).strip("\"'")
        call.dropped.append((word, "standard: the one that the running TensorFlow's headers want"))
    elif call.nvcc and head in _GPUS:
        _gpus(call, head, word.partition("=")[2] if "=" in word else next(rest, ""))
    elif call.nvcc and head in ("-maxrregcount", "--maxrregcount"):
        call.nvcc_flags.append("-maxrregcount={}".format(word.partition("=")[2] or next(rest, "")))
    elif call.nvcc and head in _NVCCS_PAIRS:
        call.dropped.append(((word + " " + ("" if "=" in word else next(rest, ""))).strip(), "nvcc"))
    elif head in _SKIPPED_PAIRS:
        value = "" if "=" in word else next(rest, "")
        call.dropped.append(((word + " " + value).strip(), _SKIPPED_PAIRS[head]))
    else:
        for option, action in _VALUED:
            if word == option and option in ("-I", "-L") and input_kind(rest.peek()) not in ("", "header"):
                return  # -L$(UNSET) before an object
            if word.startswith(option):
                action(call, _value(word, option, rest))
                return
        _flag(call, word, rest)


def _gpus(call: Call, head: str, value: str) -> None:
    """Take in the GPUs that nvcc is told of: ``-arch=sm_52`` stands for machine code and intermediate code of it."""
    import re

    if head in ("-gencode", "--generate-code"):
        value = value.partition("code=")[2]
    for kind, number in re.findall(r"\b(sm|compute)_(\d+[af]?)\b", value):
        kinds = ("sm", "compute") if kind == "sm" and head in ("-arch", "--gpu-architecture") else (kind,)
        call.nvcc_flags += ["code={}_{}".format(one, number) for one in kinds]


def _nested(call: Call, value: str) -> None:
    """Read what nvcc hands to the host compiler: words joined by commas or blanks, perhaps quoted."""
    words = value.replace('\\"', '"').strip("\"'").replace(",", " ").split()
    _read(call, words[:200])


def _flag(call: Call, word: str, rest: _Words) -> None:
    if has_unknown(word) or TENSORFLOW in word:
        call.dropped.append((word, "its value is not known" if has_unknown(word) else TENSORFLOWS))
    elif word in ("-include", "-imacros"):
        call.flags += [word, next(rest, "")]
    elif word.startswith(("-march", "-mtune", "-mcpu")):
        call.dropped.append((word, "the author's CPU"))
    elif call.nvcc and word.lstrip("-").partition("=")[0] in _NVCCS_OWN:
        call.nvcc_flags.append(word)
    elif word.startswith(_KEPT) and not word.startswith(("-fno-plt", "-fno-lto")):
        call.flags.append(word)
    elif word.startswith("-Wl,"):
        call.dropped.append((word, "search path of the author" if "rpath" in word else "linker option"))
        if word in ("-Wl,-rpath", "-Wl,-soname", "-Wl,-R"):
            if rest.peek().startswith("-Wl,") or not rest.peek().startswith("-"):
                call.dropped.append((next(rest, ""), "search path of the author"))
    elif word.startswith(("-W", "-w", "-g", "-v", "-pedantic", "-pipe", "-s", "--verbose")):
        call.dropped.append((word, "warnings and debugging change nothing"))
    elif word in ("-fPIC", "-fpic", "-rdynamic", "-fPIE", "-DPIC"):
        call.dropped.append((word, "ours"))
    else:
        call.dropped.append((word, "unknown option" if not call.nvcc else "nvcc"))
