// A protocol's lines, beautifully set: time, direction, words; long runs of message text folded.
import { h } from "./dom.js";
import { count, lapse } from "./format.js";

const SHOWN = 12; // lines of a run before it is folded

/** `lines`: [{at_ms, who: "C" or "S", text}]. The client pushes: blue; the server answers. */
export function transcript(lines) {
  const made = h("ol", { class: "transcript", "aria-label": "Transcript" });
  const runs = [];
  let data = false;
  for (const line of lines) {
    const body = data && line.who === "C" && line.text !== ".";
    if (line.who === "S" && /^354/.test(line.text)) data = true;
    else if (line.who === "C" && line.text === ".") data = false;
    else if (line.who === "S") data = false;
    if (body && runs.at(-1)?.body) runs.at(-1).lines.push(line);
    else runs.push({ body, lines: [line] });
  }
  let before = null;
  const row = (line, body) => {
    const at = line.at_ms ?? 0, gap = before === null ? 0 : at - before;
    before = at;
    const code = line.who === "S" && /^\d{3}/.exec(line.text);
    return h("li", { class: `${line.who === "C" ? "client" : "server"}${body ? " body" : ""}${code ? ` r${code[0][0]}` : ""}` }, h("span", { class: `at num${gap >= 500 ? " late" : ""}` }, lapse(at)), h("span", { class: "way", title: line.who === "C" ? "the client says" : "the server says" }, line.who === "C" ? "→" : "←", h("span", { class: "away" }, line.who === "C" ? "client" : "server")),
      h("code", {}, code ? [h("b", {}, code[0]), line.text.slice(3)] : verb(line.text, line.who === "C" && !body)));
  };
  for (const { body, lines: run } of runs) {
    if (run.length <= SHOWN) { made.append(...run.map((line) => row(line, body))); continue; }
    made.append(...run.slice(0, 4).map((line) => row(line, body)));
    const fold = h("li", { class: "fold" }, h("button", { type: "button", class: "link", onclick: () => fold.replaceWith(...run.slice(4, -1).map((line) => row(line, body))) }, `${count(run.length - 5)} more lines of ${body ? "the message" : "it"}`));
    made.append(fold, row(run.at(-1), body));
  }
  return made;
}
function verb(text, command) {
  const found = command && /^[A-Za-z]{4,8}(?= |$)( (FROM|TO):)?/.exec(text);
  return found ? [h("b", {}, found[0]), text.slice(found[0].length)] : text;
}
