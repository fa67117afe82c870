"""``_imp.create_dynamic``: extension modules."""

from __future__ import annotations

from dlrepair.hooks import Ask
from dlrepair.hooks.ctypes_ import path_of, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair._bootstrap import Stage0

#: what glibc's and musl's loaders say (elf/dl-load.c, dl-lookup.c, dl-version.c, dl-reloc.c; ldso/dynlink.c);
#: an ImportError with other words came out of the module's own PyInit code and is none of our business
LOADER_WORDS = (
    "cannot open shared object file", "undefined symbol", "invalid ELF header", "file too short", "wrong ELF class",
    "cannot read file data", "' not found (required by", "cannot allocate memory in static TLS block",
    "failed to map segment", "cannot enable executable stack", "only ET_DYN", "cannot dynamically load",
    "cannot open shared object", "ELF file", "ELF load command", "object file has no", "cannot create shared object",
    "cannot apply additional memory protection", "unexpected reloc", "unexpected PLT reloc", "cannot map zero-fill",
    "cannot change memory protections", "cannot load any more object", "invalid mode for dlopen", "symbol lookup error",
    "Error loading shared library", "Error relocating", "Exec format error", "symbol not found", "image not found",
)  # fmt: skip


def is_loader_text(text: str) -> bool:
    """Whether the words are a dynamic loader's."""
    return any(words in text for words in LOADER_WORDS)


def ask(
    state: Stage0, loader: str, native: Any, args: Any, kwargs: Any, error: BaseException | None, refused: str | None
) -> Ask | None:
    """The request of a ``create_dynamic(spec)`` that failed inside dlopen, not inside the module's own code."""
    spec = args[0]
    name = path_of(spec.origin)
    if name is None:
        return None
    if error is not None:
        below = None if error.__traceback__ is None else error.__traceback__.tb_next
        if below is not None or not isinstance(error, ImportError) or not is_loader_text(str(error)):
            return None

    def retry(path: str) -> Any:
        other = type(spec)(spec.name, spec.loader, origin=path)
        return native(other, *args[1:])

    def refusal(why: str) -> BaseException:
        return ImportError(reason(name, why), name=spec.name, path=spec.origin)

    return Ask(state, loader, name, retry, refusal, error, refused)
