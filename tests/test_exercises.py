"""The exercises: the solution passes, every planted wrong answer fails, and the message names the mistake."""

import inspect

import numpy as np
import pytest

from minigan import exercises
from minigan.exercises import EXERCISES, WrongAnswer, check, mutation_table
from minigan.exercises.checking import ForwardProblem, cases_of, drawn, examine
from minigan.exercises.exercise import Exercise, Wrong, sizes
from minigan.gradcheck.problems import numeric_gradient
from minigan.layers import Dense, LeakyReLU

WRONG = [(exercise, wrong) for exercise in EXERCISES for wrong in exercise.wrong]
BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
dense_backward = BY_NAME["02.dense_backward"].solution


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
@pytest.mark.parametrize("student", ["", "Ada", "学生"])
def test_the_solution_passes(exercise, student, monkeypatch):
    monkeypatch.setenv("MINIGAN_STUDENT", student)
    verdict = check(exercise.name, exercise.solution)
    assert verdict, verdict
    assert verdict.cases >= 2
    assert f"{exercise.name}: right" in str(verdict)


@pytest.mark.parametrize("exercise, wrong", WRONG, ids=lambda v: getattr(v, "name", "") or v.words[:30])
@pytest.mark.parametrize("student", ["", "Ada"])
def test_a_wrong_answer_is_caught_and_named(exercise, wrong, student, monkeypatch):
    monkeypatch.setenv("MINIGAN_STUDENT", student)
    verdict = check(exercise.name, wrong.answer)
    assert not verdict
    assert wrong.words in verdict.wrong
    others = [w.words for e, w in WRONG if e is exercise and w.says and w is not wrong]
    assert not any(words in verdict.wrong for words in others), "the message names a mistake that was not made"


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_an_exercise_is_whole(exercise):
    assert 3 <= len(exercise.wrong) <= 6
    assert exercise.asked
    assert len({wrong.words for wrong in exercise.wrong}) == len(exercise.wrong)


def test_the_mutation_table():
    lines = mutation_table().splitlines()
    assert len(lines) == 1 + len(EXERCISES)
    for line, exercise in zip(lines[1:], EXERCISES):
        count = str(len(exercise.wrong))
        assert line.split() == [exercise.name, "yes", count, count, count]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_one_case_answered_is_no_answer(exercise):
    """What is right for the first inputs is wrong for others: or a constant would pass."""
    first = []

    def same_again(*inputs):
        if not first:
            first.append(exercise.solution(*inputs))
        return first[0]

    asked = inspect.signature(exercise.solution)
    same_again.__signature__ = asked
    assert not check(exercise.name, same_again, seed=1)


@pytest.mark.parametrize("name", [e.name for e in EXERCISES if e.forward])
def test_the_solution_is_the_derivative_of_its_forward(name):
    """Numbers nobody wrote down: central differences of the forward."""
    exercise = BY_NAME[name]
    asked = list(inspect.signature(exercise.solution).parameters)
    inputs = drawn(exercise, asked, cases_of(exercise)[0], np.random.default_rng(3))
    problem, gradients = ForwardProblem(exercise.forward, inputs), exercise.solution(*(inputs[n] for n in asked))
    for part, gradient in zip(exercise.returns, gradients if len(exercise.returns) > 1 else [gradients]):
        at = inputs[part.removeprefix("d")]
        numeric = numeric_gradient(problem, part.removeprefix("d"), at, np.arange(at.size))
        np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-7, atol=1e-8)
        assert np.abs(numeric).max() > 0.1, "a gradient of zero proves nothing"


def test_the_solutions_are_what_the_layers_do():
    rng = np.random.default_rng(0)
    dy, x = rng.standard_normal((5, 3)), rng.standard_normal((5, 4))
    layer = Dense(4, 3, rng=rng).astype(np.float64)
    dx, dW, db = dense_backward(dy, x, layer.params["W"])
    np.testing.assert_allclose(dx, layer.backward(dy, layer.forward(x)[1]), rtol=1e-12)
    np.testing.assert_allclose(dW, layer.grads["W"], rtol=1e-12)
    np.testing.assert_allclose(db, layer.grads["b"], rtol=1e-12)
    leaky = LeakyReLU(0.3)
    mine = BY_NAME["02.leaky_relu_backward"].solution(dy, dy[::-1], 0.3)
    np.testing.assert_allclose(mine, leaky.backward(dy, leaky.forward(dy[::-1])[1]), rtol=1e-12)


