"""Methods on a network of real width: MedFocus beside the published way and beside plain PyTorch with fused attention.

    .venv/bin/python tests/benches/beside_published.py target/release/medfocus out/beside.json

Four tower layers over 896 x 896 pixels and four decoder layers of Gemma 3 4B's widths, a vocabulary of 32,768, random weights
in f32; the same checkpoint, image and number of threads for all, one after the other. The published way holds every attention map
(eager attention), and where it differentiates it records the whole network, parameters included. Each row is a process of its
own; seconds are those of the work without loading, memory is the process's peak above the weights. `--layers 1 --side 112`
tries the script. `cargo xtask fixtures` makes the environment.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKPOINT = Path("configs/checkpoints/phantom-gemma3")
QUESTION = "Is there evidence of pleural effusion in the image? Answer directly with yes or no without any explanation."
ANSWER = "Yes"
STEPS = 4
WHITE_BOX = ["attention_head", "attention_rollout", "lrp", "grad_weighted_attention", "gradcam", "gradcampp"]
WORKS = ["score", "attention_head", "gradcam", "integrated_gradients", "occlusion", "six"]


def make_checkpoint(folder, layers, side):
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    tiny = json.loads((CHECKPOINT / "config.json").read_text())
    text = dict(
        hidden_size=2560, intermediate_size=10240, num_hidden_layers=layers, num_attention_heads=8, num_key_value_heads=4,
        head_dim=256, query_pre_attn_scalar=256, sliding_window=1024, vocab_size=32768,
    )  # fmt: skip
    vision = dict(
        hidden_size=1152, intermediate_size=4304, num_hidden_layers=layers, num_attention_heads=16, image_size=side,
        patch_size=14, vision_use_head=False,
    )  # fmt: skip
    tokens = (side // 14 // 4) ** 2
    ids = {key: tiny[key] for key in ("boi_token_index", "eoi_token_index", "image_token_index")}
    torch.manual_seed(0)
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=tokens, **ids)
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    for name in ("chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        if (CHECKPOINT / name).exists():
            shutil.copy(CHECKPOINT / name, folder)
    for name in ("preprocessor_config.json", "processor_config.json"):
        settings = json.loads((CHECKPOINT / name).read_text())
        settings["image_seq_length"] = tokens
        if "size" in settings:
            settings["size"] = {"height": side, "width": side}
        (folder / name).write_text(json.dumps(settings))


def reference(work, attention, folder, image, images):
    """One work the plain way: seconds, and the answer's log-probability."""
    import torch
    from PIL import Image
    from transformers import AutoProcessor, Gemma3ForConditionalGeneration

    processor = AutoProcessor.from_pretrained(folder)
    model = Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()
    turn = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([turn], add_generation_prompt=True)
    grey = Image.open(image).convert("RGB")

    def inputs(picture):
        return processor(text=prompt + ANSWER, images=picture, return_tensors="pt", add_special_tokens=False)

    token = processor.tokenizer(ANSWER, add_special_tokens=False)["input_ids"][0]

    def log_prob(batch, maps):
        output = model(**batch, output_attentions=maps, output_hidden_states=maps)
        return output, output.logits[:, -2].log_softmax(-1)[:, token].sum()

    def differentiated(batch):
        output, value = log_prob(batch, True)
        for layer in output.attentions + output.hidden_states:
            layer.retain_grad()
        value.backward()
        model.zero_grad()
        return value.item()

    start = time.perf_counter()
    if work == "integrated_gradients":
        whole = inputs(grey)
        for step in range(STEPS):
            batch = {**whole, "pixel_values": (whole["pixel_values"] * step / (STEPS - 1)).requires_grad_()}
            value = differentiated(batch)
    elif work == "six":
        for method in WHITE_BOX:
            if method in ("attention_head", "attention_rollout", "lrp"):
                with torch.no_grad():
                    value = log_prob(inputs(grey), True)[1].item()
            else:
                value = differentiated(inputs(grey))
    elif work == "gradcam":
        value = differentiated(inputs(grey))
    else:
        with torch.no_grad():
            for _ in range({"attention_head": 1, "occlusion": images + 1}.get(work, images)):
                value = log_prob(inputs(grey), work == "attention_head")[1].item()
    return time.perf_counter() - start, value


