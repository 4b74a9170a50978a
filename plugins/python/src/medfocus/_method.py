"""What a method is: parameters, a task, and what it finds."""

from dataclasses import dataclass, field

import numpy as np

from ._model import Model

SIDE = 224
TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


@dataclass(frozen=True)
class Param:
    """A parameter of a method: what it is for, its default, and the values it may take."""

    default: object
    description: str
    minimum: object = None
    maximum: object = None
    choices: tuple = ()

    def schema(self):
        """Itself as JSON schema."""
        kind = TYPES.get(type(self.default))
        if kind is None:
            raise TypeError(f"a parameter is a bool, an int, a float or a str, not {type(self.default).__name__}")
        schema = {"type": kind, "description": self.description, "default": self.default}
        limits = {"minimum": self.minimum, "maximum": self.maximum, "enum": list(self.choices) or None}
        return schema | {key: value for key, value in limits.items() if value is not None}


def param(default, description, minimum=None, maximum=None, choices=()):
    """A parameter of a method, written as a class attribute; its type is that of the default."""
    return Param(default, description, minimum, maximum, tuple(choices))


@dataclass
class Box:
    """A region of the working image: columns x1 to x2, rows y1 to y2, the last ones not among it."""

    x1: int
    y1: int
    x2: int
    y2: int
    score: float = 1.0
    label: str | None = None

    def value(self):
        corners = [int(edge) for edge in (self.x1, self.y1, self.x2, self.y2)]
        value = {"bbox": {"frame": "working", "corners": corners}, "score": float(self.score)}
        return value if self.label is None else value | {"label": self.label}


@dataclass
class Attribution:
    """What a method found: a heat map, boxes or a mask of the working image (224 x 224), and whatever else it knows.

    The host makes boxes of the heat where there are none; an empty list says that there is no evidence.
    """

    heat: np.ndarray | None = None
    boxes: list | None = None
    mask: np.ndarray | None = None
    evidence: dict = field(default_factory=dict)
    warnings: list = field(default_factory=list)

    def packed(self):
        tensors = []

        def placed(array, dtype):
            if array is None:
                return None
            array = np.asarray(array)
            if array.shape != (SIDE, SIDE):
                raise ValueError(f"a map of the working image is {SIDE} x {SIDE}, not {' x '.join(map(str, array.shape))}")
            tensors.append(np.ascontiguousarray(array, dtype))
            return len(tensors) - 1

        mask = None if self.mask is None else np.where(np.asarray(self.mask) > 0, 255, 0)
        value = {
            "heat": placed(self.heat, np.float32),
            "mask": placed(mask, np.uint8),
            "boxes": None if self.boxes is None else [box.value() for box in self.boxes],
            "evidence": self.evidence,
            "warnings": list(self.warnings),
        }
        return value, tensors


class Task:
    """One answer to explain."""

    def __init__(self, host, value, tensors):
        self._host = host
        self.image = tensors[value["image"]]
        """What the model saw: (224, 224), uint8."""
        self.native = tensors[value["native"]]
        """The image as it was read: (height, width), uint8."""
        self.letterbox = value["letterbox"]
        """How the second lies in the first."""
        self.question = value["question"]
        self.answer = value["answer"]
        self.mode = value["mode"]
        self.seed = value["seed"]
        """For every random choice."""
        self.finding = value.get("finding")
        self.model = Model(host, self)
        """The model whose answer it is."""

    def step(self, done, total, note=""):
        """Shows that `done` of `total` steps are done, and stops here if the user asked to."""
        self._host.step(done, total, note)


class Method:
    """An attribution method: give it a `name`, a docstring, `param`s and `attribute`.

    `needs` are the abilities that its model must have: "generate", "score", "trace", "gradient", "relevance"; None: it asks no model.
    """

    name = ""
    needs = ("score",)

    def __init__(self, host, params):
        self._host = host
        for name in self.params():
            setattr(self, name, params[name])

    def attribute(self, task):
        """Explains one answer."""
        raise NotImplementedError(f"{type(self).__name__} has no attribute(self, task)")

    @classmethod
    def params(cls):
        """Its parameters by name, in the order in which they are written."""
        found = {}
        for base in reversed(cls.__mro__):
            found |= {name: value for name, value in vars(base).items() if isinstance(value, Param)}
        return found

    @classmethod
    def manifest(cls):
        """What it says of itself."""
        if not cls.name or not (cls.__doc__ or "").strip():
            raise SystemExit(f"{cls.__name__} needs a `name` and a docstring that says what it does")
        properties = {name: param.schema() for name, param in cls.params().items()}
        slot = {"name": "model", "kind": "model", "required": True, "abilities": list(cls.needs or ())}
        return {
            "kind": "method",
            "name": cls.name,
            "summary": cls.__doc__.strip().splitlines()[0],
            "slots": [] if cls.needs is None else [slot],
            "abilities": [],
            "params": {"type": "object", "additionalProperties": False, "properties": properties},
        }

    def perform(self, op, value, tensors):
        """An operation that the host orders, and its answer."""
        if op != "attribute":
            raise NotImplementedError(f"operation `{op}` is not known to this component")
        found = self.attribute(Task(self._host, value, tensors))
        if not isinstance(found, Attribution):
            raise TypeError(f"attribute() returned {type(found).__name__}, not a medfocus.Attribution")
        return found.packed()
