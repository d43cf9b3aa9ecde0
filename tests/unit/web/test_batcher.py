"""Batches: their order and limits, and that a job that fails fails alone."""

import pytest

pytest.importorskip("fastapi", reason="needs hmean[web]")

from hmean.errors import InputError
from hmean.postprocess.parameters import PostprocessParams
from hmean.web.batcher import Batcher, BatchLimits, Job
from support.serving import FakeDetector, noise, picture

PARAMS = PostprocessParams()


def run_batches(limits, jobs, withdrawn=()):
    """Sizes of the calls of the detector, after a first job that holds the thread until all others are queued."""
    detector = FakeDetector()
    detector.go.clear()
    noted = []
    batcher = Batcher(detector, limits, noted.append)
    batcher.submit(Job(picture(), 1, PARAMS))
    assert detector.busy.wait(20)
    for job in jobs:
        batcher.submit(job)
    for job in withdrawn:
        batcher.withdraw(job)
    detector.go.set()
    batcher.close()
    batcher.join(20)
    assert batcher.waiting == 0
    return [count for count, _ in detector.calls[1:]], noted[1:]


def scores(jobs):
    return [job.future.result(0).scores[0] for job in jobs]


def test_batches_keep_the_order_and_hold_no_more_images_than_the_limit():
    jobs = [Job(picture(color=(i, i, i)), 30, PARAMS) for i in range(7)]
    assert run_batches(BatchLimits(images=3, pixels=100), jobs) == ([3, 3, 1], [3, 3, 1])
    assert scores(jobs) == pytest.approx([i / 255 for i in range(7)])


def test_batches_hold_no_more_pixels_than_the_limit_but_always_one_image():
    jobs = [Job(picture(), pixels, PARAMS) for pixels in (60, 60, 40, 200, 10)]
    assert run_batches(BatchLimits(images=3, pixels=100), jobs)[0] == [1, 2, 1, 1]


def test_a_batch_is_split_by_parameters():
    kinds = [PARAMS, PostprocessParams(thresh=0.1)]
    jobs = [Job(picture(), 1, kinds[i % 2]) for i in range(6)]
    assert run_batches(BatchLimits(), jobs) == ([3, 3], [6])


def test_a_withdrawn_job_is_not_worked_on():
    jobs = [Job(picture(), 1, PARAMS) for _ in range(3)]
    assert run_batches(BatchLimits(), jobs, withdrawn=[jobs[1]])[0] == [2]
    assert jobs[1].future.cancelled()


def test_the_thread_ends_where_all_jobs_are_withdrawn():
    jobs = [Job(picture(), 1, PARAMS) for _ in range(3)]
    assert run_batches(BatchLimits(), jobs, withdrawn=jobs)[0] == []


def test_a_damaged_image_fails_alone():
    jobs = [Job(picture(), 1, PARAMS), Job(noise("PNG")[:9000], 1, PARAMS), Job(picture(), 1, PARAMS)]
    assert run_batches(BatchLimits(), jobs)[0] == [2]
    with pytest.raises(InputError):
        jobs[1].future.result(0)
    assert len(scores([jobs[0], jobs[2]])) == 2


def test_an_image_that_the_detector_fails_on_fails_alone():
    colors = [(10, 10, 10), (255, 0, 0), (30, 30, 30)]
    jobs = [Job(picture(color=color), 1, PARAMS) for color in colors]
    assert run_batches(BatchLimits(), jobs)[0] == [3, 1, 1, 1]
    with pytest.raises(RuntimeError, match="red"):
        jobs[1].future.result(0)
    assert scores([jobs[0], jobs[2]]) == pytest.approx([10 / 255, 30 / 255])


def test_stages_are_timed():
    job = Job(picture(), 1, PARAMS)
    run_batches(BatchLimits(), [job])
    assert list(job.seconds) == ["wait", "decode", "detect"]
    assert all(value >= 0 for value in job.seconds.values())
