"""The notebooks run on a small study, keep to the house rules, and are kept with their outputs."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.small_study import write_small_study, write_the_evidence

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ABSOLUTE = re.compile(
    r"""(?<![\w.<>/:])/(?:home|root|tmp|work|Users|usr|opt|mnt|var|private)/|\b[A-Z]:\\\\"""
)

SEARCHING = {FOLDER / "06_search_from_python.ipynb"}
"""Those that search, on Ray."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a results folder with a small finished search, confirmed, and profiles."""
    results = tmp_path_factory.mktemp("small-study")
    write_small_study(results)
    write_the_evidence(results)
    return results


@pytest.fixture
def _jupyter_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Jupyter, IPython and matplotlib keep their files in a temporary folder."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))


def read(path: Path) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def cells(path: Path, kind: str | None = None) -> list[nbformat.NotebookNode]:
    every = read(path).cells
    return [cell for cell in every if kind is None or cell.cell_type == kind]


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(each.text for each in outputs if each.output_type == "stream" and each.name == "stdout")


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.ray] if path in SEARCHING else []) for path in NOTEBOOKS],
    ids=lambda path: path.name,
)
@pytest.mark.usefixtures("_jupyter_at_home")
def test_a_notebook_runs_on_another_results_folder(path: Path, small_study: Path, tmp_path: Path) -> None:
    notebook = read(path)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = f"results = {str(tmp_path if path in SEARCHING else small_study)!r}"
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(FOLDER)}}).execute()
    complaints = [
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert [text for text in complaints if "font cache" not in text] == []
    if path in SEARCHING:
        said = printed(notebook)
        assert said.index("starting Ray") < said.index("trials to run") < said.index("Search: one seed")


@pytest.mark.usefixtures("_jupyter_at_home")
def test_tables_stand_where_they_are_printed(small_study: Path) -> None:
    code = f"import adasearch\nprint(adasearch.load({str(small_study)!r}).text())"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=240).execute()
    assert {output.output_type for output in notebook.cells[0].outputs} == {"stream"}
    assert "architecture" in printed(notebook)


@every_notebook
def test_a_notebook_begins_with_one_relative_results_path(path: Path) -> None:
    first = cells(path, "code")[0].source
    found = re.fullmatch(r'results = "([^"]+)"', first)
    assert found
    assert not Path(found[1]).is_absolute()


@every_notebook
def test_a_notebook_uses_the_public_interface_alone(path: Path) -> None:
    for cell in cells(path, "code"):
        assert re.findall(r"^\s*(?:from|import) +(adasearch\S*)", cell.source, re.MULTILINE) in (
            [],
            ["adasearch"],
        )


@every_notebook
def test_a_notebook_is_short(path: Path) -> None:
    assert len(cells(path)) <= 15
    for cell in cells(path, "code"):
        for body in re.split(r"^def ", cell.source, flags=re.MULTILINE)[1:]:
            lines = body.split("\n")
            inside = [line for line in lines[1:] if line.startswith(" ")]
            assert len(inside) <= 5


@every_notebook
def test_every_code_cell_but_the_path_follows_a_question_and_shows_an_answer(path: Path) -> None:
    code = cells(path, "code")
    for before, cell in zip(cells(path), cells(path)[1:], strict=False):
        if cell.cell_type == "code" and cell.source not in (code[0].source, code[1].source):
            assert before.cell_type == "markdown"
            assert "?" in before.source
            assert cell.outputs
            assert "text/markdown" in cell.outputs[-1].data


@every_notebook
def test_a_notebook_holds_no_absolute_path_and_no_error(path: Path) -> None:
    for cell in cells(path):
        outputs = cell.get("outputs", [])
        texts = [cell.source, *(str(output.get("text", "")) for output in outputs)]
        for output in outputs:
            assert output.output_type != "error"
            texts += [str(text) for kind, text in output.get("data", {}).items() if kind.startswith("text")]
        assert not any(ABSOLUTE.search(text) for text in texts)


@every_notebook
def test_a_notebook_runs_with_the_kernel_of_any_environment(path: Path) -> None:
    assert read(path).metadata.kernelspec.name == "python3"


def test_an_absolute_path_is_recognised() -> None:
    assert ABSOLUTE.search("see /home/someone/results")
    assert ABSOLUTE.search('results = "/tmp/d1"')
    assert not ABSOLUTE.search("training seconds/step in ../results/demo, </tr>")
