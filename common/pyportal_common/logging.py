"""Logs: one line per event, as text or JSON, with the ids of its request and its trace."""

import logging
import logging.config
from contextvars import ContextVar

from . import spans
from .extras import requires

request_id: ContextVar[str] = ContextVar("request_id", default="-")


class _TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name of logging
        text, trace_id = super().formatMessage(record), getattr(record, "trace_id", None)
        return text if trace_id is None else f"{text} trace_id={trace_id}"


_TEXT = {
    "()": _TextFormatter,
    "fmt": "{asctime}.{msecs:03.0f} {levelname} {name} [{request_id}] {message}",
    "datefmt": "%Y-%m-%dT%H:%M:%S",
    "style": "{",
}


class _AddIds(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        trace_id = spans.trace_id()
        if trace_id is not None:
            record.trace_id = trace_id
        return True


def logging_config(log_format: str, level: str) -> dict[str, object]:
    """The dictionary for logging.config.dictConfig. `log_format` is text or json, to stderr.

    gunicorn takes the same dictionary (logconfig_dict), so its lines have the same format.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"ids": {"()": _AddIds}},
        "formatters": {log_format: _json_format() if log_format == "json" else _TEXT},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": log_format,
                "filters": ["ids"],
            },
        },
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            "gunicorn.access": {"handlers": [], "propagate": False},  # web/tracing.py logs it
            "alembic.runtime.plugins": {"level": "WARNING"},
        },
    }


def _json_format() -> dict[str, object]:
    with requires("gunicorn"):
        from pythonjsonlogger.json import JsonFormatter
    return {
        "()": JsonFormatter,
        "format": "{asctime}{levelname}{name}{request_id}{message}",
        "datefmt": "%Y-%m-%dT%H:%M:%S%z",
        "style": "{",
    }


def configure_logging(log_format: str, level: str) -> None:
    """Configure the logs of this process as `logging_config` describes."""
    logging.config.dictConfig(logging_config(log_format, level))
