"""Reading a user while traces are sent, are off, and where OpenTelemetry is not installed."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median

from ..applications import read_requests
from ..load import Run, load
from ..scale import Scale
from ..servers import gunicorn, temporary_redis
from ..tables import Aim, Report, Table, percentiles, ratios, spread
from ..usermanagement import usermanagement

ABSENT, OFF, SAMPLED, ON = "absent", "off", "on, 1 % sampled", "on"

_CONNECTIONS = 16  # for each worker, which has eight threads
_PACE = 0.7  # of saturation
_MISSING = 'raise ModuleNotFoundError("not here", name="opentelemetry")\n'

_Runs = dict[str, list[Run]]


def run(scale: Scale) -> Report:
    """Measure all in turns: noise affects all alike."""
    workers = scale.workers[-1]
    with temporary_redis() as (server, folder), ExitStack() as stack, _collector() as endpoint:
        ports = {
            name: stack.enter_context(
                usermanagement(server, folder, workers=workers, **variables)
            ).port
            for name, variables in _variables(folder, endpoint).items()
        }
        messages = cycle(read_requests(server, folder, ports[OFF], scale.clients))
        full: _Runs = {name: [] for name in ports}
        paced: _Runs = {name: [] for name in ports}
        connections = _CONNECTIONS * workers
        for _ in range(scale.rounds):
            for name, port in ports.items():
                found = load(port, messages, connections=connections, seconds=scale.seconds)
                full[name].append(found)
        rate = _PACE * median(found.rate for found in full[ON])
        for _ in range(scale.paced_rounds):
            for name, port in ports.items():
                found = load(
                    port, messages, connections=connections, seconds=scale.seconds, rate=rate
                )
                paced[name].append(found)
    return _report(full, paced)


def _variables(folder: Path, endpoint: str) -> Mapping[str, Mapping[str, str]]:
    """The environment of each contender."""
    package = folder / "absent" / "opentelemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(_MISSING)
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    return {ABSENT: {"PYTHONPATH": str(package.parent)}, OFF: {}, SAMPLED: on | sampler, ON: on}


@contextmanager
def _collector() -> Iterator[str]:
    with gunicorn("benchmarks.contenders.collector", {"LOG_LEVEL": "ERROR"}) as port:
        yield f"http://127.0.0.1:{port}"


def _report(full: _Runs, paced: _Runs) -> Report:
    rates = {name: [run.rate for run in runs] for name, runs in full.items()}
    table = Table(("GET a user, traces", "requests/s", "÷ absent", "p50 ms", "p99 ms"))
    for name, found in rates.items():
        latencies = [seconds * 1000 for run in paced[name] for seconds in run.latencies]
        ratio = spread(ratios(found, rates[ABSENT]))
        table.add(name, spread(found, 0), ratio, *percentiles(latencies, (50, 99)))
    off = ratios(rates[OFF], rates[ABSENT])
    return Report([table], [Aim("`GET /users/{id}`, traces off ÷ absent", off, at_least=0.98)])
