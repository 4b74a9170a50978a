"""The model in a method's slot."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Generation:
    """An answer: its text, its tokens with their natural log-probabilities, and whether the model closed its turn itself."""

    text: str
    tokens: list
    log_probs: np.ndarray
    complete: bool


@dataclass
class Trace:
    """One pass seen from the inside."""

    captures: dict
    """What was wanted, by what it was called."""
    log_probs: np.ndarray
    """Natural log-probability of each answer token: (T,)."""
    objective: float
    pixel_values: np.ndarray
    """The model's normalised pixels: (3, H, W)."""
    layout: dict
    """`input_ids`, `image_positions`, `grid`, `answer`, `tokens`: where image and answer lie in the sequence."""


class Model:
    """The model that gave the answer; question and answer are the task's unless others are named."""

    def __init__(self, host, task):
        self._host, self._task = host, task

    def info(self):
        """What the model is."""
        answer, _ = self._host.call("model", "info", None)
        return answer

    def score(self, images, question=None, answer=None, span="answer"):
        """Natural log-probabilities (N, T) of the answer's T tokens on N images (224, 224) of uint8.

        `span` is "answer", or "turn" with the tokens that close it.
        """
        images = [_image(image) for image in images]
        request = self._request(question, answer) | {"images": list(range(len(images))), "span": span}
        value, tensors = self._host.call("model", "score", request, images)
        return tensors[value["log_probs"]]

    def generate(self, image=None, question=None, max_new_tokens=64):
        """The model's own answer about an image, the task's unless another is given."""
        request = {
            "image": 0,
            "question": self._task.question if question is None else question,
            "max_new_tokens": max_new_tokens,
        }
        image = self._task.image if image is None else image
        value, _ = self._host.call("model", "generate", request, [_image(image)])
        return Generation(value["text"], value["tokens"], np.array(value["log_probs"], np.float32), value["complete"])

    def trace(self, wants, image=None, question=None, answer=None, span="answer", quantity="log_prob", tokens=None):
        """Attention, hidden states and gradients of one pass: each of `wants` is "attention:L", "attention:L:heads", "hidden:L",
        "features", "logits", "gradient:" before "attention:L", "hidden:L", "features" or "pixels", or "relevance:" before
        "hidden:L" or "features".

        Gradients and relevance are of `quantity`, "log_prob", "mean_probability" or "logit", over the answer's `tokens` (first, last + 1), or all.
        """
        tokens = None if tokens is None else {"start": tokens[0], "end": tokens[1]}
        request = self._request(question, answer) | {
            "image": 0,
            "wants": list(wants),
            "span": span,
            "objective": {"quantity": quantity, "tokens": tokens},
        }
        image = self._task.image if image is None else image
        value, tensors = self._host.call("model", "trace", request, [_image(image)])
        return Trace(
            captures={capture["want"]: tensors[capture["tensor"]] for capture in value["captures"]},
            log_probs=tensors[value["log_probs"]],
            objective=value["objective"],
            pixel_values=tensors[value["pixel_values"]],
            layout=value["layout"],
        )

    def _request(self, question, answer):
        return {
            "question": self._task.question if question is None else question,
            "answer": self._task.answer if answer is None else answer,
        }


def _image(image):
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype != np.uint8:
        raise TypeError(f"an image is (height, width) of uint8, not {image.shape} of {image.dtype}")
    return np.ascontiguousarray(image)
