import re

from Live.config import PROJECT_ROOT
from Live.dashboard.openapi import description
from Live.dashboard.routes import PAGES

DOCS = (PROJECT_ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """The rows of the table of addresses, as the description has them."""
    paths = description()["paths"]
    asked = {path: ", ".join(f"`{each['name']}`" for each in way["get"].get("parameters", [])) for path, way in paths.items()}
    return [f"| `{path}` | {way['get']['summary']} | {asked[path]} |" for path, way in paths.items()]


def test_the_table_of_addresses_is_that_of_the_description() -> None:
    assert [line for line in DOCS.splitlines() if re.match(r"\| `/", line)] == rows()


def test_every_page_is_told_of() -> None:
    told = "\n".join(re.findall(r"^\| ([A-Z][\w, ]+) \|", DOCS, re.MULTILINE))
    assert all(page.capitalize() in told for page in PAGES)
