// The image with its layers: heat, region, boxes, concepts. Places come in pixels of the image.

import * as api from "./api.js";
import { element } from "./form.js";

const $ = (id) => document.getElementById(id);

const LAYERS = [
  ["heat", "Heat"],
  ["region", "Region"],
  ["boxes", "Evidence"],
  ["concepts", "Concepts"],
];

let shown = { heat: true, region: true, boxes: true, concepts: true };
let beside = false;
let stage = null;

/// Shows an image alone.
export function show(image) {
  const panel = (more) => {
    const picture = element("img", { src: api.picture(image.id), alt: "Chest X-ray as it was read" });
    const frame = element("div", { className: `stage ${more}` }, picture);
    frame.style.setProperty("--ratio", image.width / image.height);
    return frame;
  };
  stage = panel("marked");
  const original = panel("original");
  $("panels").replaceChildren(
    element("figure", { className: "original" }, original, element("figcaption", { textContent: "Original" })),
    element("figure", {}, stage, element("figcaption", { textContent: describe(image) })),
  );
  $("panels").classList.toggle("beside", beside);
  tools([]);
}

/// Lays the result of a job over it; `light` is called with the number of the concept under the pointer, or nothing.
export function explain(job, answer, light) {
  for (const old of stage.querySelectorAll(".layer")) old.remove();
  for (const name of answer.layers) {
    const kind = name.replace(".png", "");
    stage.append(element("img", { className: `layer ${kind}`, src: api.layer(job, name), alt: "" }));
  }
  const boxes = element("div", { className: "layer boxes" });
  for (const [at, found] of answer.boxes.entries()) {
    const named = answer.concepts.length > 0;
    const hue = named || at === 0 ? "hue-0" : "other";
    const label = found.label ?? (named ? "" : `${at + 1}`);
    boxes.append(box(found.corners, answer.size, hue, label));
  }
  const concepts = element("div", { className: "layer concepts" });
  for (const [at, concept] of answer.concepts.entries()) {
    for (const corners of concept.boxes) {
      const made = box(corners, answer.size, `hue-${concept.hue}`, concept.name);
      made.dataset.concept = at;
      made.onpointerenter = () => light(at);
      made.onpointerleave = () => light(null);
      concepts.append(made);
    }
  }
  stage.append(concepts, boxes);
  const there = new Set(answer.layers.map((name) => name.replace(".png", "")));
  if (answer.boxes.length > 0) there.add("boxes");
  if (answer.concepts.some(({ boxes }) => boxes.length > 0)) there.add("concepts");
  // One thing at a time: where there is a region or there are concepts, the heat says the same once more.
  shown = { heat: answer.concepts.length === 0, region: true, boxes: true, concepts: answer.concepts.length > 0 };
  tools(LAYERS.filter(([name]) => there.has(name)));
}

/// Lights these concepts; all are faint while none is.
export function light(concepts) {
  for (const made of stage?.querySelectorAll("[data-concept]") ?? []) {
    made.classList.toggle("lit", concepts.has(Number(made.dataset.concept)));
  }
}

function box([x1, y1, x2, y2], [width, height], hue, label) {
  const made = element("div", { className: `box ${hue}` });
  if (label) made.append(element("span", { textContent: label }));
  const share = (part, whole) => `${(100 * part) / whole}%`;
  made.style.left = share(x1, width);
  made.style.top = share(y1, height);
  made.style.width = share(x2 - x1, width);
  made.style.height = share(y2 - y1, height);
  return made;
}

function tools(layers) {
  const toggle = (label, checked, change) => {
    const input = element("input", { type: "checkbox", checked });
    input.onchange = () => change(input.checked);
    return element("label", {}, input, element("span", { textContent: label }));
  };
  const layer = ([name, label]) => {
    const change = (on) => {
      shown[name] = on;
      stage.classList.toggle(`no-${name}`, !on);
    };
    change(shown[name]);
    return toggle(label, shown[name], change);
  };
  const side = toggle("Side by side", beside, (on) => {
    beside = on;
    $("panels").classList.toggle("beside", on);
  });
  side.classList.add("apart");
  $("tools").replaceChildren(...layers.map(layer), side);
}

function describe({ width, height, format }) {
  return `${width} × ${height}, ${format}`;
}
