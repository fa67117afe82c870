"""``install``, ``uninstall`` and ``status``: what the commands and the tests call."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import dlrepair
from dlrepair.installer import blocks, proof
from dlrepair.installer.environment import Environment, InstallError, inspect
from dlrepair.installer.files import Transaction, bytecode_of, locked, read_text
from dlrepair.installer.places import find_home

#: Others write blocks of their own into sitecustomize.py: its bytecode is checked against the source at
#: every start (15 µs). Nobody but us writes the helper.
_PYC_MODE = {"sitecustomize": "CHECKED_HASH", "pth": "UNCHECKED_HASH"}
_FILE = {"sitecustomize": blocks.SITECUSTOMIZE, "pth": blocks.HELPER}


@dataclass(frozen=True)
class Result:
    """What was done: ``installed``, ``updated``, ``unchanged``, ``removed`` or ``absent``."""

    action: str
    python: str
    environment: str
    route: str = ""  #: ``sitecustomize`` or ``pth``
    hook: str = ""  #: the file that arms the interpreter
    home: str = ""  #: the directory whose dlrepair package it uses
    kept: str = ""  #: where the sitecustomize.py that was there lies now
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Status:
    """Whether the hook is live in an environment, and if not, why."""

    python: str
    environment: str
    isolated: bool
    site_packages: str
    live: bool
    live_file: str = ""
    installed: bool = False
    route: str = ""
    hook: str = ""
    home: str = ""
    version: str = ""  #: of the dlrepair that wrote the hook
    kept: str = ""
    shadowed_by: str = ""
    switched_off_by: str = ""  #: the environment variable that says so
    problems: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Hook:
    """An installed hook as found."""

    route: str
    path: str
    block: blocks.Block

    @property
    def kept(self) -> str:
        name = self.block.state.get("kept", "")
        return os.path.join(os.path.dirname(self.path), name) if name else ""


def _find_hooks(site_packages: str) -> list[_Hook]:
    found = []
    for route, name in _FILE.items():
        path = os.path.join(site_packages, name)
        text = read_text(path)
        block = blocks.parse(text) if text is not None else None
        if block is not None:
            found.append(_Hook(route, path, block))
    return found


def _refuse_damaged(hooks: list[_Hook]) -> None:
    for hook in hooks:
        if not hook.block.intact:
            kept = "; the file that was there before is {}".format(hook.kept) if hook.kept else ""
            raise InstallError(
                "{} was edited between dlrepair's two marked lines, so nothing was touched{}\n"
                "help: delete those lines and what lies between them, then run this again".format(hook.path, kept)
            )


def _choose_home(env: Environment) -> tuple[str, tuple[str, ...]]:
    """The package that the hook shall use, and what to say about it.

    The one that the environment finds itself. Else ours: it is pure Python for every version
    from 3.7 on, and it is imported only inside a failing load, from this directory alone.
    """
    if env.package is not None:
        return os.path.dirname(os.path.dirname(os.path.abspath(env.package))), ()
    home = find_home()
    note = "dlrepair is not installed in {}: its hook uses {}, and goes silent when that goes".format(
        env.prefix, os.path.join(home, "dlrepair")
    )
    return home, (note,)


def install(python: str | None = None, force: bool = False) -> Result:
    """The hook in place and proved live in the environment of ``python`` (default: this one).

    Writes into its site-packages only. Raises InstallError, with everything put back, when the
    environment is no virtualenv (unless ``force``), cannot be written or does not pass the proof.
    """
    env = inspect(python)
    if not env.isolated and not force:
        raise InstallError(
            "{} is not a virtualenv, and a hook there would run in every program that uses it\n"
            "help: activate a virtualenv, name one with --python PATH, or insist with --force".format(env.prefix),
            usage=True,
        )
    home, notes = _choose_home(env)
    transaction = Transaction()
    try:
        with locked(env.site_packages):
            try:
                return _install_locked(env, home, notes, transaction)
            except BaseException:
                transaction.rollback()
                raise
    except OSError as error:
        raise InstallError(_explain(error, env.site_packages)) from error


def _install_locked(env: Environment, home: str, notes: tuple[str, ...], transaction: Transaction) -> Result:
    hooks = _find_hooks(env.site_packages)
    _refuse_damaged(hooks)
    live = [hook for hook in hooks if hook.path == env.live]
    route = live[0].route if live else "pth" if env.shadowed_by() else "sitecustomize"
    present = [hook for hook in hooks if hook.route == route]
    before = proof.run_bare(env.python)
    path = os.path.join(env.site_packages, _FILE[route])
    action = "unchanged"
    if len(hooks) != 1 or not present or not _is_current(present[0], home):
        for hook in hooks:
            if hook.route != route:
                _take_away(transaction, hook)
        kept = _place(transaction, env, route, home, present[0] if present else None)
        action = "updated" if hooks else "installed"
    else:
        kept = present[0].kept
    proof.prove(env.python, before, path, kept)
    shadow = env.shadowed_by()
    if route == "pth" and shadow:
        notes += ("{} comes before site-packages, so the hook starts from a .pth line".format(shadow),)
    return Result(action, env.python, env.label, route, path, home, kept, notes)


def _is_current(hook: _Hook, home: str) -> bool:
    wanted = blocks.render(home, hook.block.state, chain=hook.route == "sitecustomize")
    directory, name = os.path.split(hook.path)
    if hook.block.state.get("version") != dlrepair.__version__ or hook.block.whole != wanted:
        return False
    if hook.route == "pth" and any(
        not _has_lines(os.path.join(directory, file), lines)
        for file, lines in ((blocks.PTH, blocks.PTH_LINES), (blocks.START, blocks.START_LINES))
    ):
        return False
    return bool(bytecode_of(directory, name[:-3]))


def _has_lines(path: str, lines: tuple[str, ...]) -> bool:
    return set(lines) <= set((read_text(path) or "").splitlines())


def _place(transaction: Transaction, env: Environment, route: str, home: str, present: _Hook | None) -> str:
    """Writes the files of a route; where the foreign sitecustomize.py lies afterwards, or ""."""
    directory = env.site_packages
    path = os.path.join(directory, _FILE[route])
    stem = os.path.basename(path)[:-3]
    state: dict[str, Any] = {"version": dlrepair.__version__}
    state["made_pycache"] = transaction.make_directory(os.path.join(directory, "__pycache__"))
    if present is not None:
        state = dict(present.block.state, version=dlrepair.__version__)
        block = blocks.render(home, state, chain=route == "sitecustomize")
        transaction.write(path, present.block.before + block + present.block.after)
        kept = present.kept
    elif os.path.lexists(path):
        name = _free_name(directory)
        kept = os.path.join(directory, name)
        state.update(kept=name, kept_pycs=_keep_bytecode(transaction, directory, stem, name[:-3]))
        transaction.stand_in(path, kept, blocks.render(home, state, chain=True))
    else:
        kept = ""
        transaction.write(path, blocks.render(home, state, chain=route == "sitecustomize"))
    transaction.compile(env.python, path, _PYC_MODE[route])
    if route == "pth":
        for file, lines in ((blocks.PTH, blocks.PTH_LINES), (blocks.START, blocks.START_LINES)):
            target = os.path.join(directory, file)
            if not _has_lines(target, lines):
                transaction.write(target, (read_text(target) or "") + "\n".join(lines) + "\n")
    return kept


def _free_name(directory: str) -> str:
    number = 1
    while True:
        name = blocks.KEPT.format("" if number == 1 else "_{}".format(number))
        path = os.path.join(directory, name)
        if not os.path.lexists(path):
            return name
        if os.path.samestat(os.lstat(path), os.lstat(os.path.join(directory, blocks.SITECUSTOMIZE))):
            os.unlink(path)  # a second name of the same file: an installation that was killed half way
            return name
        number += 1


def _keep_bytecode(transaction: Transaction, directory: str, stem: str, kept_stem: str) -> list[str]:
    """Renames the bytecode of a module that is about to be renamed; the suffixes that were there."""
    cache = os.path.join(directory, "__pycache__")
    suffixes = [name[len(stem) :] for name in bytecode_of(directory, stem)]
    for suffix in suffixes:
        transaction.rename(os.path.join(cache, stem + suffix), os.path.join(cache, kept_stem + suffix))
    return suffixes


def uninstall(python: str | None = None) -> Result:
    """The hook taken away, and what was there before restored byte for byte.

    Lines that others added to our file stay. Raises InstallError, with nothing changed, when our
    own lines were edited or the directory cannot be written.
    """
    env = inspect(python)
    transaction = Transaction()
    try:
        with locked(env.site_packages):
            try:
                hooks = _find_hooks(env.site_packages)
                _refuse_damaged(hooks)
                notes = tuple(note for hook in hooks for note in _take_away(transaction, hook))
            except BaseException:
                transaction.rollback()
                raise
    except OSError as error:
        raise InstallError(_explain(error, env.site_packages)) from error
    if not hooks:
        return Result("absent", env.python, env.label)
    return Result("removed", env.python, env.label, hooks[0].route, hooks[0].path, notes=notes)


def _take_away(transaction: Transaction, hook: _Hook) -> list[str]:
    """Undoes ``_place``; what a person should know about it."""
    directory, name = os.path.split(hook.path)
    cache = os.path.join(directory, "__pycache__")
    notes = []
    for file in bytecode_of(directory, name[:-3]):
        transaction.remove(os.path.join(cache, file))
    if hook.kept and os.path.lexists(hook.kept):
        notes += _restore(transaction, hook)
    elif hook.block.others:
        transaction.write(hook.path, hook.block.before + hook.block.after)
        notes.append("{} keeps the lines that others added to it".format(hook.path))
    else:
        transaction.remove(hook.path)
        if hook.kept:
            notes.append("{} had been removed, so there was nothing to restore".format(hook.kept))
    if hook.route == "pth":
        for file, lines in ((blocks.PTH, blocks.PTH_LINES), (blocks.START, blocks.START_LINES)):
            _remove_lines(transaction, os.path.join(directory, file), lines)
    if hook.block.state.get("made_pycache"):
        transaction.remove_directory(cache)
    return notes


def _restore(transaction: Transaction, hook: _Hook) -> list[str]:
    """Puts the kept sitecustomize.py back, together with lines that others added to ours meanwhile."""
    directory, name = os.path.split(hook.path)
    cache = os.path.join(directory, "__pycache__")
    stem, kept_stem = name[:-3], os.path.basename(hook.kept)[:-3]
    merge = hook.block.others
    for file in bytecode_of(directory, kept_stem):
        suffix = file[len(kept_stem) :]
        if suffix in hook.block.state.get("kept_pycs", ()) and not merge:
            transaction.rename(os.path.join(cache, file), os.path.join(cache, stem + suffix))
        else:
            transaction.remove(os.path.join(cache, file))
    if not merge:
        transaction.rename(hook.kept, hook.path)
        return []
    transaction.write(hook.path, hook.block.before + (read_text(hook.kept) or "") + hook.block.after)
    transaction.remove(hook.kept)
    return ["{} holds what was there before and the lines that others added since".format(hook.path)]


def _remove_lines(transaction: Transaction, path: str, lines: tuple[str, ...]) -> None:
    text = read_text(path)
    if text is None:
        return
    rest = "".join(line for line in text.splitlines(True) if line.rstrip("\r\n") not in lines)
    if rest.strip():
        transaction.write(path, rest)
    else:
        transaction.remove(path)


def status(python: str | None = None) -> Status:
    """Asked of a real child interpreter with the user's environment; changes nothing. Raises InstallError."""
    env = inspect(python)
    hooks = _find_hooks(env.site_packages)
    hook = next((one for one in hooks if one.path == env.live), hooks[0] if hooks else None)
    shadow = env.shadowed_by() if hook is None or hook.route == "sitecustomize" else None
    home = env.live_home or ""
    problems = []
    if hook is not None:
        if not hook.block.intact:
            problems.append("{} was edited between dlrepair's two marked lines".format(hook.path))
        version = hook.block.state.get("version")
        if hook.block.intact and not (version == dlrepair.__version__ and _is_current(hook, hook.block.home)):
            problems.append("it is not the hook of dlrepair {}: run dlrepair install".format(dlrepair.__version__))
        if env.live is None:
            problems.append(
                "{} is found first".format(shadow) if shadow
                else "the interpreter does not run it, or the package that it uses is gone: run dlrepair install"
            )  # fmt: skip
    return Status(
        python=env.python,
        environment=env.label,
        isolated=env.isolated,
        site_packages=env.site_packages,
        live=env.live is not None,
        live_file=env.live or "",
        installed=hook is not None,
        route=hook.route if hook else "",
        hook=hook.path if hook else "",
        home=home,
        version=str(hook.block.state.get("version", "")) if hook else "",
        kept=hook.kept if hook else "",
        shadowed_by=shadow or "",
        switched_off_by=_switched_off(),
        problems=tuple(problems),
    )


def _switched_off() -> str:
    if os.environ.get("DLREPAIR", "").lower() in ("off", "0", "no", "false"):
        return "DLREPAIR"
    return "DLREPAIR_MODE" if os.environ.get("DLREPAIR_MODE", "").lower() == "off" else ""


def _explain(error: OSError, directory: str) -> str:
    place, reason = error.filename or directory, error.strerror or error
    return "{} cannot be written: {}; everything is as it was".format(place, reason)
