"""A checkout answers to both of the package's names."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_checkout_that_is_imported_by_its_folders_name_is_the_package_itself():
    code = (
        "import monitor.client.cache, calwatch.client.cache, sys\n"
        "print(monitor is calwatch, monitor.client is sys.modules['calwatch.client'], calwatch.client.cache.__name__)\n"
        "print(calwatch.__file__)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert ["True True calwatch.client.cache", str(ROOT / "monitor" / "__init__.py")] == done.stdout.splitlines()


def test_link_with_the_packages_name_leads_to_the_folder():
    assert (ROOT / "deploy" / "names" / "calwatch").resolve() == ROOT / "monitor"


def test_a_module_is_run_by_either_name():
    for name in ("monitor", "calwatch"):
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'deploy' / 'names'}"}
        command = [sys.executable, "-m", f"{name}.client.ids"]
        assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0
