"""Strategy *preload*: missing dependencies opened first, by absolute path; or a mapped provider promoted.

ld.so takes a DT_NEEDED entry as satisfied by a mapped object of that SONAME, whether it was
opened RTLD_LOCAL or not (glibc elf/dl-load.c, _dl_map_object). A symbol that is wanted
without DT_NEEDED is found in the global scope only, hence the promotion.
"""

from __future__ import annotations

import os

from dlrepair.repair import choice, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from dlrepair.model.plan import Plan
    from dlrepair.repair.context import Context

KIND = "preload"


def applies(context: Context) -> bool:
    """Whether the file is sound and what it needs is not at hand; never a free step."""
    if context.exact:
        return False
    diagnosis = context.diagnosis
    return bool(diagnosis.missing) or (diagnosis.cause.startswith("undefined-symbol") and bool(diagnosis.symbols))


def plan(context: Context) -> Iterator[Plan]:
    """One plan: all dependencies at once, or the promotion of mapped providers."""
    if context.diagnosis.missing:
        return _preloads(context)
    return _promotions(context)


def target_of(context: Context) -> str:
    """What the last step loads: the request itself, as it was given."""
    return context.request.requested


def _preloads(context: Context) -> Iterator[Plan]:
    from dlrepair.model.plan import Plan, Step

    chosen = choice.choose(context)
    if chosen is None or any(os.path.basename(candidate.path) != missing.name for missing, candidate, _ in chosen):
        return
    paths = choice.order(chosen)
    steps = tuple(Step("preload", path) for path in paths) + (Step("load", target_of(context)),)
    names = ", ".join(missing.name for missing, _, _ in chosen)
    summary = "preloaded " + ", ".join(paths) + words.rivals(context, (verdict.path for _, _, verdict in chosen))
    yield Plan(KIND, steps, "{} found".format(names), summary)


def _promotions(context: Context) -> Iterator[Plan]:
    from dlrepair.binary import elf
    from dlrepair.model.plan import Plan, Step

    if _brings_a_framework(context):
        return
    wanted = set(context.diagnosis.symbols)
    providers = []
    for path in reversed(context.view.loaded):
        if not wanted:
            break
        try:
            with elf.open_elf(path) as library:
                defined = {name for name in wanted if library.defines(name)}
        except (OSError, ValueError):
            continue
        if defined:
            providers.append(path)
            wanted -= defined
    if wanted or not providers:
        return
    steps = tuple(Step("promote", path) for path in providers) + (Step("load", target_of(context)),)
    names = ", ".join(os.path.basename(path) for path in providers)
    yield Plan(KIND, steps, "{} is mapped and defines the symbols".format(names), "promoted {}".format(names))


def _brings_a_framework(context: Context) -> bool:
    """Whether the file is linked with another TensorFlow than the one that runs.

    ld.so finds that one, and may refuse the file for a symbol; with the symbol at hand it would map both, and die.
    """
    from dlrepair.binary import elf
    from dlrepair.search import tensorflow

    running = {os.path.basename(path) for path in tensorflow.mapped_libraries(context.view)}
    facts = elf.read_facts(context.target).elf if running and context.target else None
    named = {name for name in facts.needed if tensorflow.is_framework_name(name)} if facts else set()
    return bool(named - running)
