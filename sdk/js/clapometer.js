// Clapometer player SDK: what viewers do with clips, sent so that nothing is lost and nothing counts twice.
// ES modules without dependencies. See README.md beside this file.

import { Impression } from "./impression.js";
import { Keep, Letter, bodyOf, byWorth, fitting, uuidv7 } from "./outbox.js";
import { PlayedSegments } from "./watch.js";

export { Impression, PlayedSegments, uuidv7 };

const BEACON_BYTES = 65_536; // of all beacons of a page together in Chromium, and of each at the collector
const ANSWER_MS = 30_000; // a request without an answer for so long has failed
const ASK_AT = 3; // failures after which the reason is looked for
const REFUSED_MS = 600_000; // between two tries where it is that the browser may not
const REFUSED_TRIES = 6;

export class Clapometer {
  #queue = []; // letters without an answer, oldest first
  #inFlight = 0; // of the queue's first ones
  #tries = 0; // that failed since one that did not
  #retryAt = 0;
  #unreached = false; // whether the last try got no answer
  #refused = false; // by the browser: no try since then went through
  #followed = new Map(); // impressions by their element
  #beaconed = new WeakSet(); // since the page was last in sight, like the next
  #beaconBytes = 0;
  #explained = false; // since a try that did not fail
  #keep;
  #latest = { date: 0, at: 0 };
  #timers = [];
  #sending = null;
  #listening = new AbortController();

  /**
   * @param {object} options
   * @param {string} options.url Address of the collector.
   * @param {string} options.key Publishable API key (`cpk_…`).
   * @param {string} options.viewerId Who watches: a pseudonym, the same for all sessions of a viewer.
   * @param {string} [options.serving] Address of serving, where the page asks for slates itself.
   * @param {string} [options.source] CloudEvents source.
   * @param {number} [options.flushMs] Longest wait before events are sent.
   * @param {number} [options.heartbeatMs] Time between two reports of what was watched.
   * @param {number} [options.maxBatch] Most events in a request.
   * @param {number} [options.maxQueue] Most events held while the collector is away; the oldest go first.
   * @param {Storage | null} [options.storage] Where events wait for the next page; null for nowhere.
   * @param {number} [options.maxStored] Most characters that wait there.
   * @param {(problem: {reason: string, events: object[]}) => void} [options.onProblem] Told what is wrong and, where
   *   events are lost, which.
   */
  constructor(options) {
    const { url, key, viewerId } = options;
    for (const [name, value] of Object.entries({ url, key, viewerId })) {
      if (typeof value !== "string" || !value) throw new TypeError(`Clapometer: \`${name}\` is required`);
    }
    if (key.startsWith("csk_")) throw new TypeError("Clapometer: a secret key must not be in a page; use a cpk_ key");
    this.options = {
      source: `/web/${location.host}`,
      flushMs: 2000,
      heartbeatMs: 10_000,
      maxBatch: 100,
      maxQueue: 2000,
      maxStored: 1_000_000,
      storage: storageOf(globalThis),
      onProblem: ({ reason }) => console.warn(`clapometer: ${reason}`),
      ...options,
      url: url.replace(/\/+$/, ""),
    };
    this.sessionId = uuidv7();
    this.#keep = new Keep(this.options.storage, `${this.options.url} ${key}`, this.options.maxStored);
    this.#takeOver();
    this.#timers.push(setInterval(() => this.flush(), this.options.flushMs));
    this.#timers.push(setInterval(() => this.#followed.forEach((shown) => shown.heartbeat()), this.options.heartbeatMs));
    this.#listen();
  }

