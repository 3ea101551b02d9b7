"""Figures kept as JSON, with the card and the commit they were measured on, and the table that is made of them.

python -m benchmarks.results    writes the table of benchmarks/results/*.json into benchmarks/README.md
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE / "results"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def keep(name: str, setting: dict[str, Any], rates: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the figures, and write them to a folder named in FIGURES, by default `benchmarks/results`."""
    label = "-".join([name, *(str(value) for value in setting.values() if value is not None)]).replace(" ", "_")
    figures = {"benchmark": name, "commit": commit(), **setting, "rates": rates, "rows": rows}
    folder = Path(os.environ.get("FIGURES", FOLDER))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{label}.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=None))


def commit() -> str:
    """The commit checked out, as far as git knows it, or what COMMIT says."""
    if "COMMIT" in os.environ:
        return os.environ["COMMIT"]
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def table() -> str:
    """Markdown of all kept figures."""
    lines = []
    for path in sorted(FOLDER.glob("*.json")):
        figures = json.loads(path.read_text())
        rates = ", ".join(f"{name} {value}" for name, value in figures["rates"].items())
        setting = ", ".join(
            str(value)
            for name, value in figures.items()
            if name not in ("benchmark", "commit", "rates", "rows") and value is not None
        )
        columns = list(dict.fromkeys(name for row in figures["rows"] for name in row))
        lines += [f"`{figures['benchmark']}` {setting} ({rates}; commit {figures['commit']}):", ""]
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(str(row.get(name, "")) for name in columns) + " |" for row in figures["rows"]]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    readme = HERE / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    readme.write_text(f"{before}{BEGIN}\n{table()}{END}{after}")


if __name__ == "__main__":
    main()
