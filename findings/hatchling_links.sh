#!/bin/sh
# hatchling 1.33.0 puts what a symbolic link in a package points to into a wheel, but not into a source distribution:
# there a link to a file stays a link, and a link to a folder is left out without a word. So the same tree gives a wheel
# with its data when it is built directly (as `pip install .` does), and one without when it is built through a source
# distribution (as `python -m build`, `uv build` and pip from a source distribution do): no error, no warning.
#
# Who meets it: whoever ships data of a sibling folder in a package. Ours: links are to files, whose targets are in the
# source distribution too, and tests/e2e/test_wheel.py installs the wheel that came through it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check hatchling==1.33.0 build==1.3.0

mkdir -p project/package project/data
cd project
echo "NAME = 1" >package/__init__.py
echo "rows" >data/rows.csv
ln -s ../data package/data
cat >pyproject.toml <<'END'
[build-system]
requires = ["hatchling==1.33.0"]
build-backend = "hatchling.build"
[project]
name = "package"
version = "1"
[tool.hatch.build.targets.sdist]
include = ["/package", "/data"]
[tool.hatch.build.targets.wheel]
packages = ["package"]
END

build() { ../environment/bin/python -m build --no-isolation "$@" . >../build.log 2>&1 || { cat ../build.log; exit 1; }; }
files() { ../environment/bin/python -m zipfile --list "$1" | grep -o '^package/[^ ]*' | tr '\n' ' '; }
build --wheel --outdir ../direct
build --outdir ../through-sdist
direct=$(files ../direct/package-1-*.whl)
through=$(files ../through-sdist/package-1-*.whl)
echo "hatchling 1.33.0, a package with a link to the folder data, which the source distribution includes as well"
echo "wheel built directly:                       $direct"
echo "wheel built through the source distribution: $through"
[ "$direct" = "package/__init__.py package/data/rows.csv " ] || { echo "changed: direct"; exit 1; }
[ "$through" = "package/__init__.py " ] || { echo "changed: through the source distribution"; exit 1; }
