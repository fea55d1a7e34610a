"""What is kept of compiled kernels between processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpupack.packing.kernels.compile import drop_stale_machine_code

if TYPE_CHECKING:
    from pathlib import Path


def test_machine_code_is_dropped_when_a_file_that_it_may_call_has_changed(
    tmp_path: Path,
) -> None:
    caller, callee = tmp_path / "caller.py", tmp_path / "callee.py"
    caller.write_text("from callee import f")
    callee.write_text("def f(): return 1")
    drop_stale_machine_code(tmp_path)
    kept = tmp_path / "__pycache__"
    machine_code = [kept / "caller.g-1.py311.nbi", kept / "caller.g-1.py311.1.nbc"]
    for file in machine_code:
        file.write_text("")

    drop_stale_machine_code(tmp_path)
    assert all(file.exists() for file in machine_code)

    callee.write_text("def f(): return 12")
    drop_stale_machine_code(tmp_path)
    assert not any(file.exists() for file in machine_code)


def test_a_folder_that_cannot_be_written_to_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("")
    (tmp_path / "__pycache__").write_text("a file, so that nothing can be put into it")

    drop_stale_machine_code(tmp_path)

    assert (tmp_path / "__pycache__").is_file()
