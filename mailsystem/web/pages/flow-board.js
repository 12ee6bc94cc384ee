// The board: lanes side by side, time runs down, an arrow for everything that was said.
import { h } from "./dom.js";
import { SERVER, verb, visible } from "./flow-model.js";

const SHORT = 3, SHOWN = 40;

export function spell(ms) {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${Math.round(ms / 3_600_000)} h`;
}
const moment = (seconds) => (seconds < 1 ? `${Math.max(0, Math.round(seconds * 1000))} ms` : seconds < 100 ? `${seconds.toFixed(2)} s` : `${Math.round(seconds)} s`);
export const clock = (at) => new Date(at * 1000).toTimeString().slice(0, 8);

export class Board {
  constructor(titles, list, flow) { Object.assign(this, { titles, list, flow, at: new Map() }); }

  /** Bring the document up to what the model has. */
  draw() {
    const { flow, list } = this;
    if (flow.changed) {
      flow.changed = false;
      const lanes = flow.order();
      this.lanes = lanes;
      this.at = new Map(lanes.map((lane, number) => [lane.key, number]));
      this.titles.parentNode.style.setProperty("--n", lanes.length);
      this.titles.replaceChildren(...lanes.map((lane) => h("div", { class: lane.key === SERVER ? "is-server" : "", title: `${lane.title} ${lane.note}` }, h("b", { dir: "auto" }, visible(lane.title)), h("span", {}, visible(lane.note)))));
      for (const row of flow.rows) row.dirty = true;
    }
    const kept = new Set(flow.rows.map((row) => row.node));
    for (const node of [...list.children]) if (!kept.has(node)) node.remove();
    let before = null;
    for (const row of flow.rows) {
      if (row.dirty || !row.node) {
        const made = this.row(row);
        row.dirty = false;
        if (row.node) { this.keep_focus(row.node, made); row.node.replaceWith(made); }
        row.node = made;
      }
      const next = before ? before.nextSibling : list.firstChild;
      if (row.node !== next) list.insertBefore(row.node, next);
      before = row.node;
    }
  }

  keep_focus(old, made) { if (old.contains(document.activeElement)) requestAnimationFrame(() => made.querySelector("summary")?.focus({ preventScroll: true })); }

  row(row) {
    switch (row.kind) {
      case "chapter": return h("li", { class: "chapter" }, h("h2", {}, row.title), h("p", {}, row.text));
      case "note": return h("li", { class: "note" }, row.text);
      case "gap": return h("li", {}, h("div", { class: "row gap" }, h("span"), h("div", { class: "field" }, this.lives(row.at - 0.0001), h("p", { class: "passed" }, `${spell(row.ms)} pass`, row.anew ? `, then it is ${clock(row.at)}` : ""))));
      case "inside": return h("li", {}, this.aside(row, row.fault ? "box struck" : "box", row.fault ? [visible(row.text), row.fault.text ? h("code", {}, visible(row.fault.text)) : null] : visible(row.text), this.time(row)));
      case "quiet": return h("li", {}, this.aside(row, row.long ? "silence long" : "silence", row.ms ? `${row.text} for ${spell(row.ms)}` : row.text, ""));
      case "open": return h("li", {}, this.opening(row));
      default: return h("li", {}, this.exchange(row));
    }
  }

  opening(row) {
    const lane = this.flow.lanes.get(row.session.lane), door = row.session.door;
    const us = door === "queue", words = us ? `the server opens SMTP to ${visible(lane.title)}: it has mail` : `${visible(lane.title)} opens ${door.toUpperCase()}: it ${row.way === "push" ? "has mail" : "wants mail"}`;
    const [from, to] = us ? [SERVER, lane.key] : [lane.key, SERVER];
    return this.line(row, `opens ${row.way}`, h("div", { class: "part", vars: this.span(from, to) }, h("p", { class: "said" }, h("b", {}, words, row.after ? `, ${spell(row.after)} after it came` : "")), this.shaft(from, to)));
  }

  exchange(row) {
    const { arrows, way } = row;
    const lines = arrows.reduce((sum, arrow) => sum + arrow.lines.length, 0);
    const news = way === "push" && row.session.door === "imap" ? " news" : "";
    if (arrows.length <= 2 && lines <= SHORT) return this.line(row, way + news, arrows.map((arrow) => this.part(row, arrow, arrow.lines)));
    const made = h("details", { class: `exchange ${way}`, open: Boolean(row.open) }, h("summary", {}, this.summary(row, news)), h("ol", { class: "steps" }, arrows.map((arrow) => h("li", {}, this.line({ ...row, at: arrow.at }, way + news, this.part(row, arrow, this.cut(arrow)))))));
    made.addEventListener("toggle", () => { row.open = made.open; });
    return made;
  }

  /** The whole exchange as one arrow there and one back, with the time that the server took for all its answers. */
  summary(row, news) {
    const asked = row.arrows.filter((arrow) => arrow.of_client), said = row.arrows.filter((arrow) => !arrow.of_client), parts = [];
    if (asked.length) {
      const lines = asked.flatMap((arrow) => arrow.lines);
      const verbs = lines.map((line) => verb(line, row.session.door)).filter((one, at, all) => one !== all[at - 1]);
      parts.push(this.part(row, { ...asked[0], ms: null }, [lines.length === 1 ? lines[0] : verbs.slice(0, 14).join(" · ") + (verbs.length > 14 ? " · …" : "")]));
    }
    if (said.length) {
      // What became of the message says more than the goodbye.
      const last = said.length > 1 && said.at(-1).lines[0].startsWith("221") ? said.at(-2) : said.at(-1), whole = last.lines.length > 1 && last.lines.at(-1) === "." ? last.lines.slice(0, -1) : last.lines;
      parts.push(this.part(row, { ...last, struck: said.filter((arrow) => arrow !== last && arrow.faults.length), ms: said.some((arrow) => arrow.ms !== null) ? said.reduce((sum, arrow) => sum + (arrow.ms ?? 0), 0) : null }, whole.length <= SHORT ? whole : whole.slice(-1)));
    }
    return this.line(row, row.way + news, parts);
  }

  cut(arrow) {
    const { lines, more } = arrow;
    return lines.length + more <= SHOWN ? lines : [...lines.slice(0, SHOWN - 2), `… ${lines.length + more - SHOWN + 1} more lines …`, lines.at(-1)];
  }

  part(row, arrow, lines) {
    const lane = row.session.lane, from_lane = arrow.of_client !== (row.session.door === "queue");
    const [from, to] = from_lane ? [lane, SERVER] : [SERVER, lane];
    const name = (key) => visible(this.flow.lanes.get(key)?.title || "");
    return h("div", { class: "part", vars: this.span(from, to) },
      h("div", { class: "said" }, h("span", { class: "away" }, `${name(from)} to ${name(to)}, ${row.way}: `), (arrow.struck || []).map((one) => [this.said(one.lines.at(-1)), one.faults.map((fault) => this.fault(fault))]), lines.map((line) => this.said(line)), arrow.faults.map((fault) => this.fault(fault))),
      this.shaft(from, to, arrow.ms));
  }

  said(line) { return h("code", { class: /^\[.*\]$/.test(line) ? "left-out" : "" }, visible(line)); }

  /** Why it was said: not the server's own mind, but a rule or an address that asks for it. */
  fault({ by, text }) { return h("p", { class: "fault" }, h("b", {}, "fault"), ` ${visible(by)}`, text ? h("code", {}, visible(text)) : null); }

  shaft(from, to, ms = null) {
    const right = this.at.get(to) > this.at.get(from), wide = Math.abs(this.at.get(to) - this.at.get(from)) > 1;
    return h("div", { class: `shaft ${right ? "right" : "left"}${wide ? " wide" : ""}` }, ms === null ? null : h("span", { class: "ms" }, spell(ms)));
  }

  line(row, kind, body) {
    return h("div", { class: `row ${kind}` }, h("span", { class: "time" }, this.time(row)), h("div", { class: "field" }, this.lives(row.at), body));
  }

  aside(row, kind, words, time) {
    return h("div", { class: "row" }, h("span", { class: "time" }, time), h("div", { class: "field" }, this.lives(row.at - (row.kind === "quiet" ? 0.0001 : 0)), h("div", { class: `aside ${kind}${(this.at.get(row.lane) || 0) >= this.lanes.length - 1 && this.lanes.length > 2 ? " last" : ""}`, vars: { "--a": this.at.get(row.lane) ?? 0 } }, row.kind === "quiet" ? h("span", { class: "away" }, `${visible(this.flow.lanes.get(row.lane)?.title || "")} `) : null, words)));
  }

  /** Everybody's lifeline: who is there, who is not, and who will hear nothing for that. */
  lives(at) {
    return h("div", { class: "lives", "aria-hidden": "true" }, this.lanes.map((lane) => h("i", { class: lane.key === SERVER ? "s" : this.flow.is_open(lane.key, at) ? "o" : lane.pulls ? "q" : "w" })));
  }

  span(from, to) {
    const [one, other] = [this.at.get(from) ?? 0, this.at.get(to) ?? 0];
    return { "--a": Math.min(one, other), "--b": Math.max(one, other) };
  }

  time(row) { return moment(row.at - row.zero); }
}