def child(command):
    """What a command printed, and its peak of memory in bytes."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        errors.seek(0)
        if status:
            sys.exit(f"{command} failed: {errors.read()[-600:]}")
        return output.read(), usage.ru_maxrss * 1024


def ours(medfocus, work, folder, image, images, scratch):
    """The same by `medfocus`: all stages of an attribution, the score of the answer among them."""
    base = [medfocus, "attribute", "--model", f"gemma3={folder}", "--device", "cpu", "--image", image]
    base += ["--question", QUESTION, "--answer", ANSWER, "--out", f"{scratch}/explained"]
    if work == "six":
        return six(medfocus, folder, scratch)
    if work == "score":
        score = [medfocus, "model", "score", "--model", f"gemma3={folder}", "--device", "cpu", "--json"]
        score += ["--question", QUESTION, "--answer", ANSWER, "--image"]
        files = variants(image, images + 1, scratch)
        spans = []
        for chosen in (files[:1], files):
            start = time.perf_counter()
            printed, peak = child(score + chosen)
            spans.append(time.perf_counter() - start)
        return spans[1] - spans[0], peak, json.loads(printed)["images"][0]["sum"]
    settings = {
        "integrated_gradients": [f"steps={STEPS}"],
        "occlusion": [f"cells={int(images**0.5)}"],
    }.get(work, [])
    _, peak = child(base + ["--method", work] + [part for setting in settings for part in ("--set", setting)])
    record = json.loads(Path(f"{scratch}/explained/attribution.json").read_text())
    return sum(record["seconds"].values()), peak, record["tokens"][0]["log_prob"]


def six(medfocus, folder, scratch):
    """The six white-box methods on one sample, as an experiment runs them."""
    Path(f"{scratch}/models").mkdir(exist_ok=True)
    Path(f"{scratch}/models/real.toml").write_text(
        f'component = "gemma3"\n[params]\npath = "{Path(folder).resolve()}"\ndevice = "cpu"\n'
    )
    out = f"{scratch}/six"
    methods = "".join(f'[[experiment.methods]]\ncomponent = "{name}"\n' for name in WHITE_BOX)
    Path(f"{scratch}/six.toml").write_text(
        f'seed = 0\nthreads = 2\nmodel_folders = ["{scratch}/models"]\n[experiment]\nname = "six"\nout = "{out}"\nmodels = ["real"]\n'
        f'modes = ["direct"]\nanswer = "truth"\nkeep = "all"\ngallery = 0\n'
        f'[[experiment.datasets]]\ncomponent = "phantom"\nsamples = 1\n{methods}'
    )
    _, peak = child([medfocus, "run", f"{scratch}/six.toml"])
    line = json.loads(Path(f"{out}/journal.jsonl").read_text().splitlines()[0])
    return line["seconds"], peak, None


def variants(image, count, scratch):
    """Different images of one size: equal ones would be run once."""
    from PIL import Image

    grey = Image.open(image).convert("L")
    files = []
    for number in range(count):
        grey.putpixel((0, 0), number)
        files.append(f"{scratch}/variant{number}.png")
        grey.save(files[-1])
    return files


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("medfocus")
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--side", type=int, default=896)
    parser.add_argument("--images", type=int, default=4, help="images scored, and the square of occlusion's cells a side")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--works", nargs="+", default=WORKS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--reference", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = options.threads
    if options.make:
        make_checkpoint(options.make, options.layers, options.side)
        return
    if options.reference:
        work, attention, folder, image = options.reference
        print(json.dumps(reference(work, attention, folder, image, options.images)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "checkpoint")
        # Here and below in a process of its own: a child's peak begins with the size of its parent.
        making = ["--make", str(folder), "--layers", str(options.layers), "--side", str(options.side)]
        child([sys.executable, __file__, options.medfocus, options.out, *making])
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        child([options.medfocus, "sample", "--index", "3", "--out", f"{scratch}/sample"])
        image = f"{scratch}/sample/image.png"
        for work in options.works:
            seconds, peak, value = ours(options.medfocus, work, folder, image, options.images, scratch)
            row = {"work": work, "medfocus": {"seconds": seconds, "bytes": peak - weights, "log_prob": value}}
            for name, attention in (("published", "eager"), ("fused", "sdpa")):
                if name == "fused" and work != "score":
                    continue
                command = [sys.executable, __file__, options.medfocus, options.out, "--images", str(options.images)]
                command += ["--threads", options.threads, "--reference", work, attention, str(folder), image]
                printed, peak = child(command)
                seconds, value = json.loads(printed)
                row[name] = {"seconds": seconds, "bytes": peak - weights, "log_prob": value}
            rows.append(row)
            print(json.dumps(row), flush=True)
    Path(options.out).write_text(json.dumps({"weights": weights, **vars(options), "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
