"""Accept a candidate, or say what speaks against it: cheap facts first, the child process last.

Nothing here loads anything into this process. The order is that of cost and of certainty:
the path, who could have written it, the header, names inside the file, symbols, what it needs in turn,
and a trial in a fresh interpreter at the very end.
"""

from __future__ import annotations

import os
import time

from dlrepair.binary import elf, strings
from dlrepair.model.candidate import Verdict
from dlrepair.search import archives, tensorflow
from dlrepair.search import names as naming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from dlrepair.binary.process import ProcessView
    from dlrepair.model.candidate import Candidate, Wanted
    from dlrepair.model.facts import ElfFacts, FileFacts
    from dlrepair.model.requests import LoadRequest
    from dlrepair.settings import Settings

#: Belong to the kernel driver and must match it: a copy from elsewhere loads and then fails or lies.
_DRIVER = ("libcuda.so", "libnvidia-ml.so", "libnvcuvid.so", "libnvidia-ptxjitcompiler.so")
_DRIVER_PLACES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/lib64-nvidia", "/usr/local/nvidia",
                  "/run/opengl-driver")  # fmt: skip

_NOT_A_FILE = ("missing", "dangling-link", "link-loop", "directory", "fifo", "device", "socket", "unreadable", "empty")

#: How far a candidate's own missing dependencies are searched for, and for how long altogether, seconds.
MAX_DEPTH = 4
MAX_PRELOADS = 16
NESTED_SECONDS = 1.5


def vet(
    candidate: Candidate,
    wanted: Wanted,
    request: LoadRequest,
    *,
    settings: Settings,
    process: ProcessView | None = None,
    registered: frozenset[str] = frozenset(),
    trial: bool = True,
    deadline: float | None = None,
) -> Verdict:
    """Return whether ``candidate`` may stand for ``wanted``, with the first reason against it and the facts.

    ``process``: what is mapped here, None for a fresh interpreter. ``registered``: ops that other libraries
    have registered. ``trial=False`` leaves out the child process. ``deadline`` (``time.monotonic()``) bounds
    the search for the candidate's own missing dependencies, which ``Verdict.preload`` names in order.
    Never raises for anything that a file or a child process holds.
    """
    limit = time.monotonic() + NESTED_SECONDS if deadline is None else deadline
    return Vetting(candidate, wanted, request, settings, process, registered, limit).run(trial)


class Rejected(Exception):
    """A reason (slug) and the sentence with the fact."""

    def __init__(self, reason: str, detail: str, trial: str = "") -> None:
        Exception.__init__(self, reason, detail)
        self.reason = reason
        self.detail = detail
        self.trial = trial


class Vetting:
    """One candidate on its way through the checks."""

    def __init__(
        self,
        candidate: Candidate,
        wanted: Wanted,
        request: LoadRequest,
        settings: Settings,
        process: ProcessView | None,
        registered: frozenset[str],
        deadline: float,
        stack: tuple[str, ...] = (),
    ) -> None:
        self.candidate = candidate
        self.path = candidate.path
        self.wanted = wanted
        self.request = request
        self.settings = settings
        self.process = process
        self.registered = registered
        self.deadline = deadline
        self.stack = stack  #: names of the dependencies that led here
        self.facts: FileFacts | None = None
        self.preload: tuple[str, ...] = ()
        self.trial_ms = 0.0
        #: mapped libraries that satisfy a DT_NEEDED entry of the candidate or of what it needs
        self.mapped: tuple[str, ...] = ()

    def run(self, trial: bool) -> Verdict:
        """Return the verdict; every check runs until the first that rejects."""
        inside = archives.split(self.path) if archives.SEPARATOR in self.path else None
        if inside is not None:
            from dlrepair.search import unpack

            return unpack.vet_member(self, inside[0], inside[1], trial)
        result = ""
        try:
            for check in CHECKS:
                check(self)
            if trial:
                from dlrepair.search import gates

                result = gates.try_loading(self)
            if self.facts is not None and elf.read_facts(self.path).signature != self.facts.signature:
                raise Rejected("changed", "{} was written while it was examined".format(self.path))
        except Rejected as no:
            return Verdict(self.path, False, no.reason, no.detail, no.trial, self.journal_facts())
        except (OSError, ValueError) as error:  # changed or vanished under our hands
            return Verdict(self.path, False, "not-a-file", str(error), "", self.journal_facts())
        detail = "{} fits: machine, names, symbols and versions".format(os.path.basename(self.path))
        return Verdict(self.path, True, "fits", detail, result, self.journal_facts(), self.preload)

    @property
    def elf(self) -> ElfFacts:
        """The candidate's ELF facts; only after ``check_kind``."""
        assert self.facts is not None and self.facts.elf is not None
        return self.facts.elf

    def journal_facts(self) -> tuple[tuple[str, str], ...]:
        """Return what the journal keeps of the file."""
        if self.facts is None:
            return ()
        pairs = [("kind", self.facts.kind), ("size", str(self.facts.size)), ("realpath", self.facts.realpath)]
        found = self.facts.elf
        if found is not None:
            pairs += [("what", elf.describe(found)), ("soname", found.soname or ""), ("needed", " ".join(found.needed))]
            pairs += [("build_id", found.build_id)] if found.build_id else []
        pairs += [("trial_ms", "{:.1f}".format(self.trial_ms))] if self.trial_ms else []
        return tuple((key, value) for key, value in pairs if value)