def test_a_central_difference_and_a_relative_error_by_hand():
    central, error = (BY_NAME[f"01.{name}"].solution for name in ("central_difference", "relative_error"))
    x = np.array([[1.0, -2.0]])
    np.testing.assert_allclose(central(lambda v: (v**3).sum(), x, 0.1), [[3.01, 12.01]])  # 3 x^2 + h^2
    assert error(np.array([1.0, 0.0, 2e-6]), np.array([1.1, 0.0, 1e-6]), 1e-4) == pytest.approx(0.1 / 1.1)
    assert error(np.array([1e-6]), np.array([0.0]), 1e-4) == pytest.approx(0.01)


def test_students_get_numbers_of_their_own_and_the_same_again(monkeypatch):
    seen = []

    def spy(dy, x, W):
        seen.append(x)
        return dense_backward(dy, x, W)

    for student in ("Ada", "Emmy", "Ada"):
        monkeypatch.setenv("MINIGAN_STUDENT", student)
        seen.append(None)
        assert check("02.dense_backward", spy)
    third = (len(seen)) // 3
    ada, emmy, again = (seen[k * third + 1 : (k + 1) * third] for k in range(3))
    assert all(np.array_equal(a, b) for a, b in zip(ada, again))
    assert not any(np.array_equal(a, b) for a, b in zip(ada, emmy))
    assert check("02.dense_backward", spy, seed=5)
    assert not np.array_equal(seen[-4], again[0]), "a seed gives other cases"
    assert {x.dtype.name for x in seen[-4:]} == {"float32", "float64"}
    assert any(not x.flags.c_contiguous for x in seen[-4:])
    assert 1 in {len(x) for x in seen[-4:]}


def test_sizes_differ_from_each_other_and_from_the_batch():
    rng = np.random.default_rng(0)
    for N in (1, 4, 5, 6):
        for _ in range(50):
            assert len({N, *sizes(rng, N, 3)}) == 4


# ---- bad input: one clear sentence, never a traceback ----------------------------------------------------------


def raises(dy, x, W):
    return dy @ W.T, x.T @ missing, dy.sum(axis=0)  # noqa: F821


def unwritten(dy, x, W):
    raise NotImplementedError("exercise 02.dense_backward")


def leaves(dy, x, W):
    raise SystemExit(3)


def writes(dy, x, W):
    x *= 2
    return dense_backward(dy, x / 2, W)


def recursive(dy, x, W):
    return recursive(dy, x, W)


