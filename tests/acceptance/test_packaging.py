"""The wheel carries what it needs, and the client alone needs little."""

import re
import subprocess
import sys
import sysconfig
import tarfile
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
        "calwatch/migrations/env.py",
        "calwatch/migrations/versions/0001_create_the_tables.py",
        "calwatch/api/static/index.html",
        "calwatch/api/static/charts/axes.js",
        "calwatch/api/static/views/model.js",
        "calwatch/py.typed",
    } <= names


def test_sources_carry_the_code_once_and_make_the_same_wheel(wheel: Path, tmp_path: Path):
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*hatchling, "-t", "sdist", "-d", tmp_path], cwd=ROOT, check=True)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path, filter="data")
    assert len([name for name in names if name.endswith("client/client.py")]) == 1
    subprocess.run([*hatchling, "-t", "wheel", "-d", tmp_path], cwd=next(tmp_path.glob("calwatch-*/")), check=True)
    (again,) = tmp_path.glob("*.whl")
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


@pytest.fixture(scope="module")
def alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has the package without extras."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    return python


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that has this checkout, and beside it what tests run with."""
    folder = tmp_path_factory.mktemp("editable")
    venv.create(folder)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "beside.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
    ]
    subprocess.run([*pip, "--no-build-isolation", "--editable", ROOT], check=True)
    return python


@pytest.fixture(params=["alone", "editable"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return request.getfixturevalue(request.param)


def run(python: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([python, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def printed(python: Path, folder: Path, code: str) -> str:
    done = run(python, folder, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def clashing(tmp_path: Path) -> Path:
    """Return a folder in which a user has a `monitor.py`."""
    (tmp_path / "monitor.py").write_text("OWNER = 'user'\n")
    return tmp_path


@pytest.mark.parametrize("order", ["import calwatch.client, monitor", "import monitor, calwatch.client"])
def test_package_and_a_users_monitor_do_not_clash(python: Path, clashing: Path, order: str):
    code = f"{order}; print(monitor.OWNER, calwatch.Client is calwatch.client.Client, calwatch.Client.__module__)"
    assert printed(python, clashing, code) == "user True calwatch.client.client"


def test_client_works_beside_a_users_monitor(python: Path, clashing: Path):
    code = (
        "from calwatch.client import Client, Stats\n"
        "with Client('http://127.0.0.1:9', 'm', timeout=0.1) as client:\n"
        "    client.log('a', probability=client.calibrate(0.7))\n"
        "    print(client.stats() == Stats(logged=1, sent=0, rejected=0, dropped=0, queued=1))\n"
        "    client.close(timeout=0)\n"
    )
    assert printed(python, clashing, code) == "True"


@pytest.mark.parametrize("order", [("calwatch", "monitor"), ("monitor", "calwatch")])
def test_both_names_mean_the_same_modules(python: Path, tmp_path: Path, order: tuple[str, str]):
    code = (
        "import sys\n"
        "from importlib import import_module\n"
        "places = ['', '.client', '.client.cache', '.domain', '.domain.errors', '.calibrators.document', '.second_name']\n"
        f"pairs = [[import_module(name + place) for name in {order}] for place in places]\n"
        "print(all(one is other for one, other in pairs))\n"
        "print(sys.modules['calwatch.client'] is sys.modules['monitor.client'])\n"
    )
    assert printed(python, tmp_path, code) == "True\nTrue"


def test_what_was_pickled_under_the_older_name_is_read(python: Path, tmp_path: Path):
    code = (
        "import pickle, calwatch.client\n"
        "stats = calwatch.client.Stats(logged=1, sent=1, rejected=0, dropped=0, queued=0)\n"
        "pickled = pickle.dumps(stats, protocol=0)\n"
        "older = pickled.replace(b'calwatch.', b'monitor.')\n"
        "print(older != pickled, pickle.loads(older) == pickle.loads(pickled) == stats)\n"
    )
    assert printed(python, tmp_path, code) == "True True"


def test_an_unknown_module_is_named_as_it_was_asked_for(python: Path, tmp_path: Path):
    assert "No module named 'monitor.nothing'" in run(python, tmp_path, "-c", "import monitor.nothing").stderr


def test_command_runs_beside_a_users_monitor(editable: Path, clashing: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = subprocess.run([editable.parent / "calwatch", "--help"], cwd=clashing, capture_output=True, check=False)
    assert (0, True) == (command.returncode, b"serve" in command.stdout)
    module = run(editable, clashing, "-m", "calwatch", "--help")
    assert (0, True) == (module.returncode, "serve" in module.stdout)


@pytest.mark.parametrize("module", ["monitor", "monitor.demo"])
def test_modules_run_by_their_older_name(editable: Path, tmp_path: Path, module: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    done = run(editable, tmp_path, "-m", module, "--help")
    assert (0, True) == (done.returncode, "usage" in done.stdout.lower())


def test_migrations_are_found(editable: Path, clashing: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("CALWATCH_DATABASE_URL", f"sqlite:///{clashing}/x.db")
    done = run(editable, clashing, "-m", "calwatch", "migrate")
    assert (0, True) == (done.returncode, (clashing / "x.db").stat().st_size > 0), done.stderr


TYPED = """
from calwatch import Client
from calwatch.client import Stats
def sent(client: Client) -> int:
    stats: Stats = client.stats()
    reveal_type(stats)
    return stats.sent
"""


@pytest.mark.slow
def test_type_checkers_see_the_package_beside_a_users_monitor(python: Path, clashing: Path):
    assert revealed(python, clashing, TYPED) == ["calwatch.client.outbox.Stats"]


@pytest.mark.slow
def test_type_checkers_see_the_older_name(python: Path, tmp_path: Path):
    assert revealed(python, tmp_path, TYPED.replace("from calwatch", "from monitor")) == [
        "calwatch.client.outbox.Stats"
    ]


def revealed(python: Path, folder: Path, code: str) -> list[str]:
    """Return the types that mypy shows of a user's file."""
    (folder / "typed.py").write_text(code)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--python-executable", python, "typed.py"]
    done = subprocess.run(mypy, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return re.findall(r'Revealed type is "(.*)"', done.stdout)


def test_client_alone_works_without_the_server(alone: Path, tmp_path: Path):
    code = (
        "from calwatch import Client\n"
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