def check_path(vetting: Vetting) -> None:
    """Reject what is excluded by the settings or the caller, and CUDA's stub libraries."""
    path = vetting.path
    if "\0" in path:
        raise Rejected("not-a-file", "no path can hold a NUL character")
    real = os.path.realpath(path)
    if is_excluded_path(path, vetting.settings):
        raise Rejected("excluded", "the setting exclude names {}".format(path))
    for broken in vetting.wanted.exclude:
        if real == os.path.realpath(broken) or same_file(path, broken):
            raise Rejected("excluded", "it is {}, the file that failed".format(broken))
    if "stubs" in path.split("/")[:-1] or "stubs" in real.split("/")[:-1]:
        raise Rejected("stub", "{} is a stub to link against; its functions do nothing".format(path))


def check_name(vetting: Vetting) -> None:
    """Reject what was found by its content and bears the wanted name of another device, release or major version."""
    if vetting.candidate.rule == "content":
        _refuse_twin(vetting)


def check_consent(vetting: Vetting) -> None:
    """Reject a build for another device that would fit otherwise, unless the user has consented to such."""
    if "twin" in vetting.candidate.rule:
        _refuse_twin(vetting)


def _refuse_twin(vetting: Vetting) -> None:
    name, wanted = os.path.basename(vetting.path), os.path.basename(vetting.wanted.name)
    if not naming.is_twin(name, wanted):
        return
    consent = naming.may_be_taken(name, wanted)
    if not consent or vetting.settings.twins != "accept":
        said = "{} is another build of {}: it may compute something else".format(name, wanted)
        raise Rejected("twin", said + ('; twins = "accept" in the settings takes it' if consent else ""))


def is_excluded_path(path: str, settings: Settings) -> bool:
    """Tell whether the setting ``exclude`` names a path, or what it leads to."""
    from dlrepair.search.roots import is_excluded

    patterns = tuple(settings.exclude)
    return bool(patterns) and (is_excluded(path, patterns) or is_excluded(os.path.realpath(path), patterns))


def same_file(one: str, two: str) -> bool:
    """Tell whether two paths lead to the same file; False when one leads nowhere."""
    try:
        return os.path.samefile(one, two)
    except (OSError, ValueError):
        return False


def check_kind(vetting: Vetting) -> None:
    """Reject what is no regular file; cheaper than trust and safe for a fifo or device, which are not opened."""
    vetting.facts = elf.read_facts(vetting.path)
    if vetting.facts.kind in _NOT_A_FILE:
        raise Rejected("not-a-file", "{}: {}".format(vetting.path, vetting.facts.detail or vetting.facts.kind))


def check_trust(vetting: Vetting) -> None:
    """Reject a file that somebody else could have written."""
    from dlrepair import trust

    clause = trust.check(vetting.path, vetting.request.script)
    if clause is not None:
        check_trust_of(vetting.path, clause)


def check_trust_of(path: str, clause: str) -> None:
    """Raise ``Rejected`` for what ``trust`` says against a path."""
    if "belongs to" in clause or "owned by" in clause:
        raise Rejected("untrusted-owner", clause)
    raise Rejected("untrusted-directory" if clause.startswith("directory") else "untrusted-file", clause)


def check_header(vetting: Vetting) -> None:
    """Reject what ld.so would refuse by its header (glibc elf/dl-load.c, open_verify)."""
    facts = vetting.facts
    assert facts is not None
    if facts.elf is None:
        raise Rejected("not-elf", "{}: {}".format(vetting.path, facts.detail or facts.kind))
    found = facts.elf
    clause = elf.fits_here(found)
    if clause is not None:
        raise Rejected(_header_reason(found), "{}: {}".format(elf.describe(found), clause))
    if elf.libc_family(found) in ("musl", "bionic"):
        raise Rejected("wrong-libc", "it was linked with {} libc".format(elf.libc_family(found)))


def _header_reason(found: ElfFacts) -> str:
    bits, little, machine = elf.NATIVE
    if found.bits != bits:
        return "wrong-class"
    if found.machine != machine or found.little != little:
        return "wrong-machine"
    if found.osabi not in (0, 3):
        return "wrong-os-abi"
    if found.truncated:
        return "truncated"
    return "damaged" if found.error else "not-shared"


def check_place(vetting: Vetting) -> None:
    """Reject a second TensorFlow framework, and a driver's library that is not the driver's."""
    known = {os.path.basename(vetting.path), os.path.basename(vetting.facts.realpath)} if vetting.facts else set()
    known |= {vetting.elf.soname or ""}
    if any(tensorflow.is_framework_name(name) for name in known):
        running = tensorflow.mapped_libraries(vetting.process)
        if not any(same_file(vetting.path, one) for one in running):
            said = "the running one is {}".format(running[0]) if running else "none is loaded in this process"
            raise Rejected("framework", "a TensorFlow of its own; {}".format(said))
    if any(name.startswith(_DRIVER) for name in known):
        real = os.path.realpath(vetting.path)
        if not any(real.startswith(place + "/") for place in _DRIVER_PLACES):
            raise Rejected("driver", "a part of the GPU driver, outside the driver's directories")


