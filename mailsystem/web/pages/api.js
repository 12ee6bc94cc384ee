// The REST interface under /v1: one function asks, and every failure is a Problem.
import { BASE } from "./base.js";
import { emit } from "./state.js";

export class Problem extends Error {
  constructor(status, title, detail, more = {}) {
    super(detail || title);
    Object.assign(this, { status, title, more });
  }
}

let waiting = 0;
function busy(change) {
  waiting += change;
  setTimeout(() => document.body.classList.toggle("busy", waiting > 0), waiting > 0 ? 250 : 0);
}

/** Asks and gives the parsed answer, null for none. Raises Problem; status 0: the server cannot be reached. AbortError goes through. */
export async function ask(method, path, { query = {}, body, signal, as = "json" } = {}) {
  const address = url(path, query);
  busy(1);
  try {
    const answer = await fetch(address, {
      method, signal, headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin",
    });
    emit("reached", true);
    if (!answer.ok) {
      const said = await answer.json().catch(() => ({}));
      if (answer.status === 401 && path !== "/v1/login") emit("login", said);
      throw new Problem(answer.status, said.title || `Status ${answer.status}`, typeof said.detail === "string" ? said.detail : "", said);
    }
    if (answer.status === 204) return null;
    return await (as === "json" ? answer.json() : as === "bytes" ? answer.arrayBuffer() : answer.text());
  } catch (error) {
    if (error instanceof Problem || error.name === "AbortError") throw error;
    emit("reached", false);
    throw new Problem(0, "No answer", "The server cannot be reached.");
  } finally {
    busy(-1);
  }
}

/** A script of the page that is loaded when it is first wanted. */
export const load = (module) => import(module).catch(() => { throw new Problem(0, "No answer", "The server cannot be reached."); });

export function url(path, query = {}) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== null && value !== "") asked.set(name, value);
  return asked.size ? `${BASE}${path}?${asked}` : BASE + path;
}

export const get = (path, query, more = {}) => ask("GET", path, { query, ...more });
export const post = (path, body, query) => ask("POST", path, { body, query });
export const patch = (path, body, query) => ask("PATCH", path, { body, query });
export const remove = (path, query) => ask("DELETE", path, { query });
