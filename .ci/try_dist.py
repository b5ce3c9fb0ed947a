"""Try the packages that `make dist` wrote: what they hold, and the first minute of a user who installed the wheel.

    .venv/bin/python .ci/try_dist.py dist

The wheel is installed into a fresh environment, which sees the libraries that are installed here already (so that this
takes a minute and needs no network), but not this repository. The wheel in `dist` was built from the sdist; it is
compared with one that is built from the repository.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "atrous" / "serve" / "static"
SETTINGS = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "train.crop=[64, 64]", "train.batch_size=4",
)  # fmt: skip
"""A network that trains in seconds."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print what is done, and how long it took."""
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:6.1f} s  {what}", flush=True)


def one(folder: Path, pattern: str) -> Path:
    """Return the only file of a folder whose name matches."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder}: {len(found)} files {pattern}, not one: run `make dist`")
    return found[0]


def contents(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel by their names."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def check_contents(wheel: Path) -> None:
    """End unless the wheel holds the package, and the page where it was built, and nothing but the package."""
    files = contents(wheel)
    page = {path for path in PAGE.rglob("*") if path.is_file()}
    wanted = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in page}
    sources = (ROOT / "atrous").rglob("*")
    wanted |= {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in sources
        if path.suffix in (".py", ".jinja", ".js")
    }
    wrong = [name for name, data in wanted.items() if files.get(name) != data]
    others = [name for name in files if not name.startswith(("atrous/", "atrous-"))]
    if wrong or others:
        raise SystemExit(f"{wheel.name}: missing or other than here: {wrong[:5]}; not of the package: {others[:5]}")
    said = f"with the page of `atrous serve` ({len(page)} files)" if page else "without the page, which was not built"
    print(f"{wheel.name}: {len(files)} files, {wheel.stat().st_size / 1e6:.1f} MB, {said}")


def check_same(wheel: Path, folder: Path) -> None:
    """End unless a wheel that is built from the repository holds the same files as `wheel`, which the sdist gave."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    mine, theirs = contents(one(folder, "*.whl")), contents(wheel)
    differ = sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
    if differ:
        raise SystemExit(f"the sdist gives another wheel than the repository: {', '.join(differ[:5])}")


def installed(wheel: Path, folder: Path) -> Path:
    """Install the wheel alone into a fresh environment that sees the libraries of this one, and return its programs."""
    venv.create(folder, with_pip=False)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    place = Path(subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())
    libraries = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (place / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--ignore-installed", str(wheel)], check=True)
    return programs


def first_minute(programs: Path, folder: Path) -> None:
    """Do what a new user does, with the installed package: ask it, check data, train, label."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> str:
        command = [str(programs / arguments[0]), *arguments[1:]]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    where = Path(run("python", "-c", "import atrous; print(atrous.__file__)").strip())
    if programs.parent.resolve() not in where.resolve().parents:
        raise SystemExit(f"not the installed package was imported, but {where}")
    with told("atrous --version"):
        print(run("atrous", "--version").strip())
    with told("atrous doctor"):
        run("atrous", "doctor")
    scenes = "from atrous import write_digit_scenes as w; w('digits', train=8, val=3, test=2, size=(64, 64))"
    run("python", "-c", scenes)
    with told("atrous check"):
        run("atrous", "check", "digits")
    with told("atrous train"):
        settings = [part for setting in SETTINGS for part in ("--set", setting)]
        run("atrous", "train", "digits", "--epochs", "1", "--out", "run", *settings)
    with told("atrous predict"):
        run("atrous", "predict", "run", "digits/images/test", "-o", "labels", "--overlay")
    names = sorted(path.name for path in (folder / "labels").rglob("*.png"))
    if len(names) != 4 or not (folder / "run" / "report.html").is_file():
        raise SystemExit(f"two scenes should give two label files and two overlays, and a report; there are {names}")


def main(dist: Path) -> None:
    """Check the wheel and the sdist in `dist`."""
    wheel = one(dist, "*.whl")
    one(dist, "*.tar.gz")
    check_contents(wheel)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with told("the wheel of the repository is that of the sdist"):
            check_same(wheel, folder / "same")
        with told("installed into a fresh environment"):
            programs = installed(wheel, folder / "environment")
        (folder / "work").mkdir()
        first_minute(programs, folder / "work")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve())