BAD = {
    "no function": (np.zeros(3), "is to be a function of (dy, x, W), but it is of type ndarray"),
    "too few arguments": (lambda dy, x: None, "your function takes (dy, x): give it these arguments"),
    "another order": (lambda x, dy, W: None, "in this order, but your function takes (x, dy, W)"),
    "nothing": (lambda dy, x, W: None, "It returns nothing: end it with `return dx, dW, db`"),
    "one array": (lambda dy, x, W: dy, "to return 3 arrays, dx, dW, db, but returns one ndarray"),
    "two arrays": (lambda dy, x, W: (dy, x), "to return 3 arrays, dx, dW, db, but returns 2"),
    "text": (lambda dy, x, W: ("a", x, W), "It returns for dx a str, not numbers"),
    "ragged": (lambda dy, x, W: ([[1], [1, 2]], x, W), "rows of unequal length"),
    "complex": (lambda dy, x, W: (1j * x, W, W), "It returns for dx a ndarray, not numbers"),
    "NaN": (lambda dy, x, W: (dy @ W.T * np.nan, x.T @ dy, dy.sum(0)), "entries are NaN or infinite"),
    "exception": (raises, "It raised NameError: name 'missing' is not defined, in the line `return dy @ W.T"),
    "not written": (unwritten, "Not written yet: exercise 02.dense_backward."),
    "exit": (leaves, "It raised SystemExit"),
    "endless recursion": (recursive, "It raised RecursionError"),
    "writes": (writes, "It leaves its input x changed"),
    "wrong and right": (lambda dy, x, W: (-dy @ W.T, x.T @ dy, dy.sum(0)), "dW and db are right"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_sentence(name, capsys):
    answer, words = BAD[name]
    verdict = check("02.dense_backward", answer)
    assert not verdict
    assert words in verdict.wrong
    assert "Traceback" not in str(verdict)
    assert capsys.readouterr() == ("", "")


def test_an_unknown_exercise_is_a_sentence():
    assert 'did you mean "02.dense_backward"?' in check("2.dense_backwards", dense_backward).wrong
    assert "There is no exercise of this name" in check("?", dense_backward).wrong


def test_raise_if_wrong_raises_the_message_and_shows_no_traceback_in_a_notebook():
    verdict = check("02.dense_backward", unwritten)
    with pytest.raises(WrongAnswer, match="Not written yet") as caught:
        verdict.raise_if_wrong()
    assert "\n".join(caught.value._render_traceback_()) == str(verdict) == repr(verdict)
    right = check("02.dense_backward", dense_backward)
    assert right.raise_if_wrong() is right


def test_an_interrupt_is_not_swallowed():
    def interrupted(dy, x, W):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("02.dense_backward", interrupted)


# ---- wrong answers as a learner writes them, other than the planted ones --------------------------------------


def test_two_mistakes_are_named_both():
    verdict = check("02.dense_backward", lambda dy, x, W: (-dy @ W.T, x.T @ dy / len(x), dy.sum(axis=0)))
    assert "dx is wrong: opposite sign" in verdict.wrong
    assert "dW is wrong: a constant factor of 1/N, N = 5" in verdict.wrong
    assert "db is right" in verdict.wrong


def test_a_mistake_that_no_one_planted_is_still_wrong():
    def forgets_a_sample(dy, x, W):
        return dy @ W.T, x[1:].T @ dy[1:], dy.sum(axis=0)

    assert "dW is wrong: wrong, and none of the usual" in check("02.dense_backward", forgets_a_sample).wrong

    def wrong_in_one_entry(dy, x, slope):
        dx = np.where(x > 0, dy, slope * dy)
        dx[-1, -1] *= 1.001
        return dx

    assert "wrong in 1 of" in check("02.leaky_relu_backward", wrong_in_one_entry).wrong


def test_a_sentence_is_given_only_for_the_part_that_it_is_about():
    """The planted answer has the first part right; who has it slightly wrong did not make the planted mistake."""
    exercise = Exercise(
        name="00.pair",
        asked="x and 2 x",
        make=lambda rng, N: {"x": rng.standard_normal(N)},
        solution=lambda x: (x, 2 * x),
        returns=("once", "twice"),
        wrong=(Wrong(lambda x: (x, x), "", says="the 2 is missing"),),
    )
    assert "twice is wrong: the 2 is missing" in examine(exercise, lambda x: (x, 1 * x), 0)
    slightly = examine(exercise, lambda x: (x * (1 + 1e-5), 2 * x), 0)
    assert "once is wrong" in slightly and "the 2 is missing" not in slightly


def test_a_loop_that_divides_by_h_only_is_told_so():
    def difference(f, x, h):
        gradient = np.zeros(x.shape)
        for i in np.ndindex(*x.shape):
            above, below = x.copy(), x.copy()
            above[i], below[i] = above[i] + h, below[i] - h
            gradient[i] = (f(above) - f(below)) / h
        return gradient

    assert "x + h and x - h are 2 h apart" in check("01.central_difference", difference).wrong


def test_what_is_no_gradient_is_told_nothing_of_a_derivation():
    def solution(n):
        return np.array(3.0 * n)

    of_a_number = Exercise("99.value", "n: a number", lambda rng, N: {"n": N}, solution, ())
    message = examine(of_a_number, lambda n: np.array(2.5 * n), 0)
    assert "derivation" not in message
    assert "(Tried with float64.)" in message  # no arrays, so none are listed


def test_float32_must_be_kept():
    verdict = check("02.dense_backward", lambda dy, x, W: tuple(np.float64(g) for g in dense_backward(dy, x, W)))
    assert "dx has the right numbers, but float32 in gives float64 out" in verdict.wrong


def test_a_list_of_verdicts_holds_true_and_false():
    solution = BY_NAME["01.verdicts"].solution
    assert check("01.verdicts", lambda layers, x, rng: np.array(solution(layers, x, rng)))
    assert "it is to hold True and False" in check("01.verdicts", lambda layers, x, rng: [1] * 6).wrong


def test_the_docstring_names_an_exercise_that_is_there():
    assert "02.dense_backward" in exercises.__doc__ and "02.dense_backward" in BY_NAME
