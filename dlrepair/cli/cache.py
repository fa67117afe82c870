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
  dlrepair cache clear       everything in it can be made again"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("ls", "gc", "clear"), help="what to do")
    parser.add_argument("--json", action="store_true", help="answer with one JSON document")


def execute(arguments: argparse.Namespace) -> int:
    from dlrepair import settings, store, trust

    store.use(settings.load(check=trust.check).store)
    if arguments.action == "ls":
        return _list(arguments.json)
    from dlrepair.learned import keep

    tidy = arguments.action == "gc"
    files, size = store.gc() if tidy else store.clear()
    learned_files, learned_size = keep.clear(useless_only=tidy)
    files, size = files + learned_files, size + learned_size
    if arguments.json:
        output.say_json({"store": store.location(), "removed_files": files, "removed_bytes": size})
    else:
        output.say("removed {}, {}".format(output.counted(files, "file"), output.size_text(size)))
    return output.FINE


def _list(as_json: bool) -> int:
    from dlrepair import learned, store

    entries = list(store.entries())
    entries += [
        ("learned", path, record.program.shown if record else "", size, mtime)
        for path, record, size, mtime in learned.records()
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
