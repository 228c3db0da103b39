"""The page about MPI: its program runs, and prints what it shows."""

from shared import documents, mpi_processes

mpi_processes.require()


def test_page(tmp_path):
    (code, printed), _ = documents.programs(documents.DOCS / "parallel.md")
    program = tmp_path / "program.py"
    program.write_text(code)
    for size in (1, 3):
        assert mpi_processes.succeed(size, "-m", "mpi4py", program) == printed
