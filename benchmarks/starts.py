"""What a start with a learned environment costs, and what records cost the programs that they are not for.

    python benchmarks/starts.py [--pairs N] [--output docs/reference/benchmarks-starts.md]

Both are differences within interleaved pairs (``method.paired``): the same script with what was learned, and with
LD_LIBRARY_PATH exported by hand and a bare start more; and a start with fifty records, none of them for it, and with
none.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests"), os.path.dirname(HERE)]

import hooked  # noqa: E402
from lab import World  # noqa: E402
from method import Result, paired, wall  # noqa: E402
from starting import Project  # noqa: E402

PAGE = """\
# Benchmarks of a start with a learned environment

`make bench-starts` writes this page. Each figure is the median of the differences within {pairs} interleaved pairs, in
milliseconds, on Python {version}; the noise is the median difference between two runs of the same thing. The aim for
a learned environment is one bare interpreter start more than with LD_LIBRARY_PATH exported by hand: such a start,
measured within the same pair, stands in the first figure.

| What | against | first | second | difference | noise | aim | |
| --- | --- | --- | --- | --- | --- | --- | --- |
{rows}
"""


def environment(home: str, **more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DLREPAIR", "LD_", "XDG_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    return dict(env, HOME=home, **more)


def measure(pairs: int) -> list[tuple[str, str, Result]]:
    """The rows of the table: what, against what, result."""
    with tempfile.TemporaryDirectory() as top:
        python = hooked.make(sys.executable, os.path.join(top, "env"))
        project = Project(World(top))
        project.build("conflict")
        project.break_("conflict")
        project.write("train.py", project.program)
        first = project.run([python, "train.py"])
        assert first.status == 0 and first.events("learned"), first.story()
        empty = os.path.join(top, "empty")
        os.makedirs(empty)
        script = project.path("train.py")

        def start(home: str, *words: str, **more: str):
            return lambda: wall([python, *words], environment(home, **more), project.root)

        by_hand = start(empty, script, LD_LIBRARY_PATH=project.path("lib"))
        rows = []
        bare_start, learned_start = start(empty, "-c", "pass"), start(project.home, script)
        figures = paired(lambda: by_hand() + bare_start(), learned_start, pairs)
        rows.append(("script with a learned environment", "LD_LIBRARY_PATH by hand, and a bare start (`-c pass`)",
                     Result("", *figures, aim="0.0", limit=0.0)))  # fmt: skip
        many = os.path.join(top, "many")
        for number in range(50):
            project.home = many
            name = "train{}.py".format(number)
            project.write(name, project.program)
            learned = project.run([python, name])
            assert learned.events("learned"), learned.story()
        project.write("other.py", "pass\n")
        for title, words in (("a script", ("other.py",)), ("`-c`", ("-c", "pass")), ("`-m`", ("-m", "other"))):
            figures = paired(start(empty, *words), start(many, *words), pairs)
            rows.append(("{}, fifty records for others".format(title), "no record",
                         Result("", *figures, aim="0.5", limit=0.0005)))  # fmt: skip
        return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--output", metavar="FILE.md")
    arguments = parser.parse_args()
    lines = []
    for what, against, one in measure(arguments.pairs):
        cells = [what, against]
        cells += ["{:.2f}".format((value or 0.0) * 1e3) for value in (one.bare, one.hooked, one.difference, one.noise)]
        lines.append("| {} |".format(" | ".join([*cells, one.aim, one.verdict()])))
        sys.stderr.write(lines[-1] + "\n")
    page = PAGE.format(pairs=arguments.pairs, version="{}.{}.{}".format(*sys.version_info[:3]), rows="\n".join(lines))
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as file:
            file.write(page)
    else:
        sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
