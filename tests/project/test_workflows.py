"""The workflows name what there is, and may do no more than they need."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS = {file.name: yaml.safe_load(file.read_text()) for file in FILES}

pytestmark = pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="the workflows are not beside the tests"
)


def jobs():
    return [
        (f"{name}: {job}", content)
        for name, workflow in WORKFLOWS.items()
        for job, content in workflow["jobs"].items()
    ]


def steps():
    return [(name, step) for name, job in jobs() for step in job["steps"]]


def test_there_are_three():
    assert sorted(WORKFLOWS) == ["docs.yml", "tests.yml", "wheels.yml"]


def test_their_commands_are_of_targets_and_files_that_there_are():
    makefile = (ROOT / "Makefile").read_text()
    named = []
    for name, step in steps():
        words = step.get("run", "").split()
        if "make" in words:
            target = words[words.index("make") + 1]
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), (name, target)
            named.append(target)
        for word in words:
            if re.fullmatch(r"\.ci/\w+|tools/[\w.]+", word):
                assert (ROOT / word).exists(), (name, word)
                named.append(word)
    assert set(named) >= {"test", "wheel", "docs", ".ci/run", "tools/bill_of_materials.py"}


def test_what_they_install_has_the_version_that_is_tested_here():
    pinned = (ROOT / "pyproject.toml").read_text()
    for name, step in steps():
        for package in re.findall(r"pip install '?([^'\s]+)", step.get("run", "")):
            assert "==" in package, (name, package)
            assert f'"{package}' in pinned, (name, package)


def test_their_actions_have_a_version():
    for name, step in steps():
        if "uses" in step:
            assert re.fullmatch(
                r"actions/[\w-]+@v\d+|pypa/gh-action-pypi-publish@release/v1", step["uses"]
            ), (name, step["uses"])


def test_they_may_read_the_sources_and_those_that_publish_one_thing_more():
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {}, name
    more = {name: job["permissions"] for name, job in jobs() if job["permissions"] != READ}
    assert more == {
        "wheels.yml: publish": {"id-token": "write"},
        "docs.yml: publish": {"pages": "write", "id-token": "write"},
    }


READ = {"contents": "read"}


def test_every_job_ends():
    for name, job in jobs():
        assert job["timeout-minutes"] <= 120, name


def test_what_is_published_was_made_by_a_job_before():
    wheels = WORKFLOWS["wheels.yml"]
    publish = wheels["jobs"]["publish"]
    assert set(publish["needs"]) == set(wheels["jobs"]) - {"publish"}
    assert publish["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"
