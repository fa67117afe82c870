"""The pages in docs/causes: one a cause, in one shape, and the messages on each lead the parser to that cause."""

from __future__ import annotations

import os

import pytest

from dlrepair.diagnose import dlerror
from dlrepair.model.causes import CAUSES

PAGES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "causes")
SECTIONS = ("## How it looks", "## How dlrepair knows", "## What dlrepair does", "## What you can do")


def read(slug):
    with open(os.path.join(PAGES, slug + ".md"), encoding="utf-8") as file:
        return file.read()


def examples():
    found = []
    for slug in CAUSES:
        if slug == "unknown":  # no message leads there: only the facts do
            continue
        block = read(slug).split("```\n")[1]
        for line in block.splitlines():
            if line.startswith("  ") and found:
                found[-1] = (slug, found[-1][1] + "\n" + line)
            else:
                found.append((slug, line))
    return found


def test_one_page_a_cause_and_no_other():
    assert sorted(os.listdir(PAGES)) == sorted(slug + ".md" for slug in CAUSES)


@pytest.mark.parametrize("slug", list(CAUSES))
def test_shape(slug):
    text = read(slug)
    paragraphs = text.split("\n\n")
    assert paragraphs[0] == "# " + slug
    assert paragraphs[1].lower() == CAUSES[slug].lower() + "."
    at = [text.index(section) for section in SECTIONS]
    assert at == sorted(at)
    assert "\n- " in text[at[-1] :]


@pytest.mark.parametrize(("slug", "message"), examples(), ids=lambda value: ascii(value)[:50])
def test_the_messages_on_the_page_lead_to_it(slug, message):
    assert slug in dlerror.parse(message).causes[:3]
