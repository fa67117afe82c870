"""Before TensorFlow's native code is loaded on a machine with a GPU: see that its own loader will find CUDA.

Nothing fails here and nobody calls us: stage 0 has seen TensorFlow's check of itself being imported, and a device.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from dlrepair.repair.context import Context
    from dlrepair.settings import Settings


def prepare(state: Any, package: str) -> None:
    """Preloads what the TensorFlow in directory ``package`` will look for and not find. Raises nothing."""
    try:
        if not _is_unwanted(os.environ.get("CUDA_VISIBLE_DEVICES")):
            _prepare(state, package)
    except Exception as problem:
        from dlrepair.hooks import _internal_error

        _internal_error(problem)


def _is_unwanted(visible: str | None) -> bool:
    """Whether the user hides every device: what follows an index that does not exist is hidden too (CUDA, 5.3)."""
    return visible is not None and visible.split(",")[0].strip() in ("", "-1")


def _prepare(state: Any, package: str) -> None:
    from dlrepair import engine
    from dlrepair.repair import gpu

    names = gpu.wanted_names(package)
    if not names:
        return
    script = engine.main_script(state.cwd)
    settings = engine.settings_for(script, state.cwd)
    if settings.mode == "off":
        return
    from dlrepair.binary import process
    from dlrepair.diagnose import frames

    if frames.find_probe(sys._getframe(1), package):
        return
    lacking = gpu.lacking((gpu.DRIVER, *names), package, process.ProcessView.current())
    if lacking:
        _repair(state, package, script, settings, names, lacking)


def _repair(
    state: Any, package: str, script: str, settings: Settings, names: tuple[str, ...], lacking: list[str]
) -> None:
    """One incident for all of the names, with one line for the user."""
    from dlrepair.binary import process
    from dlrepair.hooks import Ask
    from dlrepair.journal import writer
    from dlrepair.model.diagnosis import Diagnosis, Symptom
    from dlrepair.model.requests import Guard, LoadRequest
    from dlrepair.repair import gpu
    from dlrepair.repair.context import Context

    def retry(path: str) -> Any:
        raise OSError(path)  # nobody waits for a result

    ask = Ask(state, "tensorflow", package, retry, OSError, None, None)
    incident = writer.new_incident()
    try:
        where = os.getcwd()
    except OSError:  # removed under the process
        where = ""
    request = LoadRequest("tensorflow", lacking[0], where, state.cwd, script)
    diagnosis = Diagnosis("dependency-missing", Symptom("not-found", missing=lacking[0]), package)

    def emit(event: str, **fields: Any) -> None:
        writer.emit(event, incident, **fields)

    emit(
        "load-failed", loader="tensorflow", requested=" ".join(lacking), resolved=None, caller=None, cwd=where,
        exception=None, dlerror=None, guard={"kind": "none", "reason": "TensorFlow opens them from C++, later"},
    )  # fmt: skip
    emit(
        "diagnosed", cause="dependency-missing", symptom="not-found", failing_object=package, missing=lacking,
        evidence=[{
            "key": "gpu-libraries", "value": " ".join(lacking),
            "text": "the TensorFlow in {} opens these by name, and ld.so finds none of them".format(package),
        }],
    )  # fmt: skip
    context = Context(ask, request, diagnosis, Guard("none"), settings, process.ProcessView.current(), None, emit)
    context.incident = incident
    libraries = [name for name in lacking if name != gpu.DRIVER]
    observing = settings.mode != "repair"
    opened, missing = ([], libraries) if observing else gpu.supply(context, package, libraries)
    _end(context, settings, opened, missing, gpu.DRIVER in lacking, gpu.next_step(missing, names))


def _end(
    context: Context, settings: Settings, opened: list[str], missing: list[str], no_driver: bool, step: str
) -> None:
    """How the incident ended: in the journal, and one line for the user."""
    from dlrepair.repair import gpu

    observing = settings.mode != "repair"
    emit = context.emit
    parts = ["preloaded " + ", ".join(map(os.path.basename, opened))] if opened else []
    parts += ["{} {}".format("ld.so does not find" if observing else "not found:", ", ".join(missing))] * bool(missing)
    parts += ["the driver's {} is not installed".format(gpu.DRIVER)] * no_driver
    summary = "; ".join(parts)
    if missing or no_driver:
        step = step if missing else "Install NVIDIA's driver for this machine."
        reason = "mode is observe" if observing else summary
        emit("load-unrepaired", cause="dependency-missing", next_step=step, reason=reason, ms=context.elapsed())
        parts.append("help: " + step if missing else "TensorFlow goes on without a GPU")
    else:
        emit(
            "load-repaired", cause="dependency-missing", strategy="preload", path=opened[0] if opened else "",
            ms=context.elapsed(), summary=summary,
        )  # fmt: skip
    if not observing and parts:
        from dlrepair.render import text
        from dlrepair.repair import saying

        line = "dlrepair[dependency-missing]: TensorFlow's GPU libraries: {} (incident {})"
        saying.say(line.format(text.clean("; ".join(parts), 2000), context.incident), settings)
