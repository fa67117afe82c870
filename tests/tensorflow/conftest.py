from __future__ import annotations

import os

import opfixtures
import opkit
import pytest

kit, world, hooked = opfixtures.kit, opfixtures.world, opfixtures.hooked


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for a ``world`` runs for each TensorFlow (with a ``lab`` or ``op`` it says which itself)."""
    if "env" in metafunc.fixturenames and not {"lab", "op"} & set(metafunc.fixturenames):
        chosen = opkit.chosen_envs()
        metafunc.parametrize("env", chosen, ids=[one.name for one in chosen], scope="session")


@pytest.fixture(scope="session")
def pooled(kit: opkit.OpKit, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the common script prints in a working world, from a bare interpreter."""
    from lab import run_script
    from scripts import LOAD, script

    world = opkit.TfWorld(str(tmp_path_factory.mktemp("working")), kit)
    world.op(own_helper=True)
    world.write(world.script, script(LOAD))
    run = run_script(world, kit.python, os.path.join(world.top, "home"))
    assert run.status == 0 and run.out.startswith("pooled "), run.story()
    return run.out
