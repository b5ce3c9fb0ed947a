"""What is shipped beside the code: the container, the citation, the changelog, the templates of issues, the extras."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_container_copies_what_exists_and_is_sent_and_installs_extras_that_exist():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    rules = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    copied = [part for line in lines if re.match(r"COPY (?!--from)", line) for part in line.split()[1:-1]]
    assert len(copied) > 5
    for part in copied:
        assert (ROOT / part).exists(), part
        assert f"!{part.split('/')[0]}" in rules, f"{part} is not sent to the builder"
    assert rules[0] == "*"
    extras = next(line.partition("=")[2].split(",") for line in lines if line.startswith("ARG EXTRAS="))
    assert set(extras) <= PROJECT["optional-dependencies"].keys()
    last = lines[[index for index, line in enumerate(lines) if line.startswith("FROM ")][-1] :]
    assert any(line.startswith("USER ") and line.split()[1] not in ("root", "0") for line in last)
    assert 'ENTRYPOINT ["atrous"]' in last


def test_nothing_that_is_built_or_installed_is_sent_to_the_builder():
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for path in ("web/node_modules", "atrous/serve/static"):
        assert any(fnmatch(path, rule) for rule in rules if rule[:1] not in ("!", "#", "*"))


def test_the_citation_and_the_changelog_name_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert f"\n## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_issue_templates_have_what_their_forms_need():
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    forms = [path for path in folder.glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= form.keys()
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
        assert all(field["attributes"]["label"] for field in form["body"])


def test_the_page_about_the_installation_lists_every_extra():
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\|[^|]*\| (`[^|]*`) \|", page, re.MULTILINE)
    named = {name for cell in cells for name in re.findall("`([^`]+)`", cell)}
    assert PROJECT["optional-dependencies"].keys() - {"dev", "docs", "peers", "s3server"} <= named
