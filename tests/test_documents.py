"""What the documents show is what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from harness.errors import ExitCode

TOP = Path(__file__).resolve().parents[1]


def test_the_readme_quotes_the_program_as_it_is() -> None:
    check = subprocess.run([sys.executable, str(TOP / "docs" / "sync_readme.py"), "--check"], check=False)
    assert check.returncode == 0, "run: python docs/sync_readme.py"


def test_the_readme_lists_every_exit_code() -> None:
    table = (TOP / "README.md").read_text().split("## Exit codes")[1].split("##")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {int(code) for code in ExitCode}


def test_links_between_documents_lead_somewhere() -> None:
    for page in [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_rooms_in_the_architecture_exist() -> None:
    tree = (TOP / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("```")[1]
    top = ""
    for line in tree.strip("\n").splitlines():
        if not line.startswith(" "):
            top = line.split()[0]
            assert (TOP / top).is_dir(), top
        for name in re.findall(r"^  ([a-z_]+(?:\.py|/))|^  [a-z_]+\.py ([a-z_]+\.py) ", line):
            assert (TOP / top / (name[0] or name[1])).exists(), line
