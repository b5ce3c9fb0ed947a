"""What mkdocs adds to the pages in docs/: files of the repository that are pages too, and the reference of the API.

CONTRIBUTING.md, CHANGELOG.md and the programs in examples/ lie elsewhere, where other readers look for them; the site
shows them as pages, and links to them lead there. The reference has a page for each public package, with an entry for
each name in its `__all__`, which mkdocstrings fills in from the docstrings.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(\]\()([^)#\s]+)([^)\n]*\))")

PACKAGES = ("stream", "geometry", "surgery", "analysis", "models", "encoders")
"""Packages that are public as such; each has a page of the reference."""


def outside() -> dict[str, str]:
    """Return the page of the site for each file outside of docs/ that has one; both are paths below their roots."""
    packages = {f"atrous/{name}/__init__.py": f"api/{name}.md" for name in PACKAGES}
    pages = packages | {
        "atrous/__init__.py": "api/atrous.md",
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        "examples/README.md": "examples.md",
    }
    programs = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".toml"))
    return pages | {f"examples/{path.name}": f"examples/{path.stem}_{path.suffix[1:]}.md" for path in programs}


def relinked(text: str, source: str, page: str) -> str:
    """Return Markdown whose links to files of the repository lead to their pages.

    Args:
        text: Markdown of the file `source`.
        source: path of the file in the repository, to which its links are relative.
        page: path of the page in the site.
    """
    pages = outside()

    def leading(match: re.Match[str]) -> str:
        if ":" in match[2]:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        place = pages.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if place is None:
            return match[0]
        return f"{match[1]}{posixpath.relpath(place, posixpath.dirname(page) or '.')}{match[3]}"

    return LINK.sub(leading, text)


def shown(source: str, page: str) -> str:
    """Return the Markdown of a file outside of docs/: Markdown, a program, or a package's reference."""
    if source.endswith("__init__.py"):
        return reference(page.removeprefix("api/").removesuffix(".md").replace("atrous", ""))
    text = (ROOT / source).read_text(encoding="utf-8")
    if source.endswith(".md"):
        return relinked(text, source, page)
    language = source.rpartition(".")[2].replace("py", "python")
    return f"# {source}\n\n```{language}\n{text}```\n"


def public(package: str) -> dict[str, str]:
    """Return where each public name of `atrous` ("") or of a package in it is defined: its dotted path."""
    path = ROOT / "atrous" / package / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not package:
        places = next(node.value for node in tree.body if isinstance(node, ast.Assign) and _named(node, "_PLACES"))
        return {name: f"{module}.{name}" for name, module in ast.literal_eval(places).items()}
    names = next(node.value for node in tree.body if isinstance(node, ast.Assign) and _named(node, "__all__"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    found = {alias.name: f"{node.module}.{alias.name}" for node in imports for alias in node.names}
    return {name: found.get(name, f"atrous.{package}.{name}") for name in ast.literal_eval(names)}


def home(path: str) -> str | None:
    """Return the public package whose page of the reference has the entry of a dotted path; None if there is none."""
    package = path.split(".")[1]
    return package if package in PACKAGES and path in public(package).values() else None


def reference(package: str) -> str:
    """Return the page of the reference of `atrous` ("") or of a package in it; names of other packages are linked."""
    title = f"atrous.{package}".rstrip(".")
    module = ast.parse((ROOT / "atrous" / package / "__init__.py").read_text(encoding="utf-8"))
    about = (ast.get_docstring(module) or "").split(">>>")[0].strip()
    names = sorted(public(package).items(), key=lambda item: (item[0][0].isupper(), item[0].lower()))
    entries, linked = [], []
    for name, path in names:
        place = home(path) or package
        if place == package:
            entries.append(f'::: {path}\n    options:\n      heading: "{name}"\n      toc_label: "{name}"\n')
        else:
            linked.append(f"[`{name}`]({place}.md#{path})")
    also = f"Also here, from other packages: {', '.join(linked)}.\n\n" if linked else ""
    return f"# {title}\n\n{about}\n\n{also}" + "\n".join(entries)


def _named(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def on_files(files: Any, config: Any) -> Any:
    """Called by mkdocs: add the pages that are no files of docs/."""
    from mkdocs.structure.files import File

    for source, page in outside().items():
        if source != "README.md":
            files.append(File.generated(config, page, content=shown(source, page)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Called by mkdocs: links to files of the repository lead to their pages."""
    return relinked(markdown, f"docs/{page.file.src_uri}", page.file.src_uri)
