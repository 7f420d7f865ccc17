"""Draws the rooms into docs/explanation/architecture.md: ``python scripts/architecture.py``.

Arrows are imports of the code as it stands; one that a longer way says already is left out.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
BEGIN, END = "<!-- rooms: scripts/architecture.py -->", "<!-- end of rooms -->"
FLOORS = ("services", "pipelines", "models")


def rooms() -> dict[str, list[str]]:
    """Returns the rooms of each floor, and the modules that stand beside them."""
    return {
        floor: sorted(
            path.stem
            for path in (ROOT / floor / "clapometer").iterdir()
            if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")))
        )
        for floor in FLOORS
    }


def imports() -> dict[str, set[str]]:
    """Returns the rooms that each room imports anything from, however late."""
    found: dict[str, set[str]] = {}
    for floor in FLOORS:
        folder = ROOT / floor / "clapometer"
        for path in folder.rglob("*.py"):
            room = path.relative_to(folder).parts[0].removesuffix(".py")
            targets = found.setdefault(room, set())
            for node in ast.walk(ast.parse(path.read_text())):
                named = [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                targets |= {name.split(".")[1] for name in named if name.startswith("clapometer.")}
            targets.discard(room)
    return found


def reached(arrows: dict[str, set[str]], room: str) -> set[str]:
    """Returns every room that is imported by a room, or by one that it imports."""
    direct = arrows.get(room, set())
    return direct.union(*(reached(arrows, each) for each in direct))


def drawn() -> str:
    """Returns the picture in Mermaid's language."""
    arrows = imports()
    lines = ["```mermaid", "flowchart TD"]
    for floor, names in rooms().items():
        lines += [f"  subgraph {floor}", *(f"    {name}" for name in names), "  end"]
    for room in sorted(arrows):
        longer = set().union(*(reached(arrows, each) for each in arrows[room])) if arrows[room] else set()
        lines += [f"  {room} --> {target}" for target in sorted(arrows[room] - longer)]
    return "\n".join([*lines, "```"])


def architecture() -> str:
    """Returns the page with the picture of the code as it stands."""
    text = PAGE.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{drawn()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(architecture())