def check_soname(vetting: Vetting) -> None:
    """Reject a dependency whose SONAME is not the DT_NEEDED string, and another major version of anything.

    ld.so takes a mapped library for a DT_NEEDED entry only by its SONAME (glibc elf/dl-load.c, _dl_map_object).
    """
    soname = vetting.elf.soname
    wanted = vetting.wanted
    if wanted.role == "dependency" and not wanted.renamed:
        if not soname:
            raise Rejected(
                "no-soname", "it has no SONAME, so loading it first would not satisfy {}".format(wanted.name)
            )
        if soname != wanted.name:
            raise Rejected("soname-differs", "its SONAME is {}, wanted is {}".format(soname, wanted.name))
        return
    asked = naming.major(naming.split(os.path.basename(wanted.name))[3])
    given = naming.major(naming.split(soname or "")[3])
    if asked and given and asked != given:
        raise Rejected("soname-differs", "its SONAME is {}: another major version than {}".format(soname, wanted.name))


def check_python(vetting: Vetting) -> None:
    """Reject an extension of another Python (PEP 3149 tag, libpython, name of its init function)."""
    import sys

    here = "{}.{}".format(*sys.version_info[:2])
    for name in vetting.elf.needed:
        if name.startswith("libpython") and name != "libpython3.so":
            version = name[9:].split(".so")[0].rstrip("dmu")
            if version != here:
                raise Rejected("python-tag", "it needs {} and this is Python {}".format(name, here))
    _, tag, _, _ = naming.split(os.path.basename(vetting.path))
    foreign = bool(tag) and ".{}.so".format(tag) not in naming.extension_suffixes()
    if vetting.wanted.loader == "import" and vetting.wanted.role == "substitute":
        if foreign:
            raise Rejected("python-tag", "its tag is {}, and this is Python {}".format(tag, here))
        init = "PyInit_" + naming.split(os.path.basename(vetting.wanted.name))[0]
        with elf.open_elf(vetting.path) as library:
            if not library.defines(init):
                raise Rejected("python-tag", "it does not define {}".format(init))
    elif foreign:
        with elf.open_elf(vetting.path) as library:
            if any(name.startswith(("Py", "_Py")) for name, _, _ in library.undefined()):
                raise Rejected("python-tag", "its tag is {} and it uses Python's functions".format(tag))


def check_symbols(vetting: Vetting) -> None:
    """Reject a file that lacks a wanted symbol version or symbol."""
    wanted = vetting.wanted
    absent = [version for version in wanted.versions if version not in vetting.elf.verdef]
    if absent:
        raise Rejected("versions-missing", "it does not define version {}".format(", ".join(sorted(absent))))
    if wanted.symbols and wanted.role == "dependency":  # what a substitute lacks may be in what it needs: ``closure``
        with elf.open_elf(vetting.path) as library:
            lacking = [name for name in wanted.symbols if not library.defines(name)]
        if lacking:
            raise Rejected("symbols-missing", "it does not define {}".format(some(lacking)))


def check_ops(vetting: Vetting) -> None:
    """Reject an op library whose ops are registered, and under a changed name one that registers none."""
    wanted = vetting.wanted
    if not wanted.op_library or wanted.role != "substitute":
        return
    with elf.open_elf(vetting.path) as library:
        same_stem = vetting.candidate.rule in ("exact", "soname-version", "python-suffix", "platform-suffix")
        if not same_stem and not any("10tensorflow" in name for name, _, _ in library.undefined()):
            raise Rejected(
                "not-an-op-library", "another name than the one asked for, and it uses nothing of TensorFlow"
            )
        lacking = strings.lacking_ops(vetting.path, wanted.ops) if wanted.ops else []
        if lacking:
            raise Rejected("ops-missing", "it registers no op that the caller knows as {}".format(some(lacking)))
        if vetting.registered:
            twice = library.strings_contain(set(vetting.registered))
            if twice:
                raise Rejected("ops-registered", "its ops are registered already: {}".format(some(sorted(twice))))


def check_closure(vetting: Vetting) -> None:
    """Reject a file whose own needs cannot be met (the expensive part: ``closure``)."""
    from dlrepair.search import closure

    closure.check(vetting)


def some(items: object) -> str:
    listed = [str(item) for item in items]  # type: ignore[attr-defined]
    return ", ".join(listed[:3]) + (" and {} more".format(len(listed) - 3) if len(listed) > 3 else "")


CHECKS: tuple[Callable[[Vetting], None], ...] = (
    check_path,
    check_name,
    check_kind,
    check_trust,
    check_header,
    check_place,
    check_soname,
    check_python,
    check_symbols,
    check_ops,
    check_closure,
    check_consent,
)
