"""Replay every call site of the corpus with its library in every place of the survey, and write the table.

usage: tools/replay_sites.py [--output FILE]     run by the interpreter of .envs/main; takes a few minutes
"""

from __future__ import annotations

import argparse
import collections
import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests"))
import hooked  # noqa: E402
import sites  # noqa: E402

HEAD = """\
# Call sites replayed

How public projects build the path of a library, and whether dlrepair finds the library when it lies somewhere else.
The {total} sites in `tests/data/load_sites.jsonl` are replayed: a script with the site's own path expression, a library
compiled by gcc, the real hook. The library lies, one after the other, in each of {places} places in which a survey of
build recipes says that such projects have it, and in {more} in which it must not be found. Without dlrepair every one
of these loads fails (a load that this machine's own library of that name answers does not count).

Made by `make call-sites`. One place a site, in turn, is part of `make test`.

Sites that the corpus does not have were collected afterwards: a hundred, mostly of small projects, with ctypes, cffi,
`torch.ops.load_library` and `load_op_library`, each replayed once with the library where its
project builds it, or where the layout of its build tool would.
Of 124 loads 122 were repaired at first sight; the other two had paths written with backslashes, which are understood
since. Of forty more, collected later, all were. Their shapes, under other names, are in
`tests/data/site_shapes.jsonl` and part of `make test`.

## By kind of site

A site counts as replayed if its load call is reached when the file is missing; what its words leave open is filled in
({open_ones} sites give no whole expression: only the library's name is taken from them). Loads: sites times places,
without those in which it lies where it is asked for. Every load is a `ctypes.CDLL`, also of sites that call
`load_op_library`: the search is the same.

| Kind | Sites | Replayed | Loads | Found | |
| --- | --- | --- | --- | --- | --- |
"""


def write(found: list[tuple[sites.Site, str, object]], every: list[sites.Site]) -> str:
    """The page, from (site, place, answer) of every load."""
    kinds = collections.Counter(site.kind for site in every)
    reached = collections.Counter(site.kind for site in every if not site.unreached)
    loads = collections.Counter(site.kind for site, _, _ in found)
    good = collections.Counter(site.kind for site, _, answer in found if answer == 42)
    open_ones = sum(not site.spelled_out for site in every if not site.unreached)
    places = len(sites.PLACES)
    more = len(sites.ELSEWHERE)
    lines = [HEAD.format(total=len(every), places=places, more=more, open_ones=open_ones).rstrip()]
    for kind, count in kinds.most_common():
        lines.append(_row(kind.replace("_", " "), (count, reached[kind], loads[kind], good[kind])))
    lines.append(_row("all", (len(every), sum(reached.values()), sum(loads.values()), sum(good.values()))))
    lines += ["", "## By place", "", "| Place | Loads | Found | |", "| --- | --- | --- | --- |"]
    for label, _ in sites.PLACES + sites.ELSEWHERE:
        answers = [answer for _, place, answer in found if place == label]
        lines.append(_row(label, (len(answers), sum(answer == 42 for answer in answers))))
    lines += ["", "## Why the others are not", "", "Sites that are not replayed:", ""]
    for reason, count in collections.Counter(site.unreached for site in every if site.unreached).most_common():
        lines.append("- {}: {}".format(count, reason))
    lost = [(site, place, answer) for site, place, answer in found if answer != 42]
    lines += ["", "Loads that were not repaired: {}.".format(len(lost)), ""]
    groups = collections.Counter(
        (place, "{}, `{}`".format(site.kind.replace("_", " "), str(answer).rsplit(": ", 1)[-1]))
        for site, place, answer in lost
    )
    for label, _ in sites.PLACES:
        for (place, kind), count in groups.most_common():
            if place == label:
                lines.append("- {}: the library in *{}*; {}".format(count, place, kind))
    for label, _ in sites.ELSEWHERE:
        count = sum(one for (place, _), one in groups.items() if place == label)
        lines.append("- {}: the library in *{}*, which is never searched".format(count, label))
    return "\n".join(lines).rstrip() + "\n"


def _row(label: str, numbers: tuple[int, ...]) -> str:
    share = "{:.0%}".format(numbers[-1] / numbers[-2]) if numbers[-2] else ""
    return "| {} | {} | {} |".format(label, " | ".join(str(number) for number in numbers), share)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", metavar="FILE")
    parser.add_argument("--every", type=int, default=1, help="only each Nth load")
    arguments = parser.parse_args()
    every = sites.read_sites()
    found = []
    with tempfile.TemporaryDirectory() as top:
        python = hooked.make(sys.executable, os.path.join(top, "env"))
        os.mkdir(os.path.join(top, "world"))
        replay = sites.Replay(os.path.join(top, "world"))
        pairs = []
        for number, site in enumerate(every):
            for at, (label, place) in enumerate(sites.PLACES + sites.ELSEWHERE):
                if not site.unreached and (number + at) % arguments.every == 0 and replay.add(number, site, place):
                    pairs.append((site, label))
        bare = replay.run(sys.executable)
        assert 42 not in bare, [pair for pair, answer in zip(pairs, bare) if answer == 42][:10]
        rows = zip(pairs, bare, replay.run(python))
        found = [(*pair, answer) for pair, before, answer in rows if sites.failed(before)]
    text = write(found, every)
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    print(text[text.index("## By kind") :])


if __name__ == "__main__":
    main()
