from pathlib import Path

import pytest

from gpupack.records.schema import CLASS_BY_FILE, schema_text

FOLDER = Path(__file__).parents[2] / "docs" / "schema"


@pytest.mark.parametrize("file_name", sorted(CLASS_BY_FILE))
def test_the_published_schema_is_the_one_in_use(file_name: str) -> None:
    published = (FOLDER / file_name).read_text(encoding="utf-8")

    assert published == schema_text(CLASS_BY_FILE[file_name]), "run make schema"


def test_no_other_schema_is_published() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(CLASS_BY_FILE)
