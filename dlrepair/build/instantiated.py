"""Makes gcc instantiate what TensorFlow's headers call for when they are precompiled, not in each source anew.

gcc writes a precompiled header as the parser leaves it: every template that an inline function of it uses is on a list
that is gone through at the end of each translation unit (``c_parse_final_cleanups`` in its cp/decl2.cc), needed or
not. For an op that is three quarters of its time. No option goes through the list before; a plugin can ("Plugins" in
GCC Internals): when a declaration of that name is finished, the last one of the header, it calls what gcc would call at
the end. The first point of instantiation is there (C++ standard, [temp.point]), so a source means the same
(docs/decisions/0007-templates-instantiated-once.md).

The plugin is in the compiler that makes the header, never in one that compiles an op. It is written without gcc's
headers, which few machines have: wherever it does not load or the header does not work, there is the ordinary one.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dlrepair.model.toolchain import Compiler

#: the last declaration of the header; nothing defines it
MARK = "dlrepair_end_of_precompiled_header"
DECLARATION = "extern int {};\n".format(MARK)
#: releases whose plugins have this number for a finished declaration (plugin.def) and this function
RELEASES = range(9, 16)

_PLUGIN = """
int plugin_is_GPL_compatible;
extern int strcmp(const char *, const char *);
extern void register_callback(const char *, int, void (*)(void *, void *), void *);
extern const char *_Z14decl_as_stringP9tree_nodei(void *, int);  /* cp/error.cc */
extern void _Z29instantiate_pending_templatesi(int);             /* cp/pt.cc */
enum { FINISH_DECL = 4 };
struct info { char *name; };
static void finished(void *decl, void *unused)
{
  const char *text = _Z14decl_as_stringP9tree_nodei(decl, 0);
  (void)unused;
  if (text && !strcmp(text, "%s"))
    _Z29instantiate_pending_templatesi(0);
}
int plugin_init(struct info *info, void *version)
{
  (void)version;
  register_callback(info->name, FINISH_DECL, finished, 0);
  return 0;
}
""" % (MARK,)


def plugin(compiler: Compiler, directory: str) -> str:
    """Path of the plugin, made in ``directory``; "" where there can be none for this compiler."""
    from dlrepair.build import compiler as running

    if compiler.family != "gcc" or compiler.major not in RELEASES:
        return ""
    source, path = os.path.join(directory, "instantiate.c"), os.path.join(directory, "instantiate.so")
    with open(source, "w") as stream:
        stream.write(_PLUGIN)
    argv = [*compiler.argv, "-x", "c", "-shared", "-fPIC", "-O1", "-w", source, "-o", path]
    return "" if running.run(argv, temporary=directory).reason else path


def works(argv: list[str], header: str, directory: str) -> bool:
    """Whether a source that is empty compiles with the precompiled ``header``, and gcc has taken it for one."""
    from dlrepair.build import compiler as running

    source = os.path.join(directory, "empty.cc")
    with open(source, "w"):
        pass
    words = [*argv, "-include", header, "-Werror=invalid-pch", "-c", source, "-o", os.path.join(directory, "empty.o")]
    return not running.run(words, temporary=directory).reason
