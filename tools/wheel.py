"""Builds the source distribution, and from it this machine's wheel, as published; tests both.

    python tools/wheel.py [FOLDER]

The wheel is built twice, in folders of other names and from files of other times: both must be the
same bytes, and so must a source distribution of the source distribution. On Linux auditwheel puts
the OpenMP runtime into it. It is installed into an empty environment and tested there, in a folder
that has none of the sources. All choices are those of [tool.cibuildwheel] in pyproject.toml. What
is good is put into FOLDER (default: dist), with a bill of materials.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/wheel"
SYSTEM = {"linux": "linux", "darwin": "macos"}.get(sys.platform)


def run(*command, cwd=WORK, **environment):
    environment = {**os.environ, **environment}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    subprocess.run([str(part) for part in command], cwd=cwd, env=environment, check=True)


def build(kind, source, folder, choices=()):
    """Build a distribution from the sources in a folder; return its file."""
    options = [f"--config-setting={name}={value}" for name, value in choices]
    run(sys.executable, "-m", "build", f"--{kind}", "--outdir", folder, *options, source)
    (made,) = folder.iterdir()
    return made


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def check_published(settings_file):
    """Fail where cibuildwheel does not understand its settings, or would not build this wheel."""
    command = ["cibuildwheel", "--print-build-identifiers", "--platform", SYSTEM]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    listed = subprocess.run(
        [*command, "--config-file", settings_file, ROOT],
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    mine = f"cp{sysconfig.get_config_var('py_version_nodot')}{sys.abiflags}-"
    if not any(name.startswith(mine) for name in listed):
        sys.exit(f"no wheel is published for this Python, {mine}*: {' '.join(listed)}")


def check_same(first, second):
    if first.name != second.name or digest(first) != digest(second):
        sys.exit(f"two builds of the same sources differ: {first} and {second}")


def unpack(archive, folder, mtime=None):
    """Unpack a source distribution; return its one folder."""
    shutil.unpack_archive(archive, folder)
    (source,) = folder.iterdir()
    for path in source.rglob("*") if mtime is not None else ():
        os.utime(path, (mtime, mtime))
    return source


def vendored(wheel, folder):
    """Put the libraries that the system may not have into a wheel; return the new one."""
    run("auditwheel", "show", wheel)
    run("auditwheel", "repair", "--wheel-dir", folder, wheel)
    (made,) = folder.iterdir()
    return made


def test(wheel, settings):
    """Test a wheel in an empty environment, in a folder that has the tests alone."""
    environment, folder = WORK / "environment", WORK / "tests"
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", wheel, *settings["test-requires"])
    folder.mkdir()
    for name in settings["test-sources"]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    code = (
        "import elulayer as el, sys; assert el.__file__.startswith(sys.prefix), el.__file__; "
        "print(el.cpu_info(), el.cuda_info().reason, sep='\\n'); "
        "assert 'ELULAYER_CUDA is OFF' in el.cuda_info().reason"
    )
    clean = {"PYTHONPATH": "", "PYTHONNOUSERSITE": "1"}
    run(python, "-c", code, cwd=folder, **clean)
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    run(python, *shlex.split(settings["test-command"])[1:], cwd=folder, PATH=path, **clean)


def main():
    if SYSTEM is None:
        sys.exit(f"wheels are built on Linux and macOS, not on {sys.platform}")
    target = Path(sys.argv[1] if sys.argv[1:] else ROOT / "dist").resolve()
    if sys.version_info >= (3, 11):  # which cibuildwheel needs
        check_published(ROOT / "pyproject.toml")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    settings |= settings[SYSTEM]
    os.environ.setdefault(
        "SOURCE_DATE_EPOCH",
        subprocess.run(
            ["git", "log", "-1", "--format=%ct"],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip(),
    )
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)

    sdist = build("sdist", ROOT, WORK / "sdist")
    sources = [unpack(sdist, WORK / "a"), unpack(sdist, WORK / "another folder", mtime=1e9)]
    check_same(sdist, build("sdist", sources[1], WORK / "sdist again"))
    wheels = []
    for number, source in enumerate(sources):
        choices = settings["config-settings"].items()
        wheel = build("wheel", source, WORK / f"wheel {number}", choices)
        wheels.append(vendored(wheel, WORK / f"repaired {number}") if SYSTEM == "linux" else wheel)
    check_same(*wheels)
    test(wheels[0], settings)

    target.mkdir(parents=True, exist_ok=True)
    made = [Path(shutil.copy(file, target)) for file in (sdist, wheels[0])]
    run(sys.executable, ROOT / "tools/bill_of_materials.py", made[1])
    for file in made:
        print(f"{digest(file)}  {file.name}")


if __name__ == "__main__":
    main()
