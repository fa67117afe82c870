"""``dlrepair cache``."""

from __future__ import annotations

import argparse

from dlrepair.cli import output

NAME = "cache"
HELP = "list, tidy or empty the store of repairs and what was learned"
EXAMPLE = """\
example:
  dlrepair cache ls
  dlrepair cache gc          removes what leads nowhere or exceeds the bounds
  dlrepair cache forget train.py
                             removes what was learned for the starts of one program
  dlrepair cache clear       everything in it can be made again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("ls", "gc", "clear", "forget"), help="what to do")
    parser.add_argument("program", nargs="?", help="with forget: the program as `ls` or `status` names it, or its path")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import settings, store, trust

    if (arguments.program is not None) is not (arguments.action == "forget"):
        raise output.CommandError(
            "forget needs a program" if arguments.action == "forget" else "only forget takes a program",
            "dlrepair cache forget train.py",
        )
    if arguments.action == "forget":
        return _forget(arguments.program, arguments.json)
    store.use(settings.load(check=trust.check).store)
    if arguments.action == "ls":
        return _list(arguments.json)
    from dlrepair.learned import keep
    from dlrepair.search import evict

    tidy = arguments.action == "gc"
    files, size = store.gc() if tidy else store.clear()
    learned_files, learned_size = keep.clear(useless_only=tidy)
    roots, index_size = evict.tidy() if tidy else (0, 0)
    files, size = files + learned_files + roots, size + learned_size + index_size
    if arguments.json:
        output.say_json({"store": store.location(), "removed_files": files, "removed_bytes": size})
    else:
        output.say("removed {}, {}".format(output.counted(files, "file"), output.size_text(size)))
    return output.FINE


def _forget(program: str, as_json: bool) -> int:
    import os

    from dlrepair.learned import keep

    gone = keep.forget(program, os.path.abspath(program))
    if as_json:
        output.say_json({"removed": [{"program": shown, "record": path} for shown, path in gone]})
        return output.FINE if gone else output.FOUND
    for shown, _ in gone:
        output.say("forgotten: {}".format(output.escape(shown)))
    if not gone:
        output.say("nothing is learned for {}".format(output.escape(program)))
        output.say("help: dlrepair status")
    return output.FINE if gone else output.FOUND


def _list(as_json: bool) -> int:
    from dlrepair import store
    from dlrepair.learned import records

    entries = list(store.entries())
    entries += [
        ("learned", path, record.program.shown if record else "", size, mtime)
        for path, record, size, mtime in records.records()
    ]
    if as_json:
        keys = ("part", "path", "target", "bytes", "modified")
        rows = [dict(zip(keys, entry)) for entry in entries]
        output.say_json({"store": store.location(), "entries": rows})
        return output.FINE
    for part, path, target, size, _ in entries:
        link = " -> " + target if target else ""
        output.say("{:11} {:>10}  {}".format(part, output.size_text(size), output.escape(path + link)))
    from dlrepair.build import lock

    for one in lock.holders():
        output.say("building    " + output.escape(lock.describe(one)))
    held = output.size_text(sum(entry[3] for entry in entries))
    output.say("{}: {}, {}".format(output.escape(store.location()), output.counted(len(entries), "file"), held))
    return output.FINE