  #listen() {
    const { signal } = this.#listening;
    addEventListener("pagehide", () => this.#leave("navigated"), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#comeBack(), { signal });
    addEventListener("online", () => this.#reconnect(), { signal });
    const seen = () => (document.visibilityState === "hidden" ? this.#leave("heartbeat") : this.#comeBack());
    document.addEventListener("visibilitychange", seen, { signal });
  }

  /**
   * Asks for the order of clips, for the viewer whom the platform's server vouches for; resolves to the slate.
   * @param {object} asked
   * @param {string} asked.voucher What that server got from `POST /v1/sessions`.
   * @param {string[]} asked.candidates Clips that may be shown: those that it was got for.
   * @param {number} [asked.slots] How many to show.
   */
  async slate({ voucher, ...asked }) {
    const { serving, key, viewerId } = this.options;
    const answer = await fetch(`${serving.replace(/\/+$/, "")}/v1/slates`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "clapometer-voucher": voucher },
      body: JSON.stringify({ viewer_id: viewerId, ...asked }),
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const slate = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(`Clapometer: ${slate.detail ?? `HTTP ${answer.status}`}`);
    return slate;
  }

  /**
   * Says that a clip is shown.
   * @param {object} slot One of the `slots` that `POST /v1/slates` answered, or at least `{clip_id}` where the order
   *   is not ours: without its token and propensity an impression is stored and weighs nothing.
   * @param {object} [slate] The answer that the slot is from.
   */
  impression(slot, slate = {}) {
    const { score, ...given } = slot; // why the slot was filled so is not part of what was shown
    const { slate_id, policy_id, surface, experiment, session_id, viewer_id } = slate;
    const known = {
      slate_id,
      policy_id,
      surface,
      experiment,
      session_id: session_id ?? this.sessionId,
      viewer_id: viewer_id ?? this.options.viewerId, // the one that the token is for
    };
    const data = { impression_id: uuidv7(), ...known, ...given };
    this.track("impression", data, data.impression_id);
    return new Impression(this, data.impression_id, data.token);
  }

  /** Says which of two impressions a person prefers: left, right, tie, both_bad. */
  vote(left, right, result, axes) {
    const ids = { left_impression_id: left.id ?? left, right_impression_id: right.id ?? right };
    this.track("voted", { ...ids, result, axes, left_token: left.token, right_token: right.token });
  }

  /** Queues an event of the event reference; what has no value is left out. */
  track(type, data, id = uuidv7()) {
    const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined && value !== null));
    const { source } = this.options;
    const letter = new Letter({ specversion: "1.0", id, source, type: `clapometer.${type}.v1`, time: this.#now(), data: given });
    if (type === "watched") this.#supersede(given.impression_id);
    this.#queue.push(letter);
    this.#dropOldest("the queue is full");
    if (this.#queue.length >= this.options.maxBatch) this.flush();
  }

  /** A report says all that the heartbeat before it said. */
  #supersede(impressionId) {
    const said = ({ event }) => event.data.impression_id === impressionId && event.data.end_reason === "heartbeat";
    const at = this.#queue.findLastIndex(said);
    if (at >= this.#inFlight) this.#queue.splice(at, 1);
  }

  #dropOldest(why) {
    const surplus = this.#queue.length - this.options.maxQueue;
    if (surplus > 0) this.#lose(this.#queue.splice(this.#inFlight, surplus), why);
  }

  #lose(letters, why) {
    if (letters.length) this.#tell(`${letters.length} events were dropped: ${why}`, letters);
  }

  #tell(reason, letters = []) {
    try {
      this.options.onProblem({ reason, events: letters.map(({ event }) => event) });
    } catch (error) {
      console.error(error); // the page's, and no reason to stop sending
    }
  }

  /** The time as text. A clock that is set back does not turn a like and its undoing around. */
  #now() {
    const at = performance.now();
    const date = Math.max(Date.now(), this.#latest.date + at - this.#latest.at);
    this.#latest = { date, at };
    return new Date(date).toISOString();
  }

  /** Used by impressions: an element shows one of them at a time, and each is shown in one. */
  follow(video, impression) {
    const other = this.#followed.get(video);
    if (other !== impression) other?.end();
    this.unfollow(impression);
    this.#followed.set(video, impression);
  }

  unfollow(impression) {
    for (const [video, shown] of this.#followed) if (shown === impression) return this.#followed.delete(video);
    return false;
  }

  /** Events that are not acknowledged yet. */
  get pending() {
    return this.#queue.length;
  }

  /** Sends what is queued; resolves when that is acknowledged, refused, or to be tried again later. */
  flush() {
    this.#sending ??= this.#drain().finally(() => (this.#sending = null));
    return this.#sending;
  }

  /** Stops everything; what is queued goes out as beacons, and waits for the next page in case they are refused. */
  close() {
    this.#leave("closed");
    this.#followed.clear();
    this.#timers.forEach(clearInterval);
    this.#listening.abort();
  }

  async #drain() {
    let limit = this.options.maxBatch;
    this.#dropStale();
    while (this.#queue.length && performance.now() >= this.#retryAt) {
      const batch = this.#queue.slice(0, limit);
      this.#inFlight = batch.length;
      const answer = await this.#post(batch);
      this.#inFlight = 0;
      if (answer.status === 202) {
        this.#tries = 0;
        this.#refused = this.#explained = false;
        this.#settle(batch, (await answer.json().catch(() => ({}))).rejected ?? []);
      } else if (answer.status === 413 && batch.length > 1) {
        limit = Math.ceil(batch.length / 2);
      } else if (answer.status < 400 || answer.status === 408 || answer.status === 429 || answer.status >= 500) {
        await this.#later(answer);
      } else {
        const problem = await answer.json().catch(() => ({}));
        this.#settle(batch, problem.rejected?.length ? problem.rejected : [{ reason: problem.detail ?? `HTTP ${answer.status}` }]);
      }
    }
    if (!this.#queue.length) this.#keep.put([]);
  }

  async #post(batch) {
    try {
      return await fetch(`${this.options.url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${this.options.key}`, "content-type": "application/json" },
        body: bodyOf(batch, this.#now()),
        credentials: "omit",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
    } catch {
      return { status: 0, headers: new Headers() };
    }
  }

  /** Forgets events that have their verdict, wherever they are in the queue by now. */
  #settle(batch, rejected) {
    const settled = new Set(batch);
    this.#queue = this.#queue.filter((letter) => !settled.has(letter));
    for (const { index, field, reason } of rejected) {
      this.#tell(field ? `${field}: ${reason}` : reason, index === undefined ? batch : [batch[index]]);
    }
  }

