"""The documentation: links lead somewhere, commands exist, made pages are current, nothing of one machine is in it."""

from __future__ import annotations

import json
import os
import re
import shlex

import pytest

from dlrepair import settings
from dlrepair.cli.parser import COMMANDS as MODULES
from dlrepair.cli.parser import build_parser
from dlrepair.model.causes import CAUSES
from dlrepair.model.events import EVENTS
from tools import make_reference

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMANDS = {module.NAME for module in MODULES}

#: Variables that dlrepair acts upon, besides DLREPAIR_<KEY> of a setting; and one that shows what a wrong one does.
VARIABLES = {"DLREPAIR__WATCHED", "DLREPAIR", "DLREPAIR_DEBUG", "DLREPAIR_MOOD", "DLREPAIR_BUILD_SECONDS",
             "DLREPAIR_BUILD_MEMORY", "DLREPAIR_BUILD_DISK"}  # fmt: skip


def pages():
    found = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    for place, _, names in os.walk(os.path.join(ROOT, "docs")):
        found += [os.path.relpath(os.path.join(place, name), ROOT) for name in names if name.endswith(".md")]
    return sorted(found)


PAGES = pages()


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as handle:
        return handle.read()


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


def slug(heading):
    """The anchor that GitHub makes of a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def anchors(text):
    return {slug(found) for found in re.findall(r"^#+ (.*)$", without_blocks(text), flags=re.M)}


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", without_blocks(read(page)))


def spoken_commands(text):
    """The words after ``dlrepair`` wherever it is typed: after a prompt, or in code within a line."""
    prompted = r"^\s*(?:\$ )?((?:[A-Z_]+=\S+ )*(?:python -m )?dlrepair .*)$"
    typed = re.findall(prompted, "\n".join(blocks(text)), flags=re.M)
    typed += re.findall(r"`((?:[A-Z_]+=\S+ )*dlrepair [^`]*)`", without_blocks(text).replace("\n", " "))
    for line in typed:
        yield line.partition("dlrepair ")[2]


def blocks(text):
    return re.findall(r"^```\w*\n(.*?)^```", text, flags=re.M | re.S)


def test_the_index_leads_to_every_page():
    listed = {os.path.normpath(os.path.join("docs", link.partition("#")[0])) for link in links("docs/README.md")}
    alone = ("docs/README.md", "docs/causes/", "docs/decisions/", "docs/reference/benchmarks.md")
    missing = [page for page in PAGES if page.startswith("docs/") and page not in listed and not page.startswith(alone)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, target)), link
        if anchor:
            assert anchor in anchors(read(target)), link


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    parser = build_parser()
    parsers = make_reference.find_subparsers(parser)
    for said in spoken_commands(read(page)):
        words = said.split("#")[0].split("|")[0].split(">")[0]
        name = words.split()[0].strip(".,;:)")
        if name.startswith(("-", "[-")):
            assert name.strip("[]") in parser.format_help(), said
            continue
        assert name in COMMANDS or name == "COMMAND", said
        if name in COMMANDS and name != "run":
            options = {option for action in parsers[name]._actions for option in action.option_strings}
            own = words.replace("[--", "--").partition(" -- ")[0]  # what follows is somebody else's command
            given = [word.strip("[]") for word in own.split()[1:] if word.startswith(("--", "[-"))]
            assert set(given) <= options, said


@pytest.mark.parametrize("page", PAGES)
def test_variables_and_settings_exist(page):
    known = VARIABLES | {"DLREPAIR_" + key.upper() for key in settings.KEYS} | {"DLREPAIR_KEY"}
    spoken = set(re.findall(r"\bDLREPAIR(?:_[A-Z_]+)?\b(?!<)", read(page)))
    if page == "docs/how-to/turn-it-off.md":
        assert "DLREPAIR" in spoken
    assert {name.rstrip("_") for name in spoken} <= known


@pytest.mark.parametrize("page", PAGES)
def test_nothing_of_one_machine(page):
    text = read(page)
    for foreign in (r"/root\b", r"/work\b", r"/tmp/[a-z0-9]*/", r"\.pyenv/versions", r"pypi\.org/simple", r"index-url"):
        assert not re.search(foreign, text), foreign


def test_the_first_screen_of_the_readme():
    text = read("README.md")
    assert len(text.splitlines()) < 200
    failure, command, repaired = blocks(text)[:3]
    assert "Error: " in failure and "cannot open shared object file" in failure
    assert "dlrepair install" in command
    assert re.search(r"^dlrepair\[[a-z-]+\]: .*\(incident [0-9a-f]{8}\)$", repaired, flags=re.M)


@pytest.mark.parametrize("page", sorted(make_reference.PAGES))
def test_generated_pages_are_current(page):
    with open(os.path.join(make_reference.REFERENCE, page), encoding="utf-8") as handle:
        assert handle.read() == make_reference.current(page), "run python tools/make_reference.py"


def test_the_settings_page_tells_every_key_with_its_choices_and_default():
    text = read("docs/reference/settings.md")
    for key in settings.KEYS:
        section = text.partition("### {}\n".format(key))[2].partition("\n### ")[0]
        assert section, key
        assert all("`{}`".format(choice) in section for choice in settings.CHOICES.get(key, ()))
        default = settings.DEFAULTS[key]
        assert "| Default | {} |".format("`{}`".format(default) if default else "none") in section, key


def test_the_reference_tells_every_event_and_cause():
    journal, causes = read("docs/reference/journal.md"), read("docs/reference/causes.md")
    assert all("\n### {}\n".format(event) in journal for event in EVENTS)
    assert all("(../causes/{}.md)".format(cause) in causes for cause in CAUSES)
    readme = read("README.md")
    assert all("`{}`".format(cause) in readme for cause in CAUSES)


def test_the_api_page_tells_every_name_and_field():
    from dataclasses import fields

    import dlrepair
    from dlrepair.model import candidate, diagnosis, plan

    text = read("docs/reference/python-api.md")
    names = [name for name in dlrepair.__all__ if not name.startswith("_")]
    assert [name for name in names if "| `{}".format(name) not in text] == []
    for shown in (diagnosis.Diagnosis, diagnosis.Evidence, candidate.Candidate, plan.Outcome):
        assert "| `{}` | {} |".format(shown.__name__, ", ".join("`%s`" % one.name for one in fields(shown))) in text


def test_json_on_the_pages_is_json():
    for page in PAGES:
        for block in re.findall(r"^```json\n(.*?)^```", read(page), flags=re.M | re.S):
            for line in [block] if block.startswith(("{\n", "[\n")) else block.splitlines():
                json.loads(line)


def test_shell_lines_are_whole():
    for page in PAGES:
        for line in re.findall(r"^\$ (.*)$", "\n".join(blocks(read(page))), flags=re.M):
            shlex.split(line, comments=True)  # raises ValueError for a quotation mark without its twin
