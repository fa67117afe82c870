"""Comments, strings and code of a C++ source, told apart by the rules of translation phase 3 ([lex.phases]).

Line structure is kept everywhere: ``__LINE__`` is part of what a compiler makes of a file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Pattern
    from typing import Callable

_TOKENS = r"""
    (?P<comment> //(?:[^\\\n]|\\\r?\n|\\.)* | /\*.*?\*/ )
  | (?P<keep> ^[ \t]*\#[ \t]*(?:include|import|include_next)[ \t]*<[^>\n]*>
      | __has_include(?:_next)?[ \t]*\([ \t]*<[^>\n]*>
      | (?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"
      | (?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"
      | (?:u8|[uUL])?'(?:[^'\\\n]|\\.)*' )
  | (?P<word> [A-Za-z_]\w* | \.?[0-9](?:[eEpP][+-]|'\w|[\w.])* )
"""

_compiled: list[Pattern[str]] = []


def _tokens() -> Pattern[str]:
    if not _compiled:
        import re

        _compiled.append(re.compile(_TOKENS, re.VERBOSE | re.DOTALL | re.MULTILINE))
    return _compiled[0]


def without_comments(text: str) -> str:
    """``text`` with each comment replaced by one space, and line for line the same otherwise.

    Two texts that give the same compile to the same object: a comment is one space ([lex.phases] 1.3), and how
    much white space stands between two words of code has no meaning. A newline within a comment becomes ``\\x01``,
    since it does not end a directive. What follows the last line of code has no line number that anybody could ask for.
    """
    return _reduced(text, _plain, "\x01", "\x02").rstrip(" \t\r\n\x01\x02") + "\n"


def without_lines(text: str) -> str:
    """``without_comments``, and without the lines that are empty then.

    Two texts that give the same have the same tokens and the same directives in the same order: what a compiler makes
    of them differs in line numbers only.
    """
    return _reduced(text, _close, "", "").strip(" \t\r\n") + "\n"


def _reduced(text: str, plain: Callable[[str], str], block: str, line: str) -> str:
    """``text`` with ``plain`` applied to its code; a newline in a comment becomes ``block`` or ``line``."""
    out: list[str] = []
    code: list[str] = []
    at = 0
    for match in _tokens().finditer(text):
        comment = match.group("comment")
        if comment is None and match.group("keep") is None:
            continue
        code.append(text[at : match.start()])
        at = match.end()
        if comment is None:
            out += [plain("".join(code)), match.group("keep")]
            code = []
        else:
            code += [" ", (line if comment.startswith("//") else block) * comment.count("\n")]
    code.append(text[at:])
    out.append(plain("".join(code)))
    return "".join(out)


def _plain(code: str) -> str:
    """Code between two literals with one space for each run of white space, and none where a line begins or ends.

    A line that a backslash continues does not end: the white space that the next one begins with parts two words.
    """
    import re

    return re.sub(r" ?(?<!\\)(?<!\\ )\n ?", "\n", re.sub(r"[ \t\r\f\v]+", " ", code))


def _close(code: str) -> str:
    """``_plain``, and without empty lines. One after a backslash is not empty: it ends what the backslash continued."""
    import re

    return re.sub(r"(?<!\\)(?<!\\ )\n[ \n]*", "\n", _plain(code))


def map_code(text: str, change: Callable[[str], str]) -> str:
    """``text`` with ``change`` applied to what is neither comment nor literal nor the name of a header in brackets."""
    out: list[str] = []
    at = 0
    for match in _tokens().finditer(text):
        if match.group("word") is not None:
            continue
        out += [change(text[at : match.start()]), match.group(0)]
        at = match.end()
    out.append(change(text[at:]))
    return "".join(out)


def code_of(text: str) -> str:
    """Only the code: comments and literals are blanked, directives and line structure are kept."""
    out: list[str] = []
    at = 0
    for match in _tokens().finditer(text):
        if match.group("word") is not None:
            continue
        kept = match.group(0) if match.group(0).lstrip().startswith("#") else '""'
        out += [text[at : match.start()], kept, "\n" * match.group(0).count("\n")]
        at = match.end()
    out.append(text[at:])
    return "".join(out)
