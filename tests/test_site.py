"""The documentation site: it is built strictly, and what is made for it is all there."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import edgeseg
from edgeseg.cli import COMMANDS, LazyGroup
from edgeseg.errors import CODES
from edgeseg.models import FAMILIES

ROOT = Path(edgeseg.__file__).parents[1]
CONFIG = ROOT / "mkdocs.yml"

pytestmark = pytest.mark.skipif(not CONFIG.exists(), reason="an installed package has no documentation beside it")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        pytest.skip("pip install edgeseg[docs] builds the site")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def text_of(page: Path) -> str:
    """What a page says, without markup."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_command_and_option_is_on_the_page_of_the_command_line(site: Path) -> None:
    text = text_of(site / "cli.html")
    for name in COMMANDS:
        assert f"edgeseg {name}" in text
        command = LazyGroup().get_command(None, name)
        spellings = [parameter.opts[0] for parameter in command.params if parameter.param_type_name == "option"]
        assert [spelling for spelling in spellings if spelling not in text] == []
        examples = [line.strip() for line in command.epilog.splitlines()[1:] if line.strip()]
        assert examples
        assert [line for line in examples if line not in text] == []
    assert "default: (" not in text


def test_every_public_name_is_on_the_page_of_python(site: Path) -> None:
    page = (site / "python.html").read_text(encoding="utf-8")
    text = text_of(site / "python.html")
    assert [name for name in edgeseg.__all__ if f"edgeseg.{name}" not in text] == []
    assert page.count('class="doc doc-object') >= len(edgeseg.__all__)


def test_every_error_code_is_on_the_page_of_errors(site: Path) -> None:
    text = text_of(site / "troubleshooting.html")
    assert [code for code, meaning in CODES.items() if code not in text or meaning not in text] == []


def test_every_family_is_on_the_page_of_families_with_its_picture(site: Path) -> None:
    page = (site / "families.html").read_text(encoding="utf-8")
    text = " ".join(text_of(site / "families.html").split())
    for name, module in FAMILIES.items():
        assert f'id="{name}"' in page
        assert " ".join((import_module(module).__doc__ or "").partition(":")[0].split()) in text
        assert f'src="images/families/{name}.svg"' in page
        assert "<svg" in (site / "images" / "families" / f"{name}.svg").read_text(encoding="utf-8")


def test_the_site_needs_no_network(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link rel=\"stylesheet\")[^>]*(?:src|href)=\"(https?:[^\"]+)\"", page.read_text()
        )
        assert loaded == [], page.name
