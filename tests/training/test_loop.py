"""The one training loop: when it ends, and what it has recorded then."""

from qnewton.cost import nominal_calibration
from qnewton.training.loop import Session, train
from qnewton.training.request import TrainingRequest
from qnewton.training.session import prepare
from qnewton.workloads import load_workload


def session(**options: object) -> Session:
    request = TrainingRequest(**{"steps": 4, "optimizer": "sgd", **options})  # type: ignore[arg-type]
    return prepare(request, load_workload("digits", 0), nominal_calibration())


def test_all_steps_are_taken_and_numbered() -> None:
    result = train(session())
    assert [record.step for record in result.records] == [0, 1, 2, 3]
    assert [metric.step for metric in result.metrics] == [1, 2, 3, 4]
    assert result.reached is None


def test_a_training_that_is_stopped_is_evaluated_where_it_ends() -> None:
    result = train(session(batch_size=100), stop=lambda records: len(records) == 2)
    assert len(result.records) == 2
    assert result.metrics[-1].step == 2


def test_a_training_ends_at_its_target() -> None:
    told = []
    result = train(session(target=0.01), on_step=told.append)
    assert (len(result.records), result.reached) == (1, 1)
    (progress,) = told
    assert progress.metric == result.metrics[0]
    assert progress.measured_seconds == result.records[0].measured.total