  /** Waits longer each time, with jitter, and never less than the server asks for. */
  async #later(answer) {
    this.#tries += 1;
    this.#unreached = answer.status === 0 && !this.#refused;
    const asked = Number(answer.headers.get("retry-after")) * 1000 || 0;
    const wait = this.#refused ? REFUSED_MS : Math.random() * Math.min(60_000, 500 * 2 ** Math.min(this.#tries, 10));
    this.#retryAt = this.#refused && this.#tries >= ASK_AT + REFUSED_TRIES ? Infinity : performance.now() + asked + wait;
    this.#keep.put(this.#queue);
    if (answer.status === 0 && this.#tries >= ASK_AT && !this.#explained && navigator.onLine) await this.#explain();
  }

  /** A browser says no more than "failed" of a request that it may not send, and of one that does not arrive. */
  async #explain() {
    const { url } = this.options;
    const signal = AbortSignal.timeout(ANSWER_MS);
    const asked = fetch(`${url}/healthz`, { mode: "no-cors", credentials: "omit", cache: "no-store", signal });
    this.#explained = true;
    this.#refused = await asked.then(() => true, () => false);
    const waiting = `${this.#queue.length} events wait here, or for the next page, and are tried again`;
    const silent = `${url} does not answer, or the page's Content-Security-Policy has it not in connect-src`;
    if (!this.#refused) return this.#tell(`${silent}: ${waiting}, less and less often`);
    this.#tries = ASK_AT;
    this.#unreached = false;
    this.#retryAt = performance.now() + REFUSED_MS;
    this.#tell(
      `${url} answers, but not to requests of pages of ${location.origin}: allow this origin (in the key and in ` +
        "`cors_origins`) and, where a proxy answers the browser's OPTIONS request, POST with the headers authorization " +
        "and content-type and those that a tracer of the page adds, such as tracestate, or keep the tracer off this " +
        `address. ${waiting}, a few times`,
    );
  }

  #dropStale() {
    const now = Date.now();
    const stale = this.#queue.filter((letter) => letter.isStale(now));
    if (!stale.length) return;
    this.#queue = this.#queue.filter((letter) => !letter.isStale(now));
    this.#lose(stale, "nobody took them for days");
  }

  #takeOver() {
    const { letters, lost } = this.#keep.take();
    this.#queue = letters;
    this.#dropOldest("the queue is full");
    if (lost) this.#tell(`${lost} events of earlier pages were dropped: there was no room to keep them`);
  }

  /**
   * The page may never run again: what is not acknowledged is kept for the next one, and as much as the browser lets a
   * leaving page send goes out now. A beacon brings no answer; arriving twice is harmless, as ids stay the same.
   */
  #leave(reason) {
    this.#followed.forEach((shown) => (reason === "heartbeat" ? shown.hide() : shown.leave(reason)));
    const homeless = this.#keep.put(this.#queue);
    this.#beacon();
    this.#lose(homeless.filter((letter) => !this.#beaconed.has(letter)), "there is no room to keep them");
  }

  /** Where other beacons of the page have taken their part of what there is, smaller ones may still go. */
  #beacon() {
    const address = `${this.options.url}/v1/events?key=${encodeURIComponent(this.options.key)}`;
    let room = BEACON_BYTES - this.#beaconBytes;
    while (room > 200) {
      const letters = byWorth(this.#queue).filter((letter) => !this.#beaconed.has(letter));
      const sentat = this.#now();
      const batch = fitting(letters, room, sentat);
      if (!batch.length) return;
      const body = new Blob([bodyOf(batch, sentat)], { type: "text/plain" });
      if (sendBeacon(address, body)) {
        batch.forEach((letter) => this.#beaconed.add(letter));
        this.#beaconBytes += body.size;
        room = Math.min(room, BEACON_BYTES - this.#beaconBytes);
      } else {
        room = Math.floor(room / 2);
      }
    }
  }

  /** The page runs on, in sight again. */
  #comeBack() {
    this.#beaconed = new WeakSet();
    this.#beaconBytes = 0;
    this.#followed.forEach((shown) => shown.comeBack());
    this.flush();
  }

  /** There is a network again; what a collector asked for, or a browser refuses, stays as it is. */
  #reconnect() {
    if (this.#unreached) this.#retryAt = 0;
    this.flush();
  }
}

function storageOf(page) {
  try {
    return page.localStorage;
  } catch {
    return null; // denied
  }
}

function sendBeacon(address, body) {
  try {
    return navigator.sendBeacon(address, body);
  } catch {
    return false;
  }
}
