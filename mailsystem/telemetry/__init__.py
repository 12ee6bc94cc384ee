"""One instrument, many readers: what happened is said once, to a `Trace`, and log, flow and metrics listen."""

from mailsystem.telemetry.trace import Event, Sink, Trace

__all__ = ["Event", "Sink", "Trace"]
