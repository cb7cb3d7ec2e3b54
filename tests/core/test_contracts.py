"""The import contracts speak of every module there is: a new one can't slip past them."""

from __future__ import annotations

import tomllib
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
CORE = {path.stem for path in (TOP / "src/jobcore").iterdir() if path.suffix == ".py" or path.is_dir()}
DRIVERS = {path.name for path in (TOP / "src/backends").iterdir() if (path / "__init__.py").is_file()}


def contract(name: str) -> dict[str, list[str]]:
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(each for each in contracts if each["name"] == name)


def last(names: list[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}


def test_the_core_s_speaks_of_each_module() -> None:
    said = last(contract("The core imports no driver and no database library")["source_modules"])
    assert said == CORE - {"__init__", "__main__", "__pycache__"}


def test_the_drivers_speak_of_each_module_and_driver() -> None:
    said = last(contract("Drivers import only the protocol")["forbidden_modules"])
    assert said == CORE - {"__init__", "__main__", "__pycache__", "backend", "errors"} | {"conformance"}
    assert last(contract("Drivers never import each other")["modules"]) == DRIVERS


def test_the_wheel_holds_each_package() -> None:
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]
    roots = [
        ("jobcore", "src/jobcore"),
        ("jobcore.backends", "src/backends"),
        ("jobcore.conformance", "tests/conformance"),
    ]
    found = {
        ".".join([name, *file.parent.relative_to(TOP / folder).parts])
        for name, folder in roots
        for file in (TOP / folder).rglob("__init__.py")
    }
    assert set(settings["packages"]) == found
