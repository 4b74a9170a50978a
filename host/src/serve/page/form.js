// The form: what can be chosen, and what is chosen.

import * as api from "./api.js";

const $ = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/// Fills the form with what the server offers.
export function build(offers) {
  fill($("model"), offers.models);
  $("model").onchange = () => methods(offers);
  $("method").onchange = () => method(offers);
  for (const [at, mode] of offers.modes.entries()) {
    const choice = element("input", { type: "radio", name: "mode", value: mode, checked: at === 0 });
    $("mode").append(element("label", {}, choice, element("span", { textContent: mode })));
  }
  for (const question of offers.questions) {
    const topic = question.match(/evidence of (?:a )?(.+) in the image/)?.[1] ?? question;
    const chip = element("button", { type: "button", textContent: topic, title: question });
    chip.onclick = () => setQuestion(question);
    $("offered").append(chip);
  }
  methods(offers);
  $("question").onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    $("ask").requestSubmit();
  };
}

/// Offers samples; `choose` is called with the one that is chosen.
export function offerSamples(samples, choose) {
  for (const sample of samples) {
    const picture = element("img", { src: api.samplePicture(sample.index), alt: "" });
    const label = `Demo image ${sample.index + 1}`;
    const button = element("button", { type: "button", title: label, ariaLabel: label }, picture);
    button.onclick = () => choose(sample, button);
    $("samples").append(button);
  }
}

export function setQuestion(text) {
  $("question").value = text;
}

/// The question as the server takes it, for this image; a sample's finding is known as long as its own question is asked.
export function question(image, sample) {
  const params = {};
  for (const input of $("params").querySelectorAll("[data-key]")) {
    const value = read(input);
    if (JSON.stringify(value) !== input.dataset.given) params[input.dataset.key] = value;
  }
  return {
    image,
    params,
    question: $("question").value,
    finding: sample?.question === $("question").value ? sample.finding : null,
    model: $("model").value,
    method: $("method").value,
    mode: $("mode").querySelector("input:checked").value,
  };
}

function fill(select, items, chosen) {
  const options = items.map(({ name, summary }) => element("option", { value: name, textContent: name, title: summary }));
  select.replaceChildren(...options);
  if (items.some(({ name }) => name === chosen)) select.value = chosen;
}

function methods(offers) {
  const model = offers.models.find(({ name }) => name === $("model").value);
  const works = offers.methods.filter(({ name }) => model.methods.includes(name));
  fill($("method"), works, $("method").value || "medfocus");
  method(offers);
}

function method(offers) {
  const chosen = offers.methods.find(({ name }) => name === $("method").value);
  $("about").textContent = chosen?.summary ?? "";
  const params = Object.entries(chosen?.params ?? {});
  $("params").replaceChildren(...params.flatMap(([key, schema]) => field(key, schema)));
  $("more").hidden = params.length === 0;
}

function field(key, schema) {
  const input = control(schema);
  input.id = `param-${key}`;
  input.dataset.key = key;
  input.dataset.given = JSON.stringify(read(input));
  const title = schema.description ?? "";
  return [element("label", { htmlFor: input.id, textContent: key, title }), input];
}

function control(schema) {
  const kinds = [schema.type].flat();
  if (schema.enum) {
    const options = schema.enum.map((value) => element("option", { value: value ?? "", textContent: value ?? "none" }));
    const select = element("select", {}, ...options);
    select.value = schema.default ?? "";
    select.dataset.kind = "text";
    return select;
  }
  if (kinds.includes("boolean")) {
    const box = element("input", { type: "checkbox", checked: schema.default === true });
    box.dataset.kind = "switch";
    return box;
  }
  const step = kinds.includes("integer") ? "1" : "any";
  const number = element("input", { type: "number", step, value: schema.default ?? "" });
  if (schema.minimum !== undefined) number.min = schema.minimum;
  if (schema.maximum !== undefined) number.max = schema.maximum;
  number.dataset.kind = "number";
  return number;
}

function read(input) {
  if (input.dataset.kind === "switch") return input.checked;
  if (input.value === "") return null;
  return input.dataset.kind === "number" ? Number(input.value) : input.value;
}
