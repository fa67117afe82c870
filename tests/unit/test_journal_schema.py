"""The shipped JSON Schema: it accepts what is written and refuses what must not be."""

from __future__ import annotations

import json
import os
import re

import pytest

import dlrepair.journal
from dlrepair.journal import reader, writer
from dlrepair.model import causes, events

with open(os.path.join(os.path.dirname(dlrepair.journal.__file__), "schema.json"), encoding="utf-8") as _stream:
    SCHEMA = json.load(_stream)

TYPES = {
    "string": str, "object": dict, "array": list, "boolean": bool, "null": type(None),
    "integer": int, "number": (int, float),
}  # fmt: skip

#: one event of each kind as the engine writes it
CHANGES = [{"name": "LD_LIBRARY_PATH", "action": "prepend", "value": "/p"}]

EXAMPLES = {
    "load-failed": {
        "loader": "tensorflow", "requested": "./roi_pooling.so", "resolved": "/p/roi_pooling.so",
        "caller": "/p/train.py:12", "cwd": "/p",
        "exception": "tensorflow.errors.NotFoundError", "dlerror": "./roi_pooling.so: cannot open shared object file",
    },
    "diagnosed": {
        "cause": "file-missing", "symptom": "not-found",
        "evidence": [{"key": "kind", "text": "nothing lies at /p/roi_pooling.so", "value": "missing"}],
    },
    "candidate": {
        "path": "/p/build/roi_pooling.so", "verdict": "accepted", "reason": "fits", "facts": {"machine": "x86-64"}},
    "repair-tried": {"strategy": "substitute", "why": "roi_pooling.so exists in build/", "steps": []},
    "repair-failed": {"strategy": "substitute", "error": "undefined symbol: f"},
    "load-repaired": {"cause": "file-missing", "strategy": "substitute", "path": "/p/build/roi_pooling.so", "ms": 31.5},
    "load-unrepaired": {"cause": "wrong-arch", "next_step": "pip install tensorflow"},
    "reexec": {"refused": "threads", "condition": "2 threads run", "environment": CHANGES},
    "learned": {"program": "/w/run.py", "kept": True, "environment": CHANGES},
    "build-started": {"output": "x.so", "sources": ["/p/x.cc"], "command": ["g++", "x.cc"], "tensorflow": "2.21.0"},
    "build-finished": {"output": "x.so", "ok": True, "reason": "built", "seconds": 1.2, "hit": False},
    "trust-refused": {"path": "/tmp/x.so", "reason": "directory /tmp is writable by others (mode 1777)"},
    "internal-error": {"error": "ValueError()", "where": "engine"},
}  # fmt: skip


def faults(value, schema, path="line"):
    """What is wrong with ``value``, by those keywords of JSON Schema 2020-12 that our schema uses."""
    out = []
    for keyword, given in schema.items():
        if keyword in ("$schema", "$id", "$defs", "title", "description", "then"):
            continue
        if keyword == "$ref":
            out += faults(value, SCHEMA["$defs"][given[len("#/$defs/") :]], path)
        elif keyword == "type":
            kinds = [given] if isinstance(given, str) else given
            fits = [isinstance(value, TYPES[kind]) and isinstance(value, bool) == (kind == "boolean") for kind in kinds]
            if not any(fits):
                out.append("{}: not {}".format(path, given))
        elif keyword == "enum":
            out += [] if value in given else ["{}: {!r} is not in the list".format(path, value)]
        elif keyword == "const":
            out += [] if value == given and type(value) is type(given) else ["{}: not {!r}".format(path, given)]
        elif keyword == "required":
            out += ["{}: no {}".format(path, name) for name in given if isinstance(value, dict) and name not in value]
        elif keyword == "properties":
            for name in set(given) & set(value if isinstance(value, dict) else ()):
                out += faults(value[name], given[name], path + "." + name)
        elif keyword == "items":
            for item in value if isinstance(value, list) else ():
                out += faults(item, given, path + "[]")
        elif keyword == "pattern":
            out += [] if not isinstance(value, str) or re.search(given, value) else ["{}: does not match".format(path)]
        elif keyword == "minimum":
            out += [] if type(value) not in (int, float) or value >= given else ["{}: too small".format(path)]
        elif keyword in ("minLength", "minItems"):
            out += [] if not isinstance(value, (str, list)) or len(value) >= given else ["{}: too short".format(path)]
        elif keyword == "maxLength":
            out += [] if not isinstance(value, str) or len(value) <= given else ["{}: too long".format(path)]
        elif keyword == "anyOf":
            found = [faults(value, one, path) for one in given]
            out += min(found, key=len) if all(found) else []
        elif keyword == "allOf":
            for one in given:
                out += faults(value, one, path)
        elif keyword == "if":
            out += [] if faults(value, given, path) else faults(value, schema["then"], path)
        else:
            raise AssertionError("the test does not know the keyword " + keyword)
    return out


