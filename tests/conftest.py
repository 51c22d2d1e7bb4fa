"""What all tests share: the backend they run on, hypothesis's settings, and no network.

pytest                    tests with the fixture `backend` run on NumPy and on the tripwire (minigan/tripwire.py)
pytest --backend cupy     they run on the GPU; the other tests stay on NumPy
"""

import socket

import hypothesis
import pytest

from minigan import tripwire
from minigan.backend import BackendError, use

BACKENDS = {"numpy": "numpy", "tripwire": tripwire.BACKEND, "cupy": "cupy"}

# The same examples in every run, however slow the machine.
hypothesis.settings.register_profile(
    "minigan",
    derandomize=True,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],  # `backend` does not change in a test
)
hypothesis.settings.load_profile("minigan")


def pytest_addoption(parser):
    parser.addoption(
        "--backend", choices=["numpy", "cupy"], default="numpy", help="numpy (and the tripwire), or cupy"
    )


def pytest_configure(config):
    try:
        use(config.getoption("--backend"))
    except BackendError as error:
        raise pytest.UsageError(str(error)) from None
    use("numpy")  # whatever MINIGAN_BACKEND says


def pytest_generate_tests(metafunc):
    if "backend" in metafunc.fixturenames:
        on_gpu = metafunc.config.getoption("--backend") == "cupy"
        metafunc.parametrize("backend", ["cupy"] if on_gpu else ["numpy", "tripwire"], indirect=True)


@pytest.fixture
def backend(request):
    """The name of the backend that the test computes on; afterwards it is NumPy again."""
    use(BACKENDS[request.param])
    yield request.param
    use("numpy")


class NetworkError(RuntimeError):
    """No OSError: code that expects a network to fail shall not swallow it."""


@pytest.fixture(scope="session", autouse=True)
def no_network():
    """A test that reaches out works on one machine and not on the next."""

    def guard(function, position):
        def guarded(*args, **kwargs):
            address = args[position] if len(args) > position else kwargs.get("host")
            host = address[0] if isinstance(address, tuple) else address  # of AF_UNIX it is a path
            local = getattr(args[0], "family", None) == getattr(socket, "AF_UNIX", ...)
            if not local and host not in (None, "", "127.0.0.1", "::1", "localhost", b"localhost"):
                raise NetworkError(f"A test wanted to reach {host} over the network; tests run without one.")
            return function(*args, **kwargs)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guard(socket.socket.connect, 1))
        patch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex, 1))
        patch.setattr(socket, "getaddrinfo", guard(socket.getaddrinfo, 0))
        yield
