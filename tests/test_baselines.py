import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scores import random_scores
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from chexmodel.baselines import LIFTED, constant_answers, lift
from chexmodel.metrics import evaluate


@given(st.integers(1, 40), st.integers(1, 40))
def test_constant_answers_are_those_of_scikit_learn(positives: int, negatives: int) -> None:
    y = np.repeat([1, 0], [positives, negatives])
    share = positives / (positives + negatives)
    answers = constant_answers(np.array([float(positives)]), np.array([float(negatives)]))
    for answer, probability in {"yes": 1.0, "no": 0.0, "prevalence": share}.items():
        probs = np.full(len(y), probability)
        calls = probs >= 0.5
        expected = {
            "auroc": roc_auc_score(y, probs),
            "average_precision": average_precision_score(y, probs),
            "precision": precision_score(y, calls, zero_division=np.nan),
            "recall": recall_score(y, calls),
            "specificity": recall_score(1 - y, ~calls),
            "npv": precision_score(1 - y, ~calls, zero_division=np.nan),
            "f1": f1_score(y, calls),
            "accuracy": accuracy_score(y, calls),
            "balanced_accuracy": balanced_accuracy_score(y, calls),
            "brier": brier_score_loss(y, probs),
            "ece": abs(probability - share),
        }
        found = {name: float(value[0]) for name, value in answers[answer].items()}
        assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(("positives", "negatives"), [(0, 5), (5, 0), (0, 0)])
def test_without_both_classes_every_answer_is_undefined(positives: int, negatives: int) -> None:
    answers = constant_answers(np.array([float(positives)]), np.array([float(negatives)]))
    assert all(np.isnan(value).all() for metrics in answers.values() for value in metrics.values())


def test_the_lift_by_hand() -> None:
    # 1 of 4 positive: "yes" has F1 0.4, "no" accuracy 0.75, the prevalence Brier 0.1875.
    answers = constant_answers(np.array([1.0]), np.array([3.0]))
    model = {name: np.array([0.8]) for name in LIFTED} | {"brier": np.array([0.1])}
    gains = {name: float(gain[0]) for name, gain in lift(model, answers).items()}
    expected = {"auroc": 0.3, "average_precision": 0.55, "f1": 0.4, "accuracy": 0.05}
    assert gains == pytest.approx(expected | {"balanced_accuracy": 0.3, "brier": 0.0875})


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_a_constant_model_has_no_lift(answer: float) -> None:
    targets, probs = random_scores()
    evaluation = evaluate(targets, np.full_like(probs, answer), thresholds=0.5, bootstrap=50)
    for score in evaluation.scores[:12]:
        for name in LIFTED:
            assert score.lift[name].value <= 1e-12, name
        assert score.lift["auroc"].value == pytest.approx(0)
    assert evaluation.macro_lift["f1"].value <= 1e-12
