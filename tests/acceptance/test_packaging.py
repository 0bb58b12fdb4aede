"""The wheel carries what it needs, and the client alone needs little."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def test_wheel_carries_migrations_and_page(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "monitor/migrations/env.py",
        "monitor/migrations/versions/0001_create_the_tables.py",
        "monitor/api/static/index.html",
        "monitor/api/static/charts/axes.js",
        "monitor/api/static/views/model.js",
        "monitor/py.typed",
    } <= names


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the package without extras."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


def test_client_alone_works_without_the_server(alone: Path, tmp_path: Path):
    code = (
        "from monitor import Client\n"
        "client = Client('http://127.0.0.1:9', 'm', timeout=0.1)\n"
        "client.log('a', probability=client.calibrate(0.7))\n"
        "print(client.stats().logged)\n"
        "import sys; print(sorted({'numpy', 'scipy', 'sqlalchemy', 'fastapi'} & set(sys.modules)))\n"
        "client.close(timeout=0)\n"
    )
    done = subprocess.run([alone, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ["1", "[]"] == done.stdout.split("\n")[:2]


def test_command_alone_says_what_to_install(alone: Path, tmp_path: Path):
    done = subprocess.run([alone.parent / "calwatch"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (1, True) == (done.returncode, "pip install 'calwatch[server]'" in done.stderr)
