// Who are you? Only where the server asks (role serve).
import { BASE } from "./base.js";
import { post, remove } from "./api.js";
import { h, icon } from "./dom.js";
import { envelope } from "./empty.js";

let shown = null;

export function log_in() {
  if (shown) return;
  const problem = h("p", { class: "wrong", role: "alert" });
  const login = h("input", { name: "login", type: "text", autocomplete: "username", autocapitalize: "off", spellcheck: false, required: true, autofocus: true });
  const password = h("input", { name: "password", type: "password", autocomplete: "current-password", required: true });
  const go = h("button", { class: "first", type: "submit" }, "Log in");
  const form = h("form", { class: "login", onsubmit: async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = "";
    try { await post("/v1/login", { login: login.value, password: password.value }); location.reload(); } catch (error) {
      problem.replaceChildren(icon("warn"), error.status === 401 || error.status === 403 ? "That login and password do not belong together." : error.message);
      password.select();
    } finally { go.disabled = false; }
  } }, envelope(), h("h1", {}, "Your mail"), h("label", {}, "Login", login), h("label", {}, "Password", password), problem, go);
  shown = h("div", { class: "login-page" }, h("div", { class: "stripe" }), form);
  for (const open of document.querySelectorAll("dialog[open]")) open.close(); // it would lie above, and nothing in it works any more
  document.body.append(shown);
  document.body.classList.add("locked");
  for (const part of document.body.children) if (part !== shown) part.inert = true;
  login.focus();
}
export async function log_out() {
  await remove("/v1/login").catch(() => {});
  try { for (const key of Object.keys(sessionStorage)) if (key.startsWith("mailsystem-drafts")) sessionStorage.removeItem(key); } catch { /* nothing was kept */ }
  location.href = `${BASE}/`;
}
