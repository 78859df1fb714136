"""In the block libraries take one thread, and after it what they took before."""

from threadpoolctl import threadpool_info, threadpool_limits

from codesign.optimisers.threads import _controller, on_one_thread


def threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info()]


def test_one_thread_within_and_the_former_number_after() -> None:
    _controller.cache_clear()  # other tests may have loaded libraries since it was made
    with threadpool_limits(2):
        before = threads()
        for _ in range(2):
            with on_one_thread():
                assert set(threads()) == {1}
            assert threads() == before
    assert 2 in before
