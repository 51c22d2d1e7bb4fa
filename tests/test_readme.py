"""The README tells the truth: its Python runs, its step is the library's, its report is what the checker prints."""

import inspect
import re
from pathlib import Path

import pytest

from minigan import steps
from minigan.backend import rng
from minigan.gradcheck import check_layer
from minigan.layers import Dense

README = Path(__file__).parent.parent / "README.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_python_runs(tmp_path, monkeypatch, capsys):
    (code,) = [block for block in blocks("python") if "import train" in block]
    assert "steps=3000" in code and "% 500" in code
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("steps=3000", "steps=2").replace("% 500", "% 2"), names)
    assert (tmp_path / "step_2.png").exists()
    assert names["state"].trace["dx_fake"].shape == (64, 28, 28, 1)
    assert "d_loss" in capsys.readouterr().out


def test_the_board_is_played_as_it_says():
    (code,) = [block for block in blocks("python") if "Board(" in block]
    assert "play(1000)" in code and "goto(200)" in code
    names = {}
    exec(code.replace("1000", "10").replace("200", "4").replace("400", "6"), names)
    assert names["board"].t == 4


def test_the_step_is_the_librarys():
    (code,) = [block for block in blocks("python") if "def d_step" in block]

    def lines(text):
        return [line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()]

    source = lines(inspect.getsource(steps.d_step))
    assert all(line in source for line in lines(code)[1:])


def test_the_report_is_what_the_checker_prints():
    class MyDense(Dense):
        def __init__(self):
            super().__init__(4, 3, rng=rng(0))

        def backward(self, dy, cache, param_grads=True, input_grad=True):
            if param_grads:
                self.grads["W"] += cache.T @ dy
                self.grads["b"] += dy[-1]
            return dy @ self.params["W"].T if input_grad else None

        def __repr__(self):
            return "MyDense(4, 3)"

    (shown,) = [block for block in blocks("text") if "MyDense" in block]
    said = str(check_layer(MyDense(), (5, 4)))

    def verdicts(text):
        rows = [line for line in text.splitlines() if line.startswith(("x ", "W ", "b "))]
        return [(row.split()[0], re.split(r"  +", row)[-1]) for row in rows]

    assert verdicts(shown) == verdicts(said) and len(verdicts(said)) == 3


def test_pictures_and_links_are_there():
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert len(local) > 5
    for link in local:
        assert (README.parent / link).exists(), link


@pytest.mark.parametrize("picture", ["samples.png", "training.gif", "board.gif", "conditional.png"])
def test_pictures_are_small(picture):
    assert (README.parent / ".readme" / picture).stat().st_size < 600_000
