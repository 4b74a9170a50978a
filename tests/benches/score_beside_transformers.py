"""Scores one answer on many images: `medfocus model score` beside a plain transformers loop.

    .venv/bin/python tests/benches/score_beside_transformers.py target/release/medfocus

Both run the demo checkpoint on one thread in f32. Start-up is taken out by timing one image and
many. The plain loop is what a script would do: processor, forward pass, log-softmax, per image.
`cargo xtask fixtures` makes the environment.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from PIL import Image
from transformers import AutoProcessor, Gemma3ForConditionalGeneration

CHECKPOINT = "configs/checkpoints/phantom-gemma3"
QUESTION = "Is there evidence of pleural effusion in the image? Answer directly with yes or no without any explanation."
ANSWER = "Yes"
MANY = 65


def chat(processor, image, answer=None):
    turns = [{"role": "user", "content": [{"type": "image", "image": image}, {"type": "text", "text": QUESTION}]}]
    if answer is not None:
        turns.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    return processor.apply_chat_template(
        turns, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=answer is None
    )


def plain(images):
    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(CHECKPOINT)
    model = Gemma3ForConditionalGeneration.from_pretrained(CHECKPOINT, dtype=torch.float32).eval()
    answer = processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"]
    sums, start = [], time.perf_counter()
    for image in images:
        begin = chat(processor, image)["input_ids"].shape[1]
        inputs = chat(processor, image, ANSWER)
        with torch.no_grad():
            log_probs = model(**inputs).logits[0].float().log_softmax(-1)
        rows = log_probs[begin - 1 : begin - 1 + len(answer)]
        sums.append(rows.gather(1, torch.tensor(answer)[:, None]).sum().item())
    return (time.perf_counter() - start) / len(images), sums


def ours(medfocus, files):
    command = [medfocus, "model", "score", "--model", f"gemma3={CHECKPOINT}", "--device", "cpu", "--json"]
    command += ["--question", QUESTION, "--answer", ANSWER, "--image"]

    def timed(files):
        start = time.perf_counter()
        output = subprocess.run(command + files, check=True, capture_output=True, text=True).stdout
        return time.perf_counter() - start, [row["sum"] for row in json.loads(output)["images"]]

    one, _ = timed(files[:1])
    many, sums = timed(files)
    return (many - one) / (len(files) - 1), sums


def main():
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        images, files = [], []
        for number in range(MANY):
            images.append(Image.fromarray(random.integers(0, 256, (224, 224), dtype=np.uint8)))
            files.append(os.path.join(folder, f"{number}.png"))
            images[-1].save(files[-1])
        a, first = ours(sys.argv[1], files)
        b, second = plain(images)
    print(f"medfocus      {a * 1e3:8.2f} ms an image")
    print(f"transformers  {b * 1e3:8.2f} ms an image, {b / a:.1f} times as long")
    print(f"largest difference of the sums: {np.abs(np.array(first) - np.array(second)).max():.1e}")


if __name__ == "__main__":
    main()
