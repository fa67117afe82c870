"""Ops are rebuilt when their sources change; a command that uses them is started again after each good build."""
