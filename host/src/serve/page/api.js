// Talks to the server: every failure is an Error whose message is one sentence.

async function call(method, path, options = {}) {
  let response;
  try {
    response = await fetch(path, { method, ...options });
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  if (response.status === 401) location.assign("/login");
  if (response.ok) return response.status === 204 ? null : response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ?? `the server answers ${response.status}`);
}

export const offers = () => call("GET", "/api/offers");
export const samples = () => call("GET", "/api/samples");
export const upload = (file) => call("POST", "/api/images", { body: file });
export const takeSample = (index) => call("POST", `/api/samples/${index}/image`);
export const cancel = (job) => call("DELETE", `/api/jobs/${job}`);
export const answer = (job) => call("GET", `/api/jobs/${job}/answer`);

export const ask = (question) =>
  call("POST", "/api/jobs", {
    body: JSON.stringify(question),
    headers: { "Content-Type": "application/json" },
  });

export const picture = (image) => `/api/images/${image}/picture.png`;
export const samplePicture = (index) => `/api/samples/${index}/picture.png`;
export const layer = (job, name) => `/api/jobs/${job}/layers/${name}`;
export const file = (job, name) => `/api/jobs/${job}/files/${name}`;
export const archive = (job) => `/api/jobs/${job}/medfocus.zip`;

/// Calls `show` with each state of a job; resolves with the last one.
export function follow(job, show) {
  return new Promise((resolve, reject) => {
    const events = new EventSource(`/api/jobs/${job}/events`);
    events.onmessage = (event) => {
      const state = JSON.parse(event.data);
      show(state);
      if (state.phase !== "queued" && state.phase !== "running") {
        events.close();
        resolve(state);
      }
    };
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) {
        reject(new Error("the server has lost this question; ask it again"));
      }
    };
  });
}
