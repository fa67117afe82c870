"""Runs scripts, each in a thread of its own, with callsite_recorder.py in front of the loaders.

python callsite_child.py CHECKOUT WORK SCRIPT...     prints one JSON object {script: {"records": [...], "stderr": ""}}
"""

import io
import os
import runpy
import sys
import threading

import callsite_recorder


def main():
    checkout, work, scripts = sys.argv[1], sys.argv[2], sys.argv[3:]
    records = callsite_recorder.install(checkout)
    sys.path.insert(1, callsite_recorder.write_tensorflow(work))
    results = {}
    out, err = sys.stdout, sys.stderr
    for script in scripts:
        del records[:]
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        # a thread's stack begins in the standard library: no frame of this file lies around the script
        thread = threading.Thread(target=runpy.run_path, args=(script,), kwargs={"run_name": "__main__"})
        thread.start()
        thread.join()
        printed, sys.stdout, sys.stderr = sys.stderr.getvalue(), out, err
        results[os.path.basename(script)] = {"records": list(records), "stderr": printed}
    import json

    print(json.dumps(results))


main()