@pytest.fixture(autouse=True)
def fresh(home, monkeypatch):
    monkeypatch.setattr(writer, "_sequence", ("", "", 0))


def written(name, fields):
    writer.emit(name, writer.new_incident(), **fields)
    return list(reader.read())[-1]


def test_the_schema_knows_every_event_and_cause():
    assert SCHEMA["properties"]["event"]["enum"] == list(events.EVENTS) == list(EXAMPLES)
    assert SCHEMA["properties"]["v"]["const"] == events.SCHEMA_VERSION == writer.SCHEMA_VERSION
    assert SCHEMA["$defs"]["cause"]["enum"] == list(causes.CAUSES)
    assert {one["then"]["$ref"] for one in SCHEMA["allOf"]} == {"#/$defs/" + name for name in events.EVENTS}


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_what_is_written_is_valid(name):
    assert faults(written(name, EXAMPLES[name]), SCHEMA) == []


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_what_is_cut_is_valid(name):
    fields = dict(EXAMPLES[name], **{"extra{}".format(number): "z" * 300 for number in range(3000)})
    line = written(name, fields)
    assert line["cut"] and faults(line, SCHEMA) == []


@pytest.mark.parametrize(
    "name, key",
    [(name, key) for name, fields in EXAMPLES.items() for key in fields if "anyOf" in SCHEMA["$defs"][name]],
)
def test_a_missing_key_of_the_contract_is_a_fault(name, key):
    required = SCHEMA["$defs"][name]["anyOf"][0]["required"]
    fields = {one: value for one, value in EXAMPLES[name].items() if one != key}
    assert bool(faults(written(name, fields), SCHEMA)) == (key in required)


@pytest.mark.parametrize(
    "name, change",
    [
        ("candidate", {"verdict": "perhaps"}),
        ("diagnosed", {"cause": "bad-luck"}),
        ("diagnosed", {"evidence": "text"}),
        ("load-repaired", {"ms": "fast"}),
        ("load-repaired", {"ms": -1}),
        ("load-failed", {"loader": None}),
        ("learned", {"v": 2}),
        ("learned", {"event": "forgotten"}),
        ("learned", {"ts": "2026-11-23 12:00:00"}),
        ("learned", {"ts": "2026-11-23T12:00:00.000Z"}),
        ("learned", {"pid": True}),
        ("learned", {"run": ""}),
    ],
)
def test_wrong_values_are_faults(name, change):
    line = written(name, EXAMPLES[name])
    line.update(change)
    assert faults(line, SCHEMA) != []


def test_keys_of_the_contract():
    """CONTRACT: the keys that each event carries."""
    contract = {
        "load-failed": {"loader", "requested", "resolved", "caller", "cwd", "exception", "dlerror"},
        "diagnosed": {"cause", "symptom", "evidence"},
        "candidate": {"path", "verdict", "reason"},
        "load-repaired": {"cause", "strategy", "path", "ms"},
        "load-unrepaired": {"cause", "next_step"},
    }
    for name, keys in contract.items():
        assert set(SCHEMA["$defs"][name]["anyOf"][0]["required"]) == keys
