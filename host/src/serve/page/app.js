// From an image and a question to an answer.

import * as api from "./api.js";
import * as figure from "./figure.js";
import * as form from "./form.js";
import * as reading from "./reading.js";

const $ = (id) => document.getElementById(id);

let image = null;
let sample = null;
let job = null;
let method = null;
let methodSpoke = false;
let most = Infinity;

async function start() {
  const offers = await api.offers();
  most = offers.upload_bytes;
  form.build(offers);
  form.offerSamples(await api.samples(), choose);
}

/// Does something whose failure is told.
async function tell(work) {
  $("error").hidden = true;
  try {
    await work();
  } catch (error) {
    $("error").textContent = error.message;
    $("error").hidden = false;
  }
}

function hold(held, name, from) {
  image = held;
  sample = from;
  $("held").textContent = name;
  for (const button of $("samples").children) button.classList.remove("chosen");
  figure.show(held);
  reading.wait(held.warnings.join(" ") || "Ask a question about this image.");
  $("question").focus();
}

function choose(offered, button) {
  return tell(async () => {
    hold(await api.takeSample(offered.index), button.title, offered);
    button.classList.add("chosen");
    form.setQuestion(offered.question);
  });
}

function take(file) {
  return tell(async () => {
    if (file.size > most) throw new Error(`the image has more than ${most >> 20} MiB`);
    hold(await api.upload(file), file.name, null);
  });
}

function working(on) {
  $("go").disabled = on;
  $("stop").hidden = !on;
  $("progress").hidden = !on;
}

function progress({ phase, ahead, step }) {
  // Once the method says how far it is, the small steps of its model say nothing more.
  if (step?.component === method) methodSpoke = true;
  else if (methodSpoke) return;
  const bar = $("bar");
  if (step?.total > 0) {
    bar.max = step.total;
    bar.value = step.done;
  } else {
    bar.removeAttribute("value");
  }
  const waits = ahead === 1 ? "one question is before yours" : `${ahead} questions are before yours`;
  $("step").textContent = phase === "queued" ? waits : [step?.component, step?.note].filter(Boolean).join(": ");
}

async function ask() {
  if (!image) throw new Error("there is no image; choose one first");
  working(true);
  try {
    const question = form.question(image.id, sample);
    [method, methodSpoke] = [question.method, false];
    job = (await api.ask(question)).id;
    const state = await api.follow(job, progress);
    if (state.phase === "failed") throw new Error(state.error);
    if (state.phase === "done") explain(job, await api.answer(job));
    else reading.wait("Cancelled.");
  } finally {
    job = null;
    working(false);
  }
}

function explain(of, answer) {
  figure.explain(of, answer, (concept) => reading.lightConcept(concept, figure.light));
  reading.say(of, answer, figure.light);
}

function stop() {
  if (job) tell(() => api.cancel(job));
}

$("ask").onsubmit = (event) => {
  event.preventDefault();
  if (!job) tell(ask);
};
$("stop").onclick = stop;
$("file").onchange = () => {
  const [file] = $("file").files;
  if (file) take(file);
};
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stop();
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) take(file);
});
tell(start);
