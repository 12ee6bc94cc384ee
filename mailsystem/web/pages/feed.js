// The messages of one mailbox or search, newest first, by keyset paging: pages are loaded when they are looked at, in order, and
// forgotten when they are far away, so that a hundred thousand messages cost as much memory as a few hundred.
import { get } from "./api.js";
import { state } from "./state.js";

const FIRST = 60, PAGE = 200, FAR = 500, KEEP = 12; // messages in a page; pages kept on either side
const PAUSE = 3000; // ms until what could not be loaded is asked for again by scrolling

export const key_of = (message) => `${message.mailbox}:${message.uid}`;

export class Feed {
  constructor({ account, mailbox, query }, changed) {
    Object.assign(this, { account, mailbox, query, changed, total: null, unread: 0, modseq: null, error: null, loading: false, closed: false });
    this.pages = []; // {cursor, items: [...] or null when forgotten, count, next}
    this.by_key = new Map();
    this.stop = new AbortController();
    this.wanted = [0, 0];
  }

  get ready() { return this.pages.length > 0; }
  get loaded() { return this.pages.reduce((sum, page) => sum + page.count, 0); }
  get ended() { return this.ready && this.pages.at(-1).next === null; }
  /** How many rows the list has, as far as is known. */
  get length() { return this.ended ? this.loaded : Math.max(this.total ?? 0, this.loaded + (this.ready ? 8 : 0)); }

  /** The messages at the positions first..last; undefined where one has yet to come. */
  slice(first, last) {
    const found = [];
    let start = 0;
    for (const page of this.pages) {
      if (start + page.count > first && start < last)
        for (let at = Math.max(first, start); at < Math.min(last, start + page.count); at += 1) found[at - first] = page.items?.[at - start];
      start += page.count;
      if (start >= last) break;
    }
    found.length = Math.max(0, Math.min(last, this.length) - first);
    return found;
  }
  at(index) { return index < 0 ? undefined : this.slice(index, index + 1)[0]; }

  index_of(key) {
    let start = 0;
    for (const page of this.pages) {
      const at = page.items ? page.items.findIndex((item) => key_of(item) === key) : -1;
      if (at >= 0) return start + at;
      start += page.count;
    }
    return -1;
  }
  find(id, mailbox) {
    for (const item of this.by_key.values()) if (item.id === id && (!mailbox || item.mailbox === mailbox)) return item;
    return null;
  }

  /** Loads what is missing between two positions, one page after the other. */
  async need(first, last) {
    this.wanted = [first, last];
    if (this.loading || this.closed || (this.error && !(this.ready && Date.now() - this.failed > PAUSE))) return;
    this.error = null;
    this.loading = true;
    try {
      while (!this.closed && (await this.#step())) this.changed();
    } catch (error) {
      if (error.name !== "AbortError") { this.error = error; this.failed = Date.now(); this.changed(); }
    } finally {
      this.loading = false;
    }
  }
  retry() { this.error = null; return this.need(...this.wanted); }
  close() { this.closed = true; this.stop.abort(); }

  async #step() {
    const [first, last] = this.wanted;
    let start = 0;
    for (const page of this.pages) {
      if (page.items === null && start + page.count > first && start < last) { await this.#refill(page); return true; }
      start += page.count;
    }
    if (this.ready && (this.ended || start >= last)) return false;
    const cursor = this.ready ? this.pages.at(-1).next : null;
    const answer = await this.#ask(cursor, this.ready ? (last - start > 2 * PAGE ? FAR : PAGE) : FIRST);
    const items = answer.messages.filter((one) => !this.by_key.has(key_of(one)));
    for (const one of items) this.by_key.set(key_of(one), one);
    this.pages.push({ cursor, items, count: items.length, next: answer.next ?? null });
    this.#forget(first, last);
    return true;
  }
  async #refill(page) {
    const answer = await this.#ask(page.cursor, Math.min(500, page.count));
    page.items = answer.messages.filter((one) => !this.by_key.has(key_of(one))).slice(0, page.count);
    page.count = page.items.length;
    for (const one of page.items) this.by_key.set(key_of(one), one);
  }
  #forget(first, last) {
    const place = this.pages.map(((start) => (page) => (start += page.count) - page.count)(0));
    this.pages.forEach((page, at) => {
      if (at === 0 || page.items === null || (place[at] + page.count > first - KEEP * PAGE && place[at] < last + KEEP * PAGE)) return;
      for (const one of page.items) this.by_key.delete(key_of(one));
      page.items = null;
    });
  }
  async #ask(cursor, limit) {
    const { account, mailbox, query } = this;
    const answer = await get("/v1/messages", { account, mailbox, query, limit, cursor }, { signal: this.stop.signal });
    if (!cursor) { this.unread = answer.unread; this.modseq = answer.modseq; }
    if (answer.total !== null && answer.total !== undefined) this.total = answer.total;
    for (const one of answer.messages) for (const tag of one.tags || []) state.tags.set(tag, (state.tags.get(tag) || 0) + 1);
    return answer;
  }

  /** Asks for the newest again and takes in what is not there yet; gives what came. */
  async fresh() {
    const answer = await this.#ask(null, FIRST);
    return answer.messages.filter((one) => !this.by_key.has(key_of(one)));
  }
  prepend(items) {
    const coming = items.filter((one) => !this.by_key.has(key_of(one)));
    if (!this.ready || coming.length === 0) return coming.length;
    for (const one of coming) this.by_key.set(key_of(one), one);
    this.pages[0].items.unshift(...coming);
    this.pages[0].count += coming.length;
    if (this.total !== null) this.total += coming.length;
    return coming.length;
  }
  update(key, fields) {
    const old = this.by_key.get(key);
    if (!old) return null;
    const made = { ...old, ...fields };
    this.by_key.set(key, made);
    for (const page of this.pages) {
      const at = page.items ? page.items.indexOf(old) : -1;
      if (at >= 0) page.items[at] = made;
    }
    return made;
  }
  remove(keys) {
    let gone = 0;
    for (const key of keys) {
      const old = this.by_key.get(key);
      if (!old) continue;
      this.by_key.delete(key);
      for (const page of this.pages) {
        const at = page.items ? page.items.indexOf(old) : -1;
        if (at >= 0) { page.items.splice(at, 1); page.count -= 1; gone += 1; }
      }
    }
    if (this.total !== null) this.total = Math.max(0, this.total - gone);
    return gone;
  }
}
