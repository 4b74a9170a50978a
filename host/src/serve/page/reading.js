// The answer in words: its tokens, the concepts it rests on, what can be downloaded.

import * as api from "./api.js";
import { element } from "./form.js";

const $ = (id) => document.getElementById(id);

/// What a file is called where it is offered; another is called by its name.
const FILES = {
  "attribution.json": "Record (JSON)",
  "overlay.png": "Picture (PNG)",
  "heatmap.npy": "Heat map (NumPy)",
  "token_heatmaps.npy": "Heat map of each token (NumPy)",
  "explanation.sc.dcm": "Secondary capture (DICOM)",
  "explanation.sr.dcm": "Structured report (DICOM)",
  "explanation.gsps.dcm": "Presentation state (DICOM)",
};

let drops = [];
let tokens = [];
let concepts = [];

/// Says the answer; `lit` is called with the numbers of the concepts that the pointer or the keyboard lights.
export function say(job, answer, lit) {
  drops = answer.concepts.map((concept) => concept.drops);
  tokens = answer.tokens.map((token, at) => tokenOf(token, at, lit));
  concepts = answer.concepts.map((concept, at) => conceptOf(concept, at, answer, lit));
  const parts = [
    element("p", { className: "asked", textContent: answer.question }),
    element("p", { className: "said" }, ...(tokens.length > 0 ? tokens : [answer.answer])),
    element("p", { className: "detail", id: "detail" }, meanwhile(answer)),
    evidence(answer),
  ];
  if (answer.rule) parts.push(element("p", { className: "about", textContent: `${answer.rule}.` }));
  if (answer.notes.length > 0) {
    const notes = answer.notes.map((note) => element("li", { textContent: note }));
    parts.push(element("ul", { className: "notes", ariaLabel: "Notes" }, ...notes));
  }
  if (concepts.length > 0) parts.push(...conceptList());
  else if (answer.boxes.length > 0) parts.push(...boxList(answer.boxes));
  parts.push(...downloads(job, answer.files));
  $("reading").replaceChildren(...parts);
  lightAll(lit, null, null);
}

/// Lights what belongs to a concept, or nothing.
export function lightConcept(at, lit) {
  lightAll(lit, at, null);
}

/// Empties the panel while an answer is made.
export function wait(text) {
  $("reading").replaceChildren(element("p", { className: "hint", textContent: text }));
}

function tokenOf({ text, log_prob }, at, lit) {
  const percent = Math.round(100 * Math.exp(log_prob));
  const logProb = log_prob.toFixed(2).replace("-0.00", "0.00");
  const label = `${text.trim() || "space"}: log-probability ${logProb}, ${percent} %`;
  const token = element("span", { className: "token", textContent: text, tabIndex: 0, title: label, ariaLabel: label });
  token.style.setProperty("--sure", Math.exp(log_prob).toFixed(3));
  const on = () => {
    lightAll(lit, null, at);
    $("detail").textContent = label;
  };
  const off = () => lightAll(lit, null, null);
  token.onpointerenter = token.onfocus = on;
  token.onpointerleave = token.onblur = off;
  return token;
}

function conceptOf(concept, at, answer, lit) {
  const bar = element("span", { className: "bar" });
  bar.style.setProperty("--length", concept.length);
  if (answer.threshold !== null) bar.style.setProperty("--threshold", answer.threshold);
  bar.classList.toggle("threshold", answer.threshold !== null);
  const row = element(
    "li",
    { className: `concept hue-${concept.hue}`, role: "option", tabIndex: at === 0 ? 0 : -1 },
    element("span", { className: "letter", textContent: concept.letter }),
    element("span", { className: "name", textContent: concept.name }),
    element("span", { className: "delta", textContent: concept.delta.toFixed(3) }),
    bar,
  );
  row.onpointerenter = row.onfocus = () => lightAll(lit, at, null);
  row.onpointerleave = row.onblur = () => lightAll(lit, null, null);
  row.onkeydown = (event) => {
    const steps = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: concepts.length - 1 };
    const next = concepts[steps[event.key]];
    if (!next) return;
    event.preventDefault();
    row.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  };
  return row;
}

function conceptList() {
  const title = element("h2", { textContent: "Concepts", id: "concepts-title" });
  const about = element("p", {
    className: "about",
    textContent: "How much log-probability the answer loses without each (Δ); the line is where one begins to dominate.",
  });
  const list = element("ul", { className: "concepts-list", role: "listbox" }, ...concepts);
  list.setAttribute("aria-labelledby", "concepts-title");
  return [title, about, list];
}

function boxList(boxes) {
  const rows = boxes.map(({ label, score }, at) =>
    element(
      "li",
      { className: at === 0 ? "hue-0" : "other" },
      element("span", { className: "letter", textContent: at + 1 }),
      element("span", { className: "name", textContent: label ?? "box" }),
      element("span", { className: "delta", textContent: score.toFixed(3) }),
    ),
  );
  return [element("h2", { textContent: "Boxes" }), element("ol", { className: "concepts-list" }, ...rows)];
}

function evidence(answer) {
  const what = answer.evidence ?? (answer.boxes.length === 1 ? "one box" : `${answer.boxes.length} boxes, the strongest first`);
  const text = answer.evidence === null && answer.boxes.length === 0 ? "none found" : what;
  return element("p", { className: "evidence" }, "Evidence ", element("b", { textContent: text }));
}

function downloads(job, files) {
  const link = (href, label) => element("a", { href, textContent: label, download: "" });
  const links = files.map((name) => link(api.file(job, name), FILES[name] ?? name));
  links.unshift(link(api.archive(job), "Everything (ZIP)"));
  links[0].id = "all";
  return [element("h2", { textContent: "Download" }), element("p", { className: "downloads" }, ...links)];
}

function meanwhile(answer) {
  return answer.tokens.length > 0 ? "Point at a word: how sure the model was of it." : "";
}

/// A concept lights the tokens that lose at least half as much as the one that loses most, and a token its concepts.
function lightAll(lit, concept, token) {
  const half = (values, at) => values[at] > 0 && values[at] >= Math.max(...values) / 2;
  const column = token === null ? [] : drops.map((row) => row?.[token] ?? 0);
  const row = concept === null ? [] : (drops[concept] ?? []);
  const chosen = new Set(concepts.map((_, at) => at).filter((at) => at === concept || half(column, at)));
  concepts.forEach((item, at) => {
    item.classList.toggle("lit", chosen.has(at));
    item.ariaSelected = String(at === concept);
  });
  tokens.forEach((item, at) => item.classList.toggle("lit", at === token || half(row, at)));
  lit(chosen);
}
