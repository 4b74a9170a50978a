"""Attribution methods for MedFocus in Python, and its results as arrays and tables.

A method is a class; the host asks it about one answer after the other, in a process of its own:

    import medfocus
    import numpy as np

    class Brightness(medfocus.Method):
        "Blames what is bright."
        name = "py_brightness"
        power: float = medfocus.param(1.0, "Exponent of the grey value.", minimum=0.1, maximum=10.0)

        def attribute(self, task):
            return medfocus.Attribution(heat=(task.image / 255.0) ** self.power)

`python -m medfocus install brightness.py` makes it known to the host; `read` opens a folder of results.
"""

from ._method import Attribution, Box, Method, Param, Task, param
from ._model import Generation, Model, Trace
from ._results import Run, read
from ._serve import Cancelled, HostError

__all__ = [
    "Attribution",
    "Box",
    "Cancelled",
    "Generation",
    "HostError",
    "Method",
    "Model",
    "Param",
    "Run",
    "Task",
    "Trace",
    "param",
    "read",
]
