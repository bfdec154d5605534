// Talks to the server: one function a route; errors carry the server's own message.
import { readBoxes } from "./boxes.js";

const client = Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");

/** An answer that is an error. */
export class ServerError extends Error {
  constructor(status, kind, message) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

/** Keep the token for this tab. */
export function keepToken(token) {
  sessionStorage.setItem("filterscope-token", token);
}

async function ask(path, values = {}, options = {}) {
  const headers = { "X-Filterscope-Client": client };
  const token = sessionStorage.getItem("filterscope-token");
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(`/api/${path}?${new URLSearchParams(values)}`, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw new ServerError(409, "superseded", "no longer wanted");
    throw new ServerError(0, "connection", "the explorer does not answer: is it still running?");
  }
  if (answer.ok) return answer;
  let told = { kind: "server", message: `the server answered ${answer.status}` };
  try {
    told = (await answer.json()).error;
  } catch { /* no JSON: the line above stands */ }
  throw new ServerError(answer.status, told.kind, told.message);
}

const boxes = async (path, values, signal) => readBoxes(await (await ask(path, values, { signal })).arrayBuffer());

export const askState = async () => (await ask("state")).json();
export const askOpen = (place, signal) => boxes("open", place, signal);
export const askProbe = (place, signal) => boxes("probe", place, signal);
export const askLabel = (place, signal) => boxes("label", place, signal);
export const askVotes = (place, signal) => boxes("votes", place, signal);
export const upload = async (file) =>
  (await ask("images", { name: file.name.slice(0, 300) }, { method: "POST", body: file })).json();
