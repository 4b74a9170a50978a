"""The plugin's side of the line: orders of the host, and what is asked of it."""

import importlib.util
import json
import logging
import os
import socket
import sys
import traceback

from ._wire import NOTHING, Gone, Wire


class HostError(Exception):
    """What the host refused, or another component failed with."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.error = error


class Cancelled(HostError):
    """The user asked to stop: let it pass."""

    def __init__(self):
        super().__init__({"kind": "cancelled", "message": "cancelled"})


class Host:
    """What a component may ask of its host."""

    def __init__(self, wire):
        self._wire = wire

    def call(self, slot, op, value, tensors=()):
        """Asks what fills a slot to perform an operation: its answer, and the arrays that this refers to by number."""
        self._wire.send({"Call": [slot, op]}, value, tensors)
        kind, answer, arrays = self._wire.receive()
        if kind == "Answer":
            return answer, arrays
        error = kind["Refusal"]
        raise Cancelled() if error["kind"] == "cancelled" else HostError(error)

    def step(self, done, total, note=""):
        """Shows that `done` of `total` steps are done, and stops here if the user asked to."""
        self._wire.send("Cancelled")
        kind, _, _ = self._wire.receive()
        if kind["Cancelled"]:
            raise Cancelled()
        self._wire.send({"Progress": [int(done), int(total), note]})

    def log(self, level, target, text):
        """Logs: level 1 is an error, 5 the finest detail."""
        self._wire.send({"Log": [level, target, text]})


class _Logs(logging.Handler):
    """Python's log as the host's."""

    LEVELS = [(logging.ERROR, 1), (logging.WARNING, 2), (logging.INFO, 3), (logging.DEBUG, 4)]

    def __init__(self, host):
        super().__init__()
        self._host = host

    def emit(self, record):
        level = next((level for least, level in self.LEVELS if record.levelno >= least), 5)
        self._host.log(level, record.name, self.format(record))


def load(file):
    """The methods of a Python file, by their names."""
    from ._method import Method

    spec = importlib.util.spec_from_file_location("medfocus_plugin", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method) and value is not Method]
    own = [method for method in found if method.__module__ == spec.name]
    if not own:
        raise SystemExit(f"{file} holds no class of medfocus.Method")
    return {method.name: method for method in own}


def serve(file):
    """Serves the host at the other end of standard input until that is no more."""
    line = socket.socket(fileno=os.dup(0))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    # What a plugin prints is no part of the program's output.
    sys.stdout = sys.stderr
    wire = Wire(line)
    host = Host(wire)
    logging.getLogger().addHandler(_Logs(host))
    try:
        order, _, _ = wire.receive()
        start = order["Start"]
        name = start["component"]
        component = _answered(wire, file, name, lambda: (load(file)[name](host, start["params"]), NOTHING, ()))
        while component is not None:
            order, value, tensors = wire.receive()
            _answered(wire, file, name, lambda: (True, *component.perform(order["Invoke"], value, tensors)))
    except Gone:
        pass


def _answered(wire, file, name, work):
    """Sends what `work` gives, or why it gives nothing; returns its first part."""
    try:
        done, value, tensors = work()
        # A value that JSON cannot hold is the method's fault as much as any other.
        wire.send("Done", value, tensors)
        return done
    except Gone:
        raise
    except HostError as error:
        wire.send({"Failed": error.error})
    except BaseException as error:
        logging.getLogger("medfocus").debug("%s", traceback.format_exc())
        wire.send({"Failed": _failure(error, file, name)})
    return None


def _failure(error, file, name):
    """The last line of a traceback, and where in the plugin it happened."""
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if os.path.samefile(frame.filename, file)] if os.path.exists(file) else []
    place = f" at {os.path.basename(file)}:{own[-1].lineno}" if own else ""
    return {"kind": "panicked", "message": f"`{name}` raised {what}{place}"}
