"""Runs pytest with the same arguments on every light environment (``py37`` … ``py313``), two at a time.

    python tools/each_python.py tests/unit tests/hook

Prints one line an interpreter, the whole output of those that failed, and exits 1 if any did.
"""

from __future__ import annotations

import concurrent.futures
import subprocess
import sys
import time

import envs


def run_pytest(env: envs.Env, arguments: list[str]) -> tuple[int, str, float]:
    """(exit status, combined output, seconds) of pytest on that environment."""
    start = time.monotonic()
    command = [envs.make(env), "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=envs.ROOT, env=dict(envs.bare_env(), ONE_PYTHON="1"), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, time.monotonic() - start


def main(arguments: list[str]) -> int:
    try:
        chosen = [env for env in envs.find_envs() if env.name.startswith("py")]
    except envs.EnvError as error:
        sys.stderr.write("each_python: %s\n" % error)
        return 1
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        runs = [(env, pool.submit(run_pytest, env, arguments)) for env in chosen]
        for env, future in runs:
            try:
                status, output, seconds = future.result()
            except envs.EnvError as error:
                status, output, seconds = 1, str(error), 0.0
            if status:
                failed += 1
                sys.stdout.write(output)
            last = output.strip().splitlines()[-1] if output.strip() else "no output"
            sys.stdout.write("%s (%.0f s): %s\n" % (env.name, seconds, last))
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
