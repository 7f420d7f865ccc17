// Clapometer player SDK: what viewers do with clips, sent so that nothing is lost and nothing counts twice.
// An ES module without dependencies. See README.md beside it.

const MAX_SEGMENTS = 256; // of one `watched` event
const BEACON_BYTES = 60_000; // browsers and the collector take 64 KiB
const SLACK_S = 0.3; // how far a position may run ahead of the clock and still be playing, not a seek

/** A UUID version 7 (RFC 9562): 48 bits of time, 74 random bits. */
export function uuidv7(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (40 - 8 * i)) % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Which parts of a clip were played, as disjoint [start, end] in milliseconds, in order. */
export class PlayedSegments {
  #segments = [];

  add(start, end) {
    if (!(end > start) || start < 0) return;
    const apart = this.#segments.filter(([from, to]) => to < start || from > end);
    const joined = this.#segments.filter(([from, to]) => to >= start && from <= end);
    const from = Math.min(start, ...joined.map((segment) => segment[0]));
    const to = Math.max(end, ...joined.map((segment) => segment[1]));
    this.#segments = [...apart, [from, to]].sort((a, b) => a[0] - b[0]);
  }

  list() {
    return this.#segments.map(([start, end]) => [Math.round(start), Math.round(end)]);
  }

  /** Milliseconds of the clip that were seen at least once. */
  get unique() {
    return Math.round(this.#segments.reduce((sum, [start, end]) => sum + end - start, 0));
  }
}

/** Follows one media element and knows what came of one impression. */
class Watch {
  segments = new PlayedSegments();
  total = 0;
  muted = 0;
  paused = 0;
  loops = 0;
  furthest = 0;
  changed = false;
  #video;
  #last = null; // latest position while playing, in seconds
  #lastAt = 0; // when that was, in milliseconds
  #pausedAt = null;
  #listeners = [];

  /** Goes on from `before`, where the viewer came back to the clip. */
  constructor(video, onEnd, now, before) {
    this.#video = video;
    this.now = now;
    if (before) {
      const { segments, total, muted, paused, loops, furthest } = before;
      Object.assign(this, { segments, total, muted, paused, loops, furthest });
    }
    if (!video.paused) this.#mark(video.currentTime);
    this.#on("playing", () => this.#resume());
    this.#on("timeupdate", () => this.#step());
    this.#on("pause", () => this.#pause());
    this.#on("seeking", () => this.#seek());
    this.#on("seeked", () => this.#mark(this.#video.paused ? null : this.#video.currentTime));
    this.#on("ended", () => {
      this.#step();
      onEnd("ended");
    });
    this.#on("error", () => onEnd("error"));
  }

  #on(name, listener) {
    this.#video.addEventListener(name, listener);
    this.#listeners.push([name, listener]);
  }

  #resume() {
    if (this.#pausedAt !== null) this.paused += this.now() - this.#pausedAt;
    this.#pausedAt = null;
    this.#mark(this.#video.currentTime);
  }

  #mark(position) {
    this.#last = position;
    this.#lastAt = this.now();
  }

  #pause() {
    this.#step();
    this.#last = null;
    this.#pausedAt = this.now();
  }

  #seek() {
    // A looping element seeks from its end to its start by itself.
    const wrapped = this.#video.loop && this.#last !== null && this.#video.currentTime < 0.5;
    if (wrapped && this.#couldPlayTo(this.#video.duration)) {
      this.#played(this.#last, this.#video.duration);
      this.loops += 1;
    }
    this.#last = null;
  }

  #step() {
    if (this.#last === null) return;
    const at = this.#video.currentTime;
    if (at > this.#last && this.#couldPlayTo(at)) this.#played(this.#last, at);
    this.#mark(at);
  }

  /** Whether playing alone explains the position: events come late, so a seek may already show in it. */
  #couldPlayTo(position) {
    const passed = ((this.now() - this.#lastAt) / 1000) * (this.#video.playbackRate || 1);
    return position - this.#last <= passed + SLACK_S;
  }

  #played(from, to) {
    const milliseconds = (to - from) * 1000;
    this.segments.add(from * 1000, to * 1000);
    this.total += milliseconds / (this.#video.playbackRate || 1);
    if (this.#video.muted || this.#video.volume === 0) this.muted += milliseconds / (this.#video.playbackRate || 1);
    this.furthest = Math.max(this.furthest, to * 1000);
    this.changed = true;
  }

  /** The data of a `watched` event: everything so far, so that the largest numbers win in any order. */
  data(impressionId, endReason) {
    this.#step();
    this.changed = false;
    const segments = this.segments.list();
    const paused = this.paused + (this.#pausedAt === null ? 0 : this.now() - this.#pausedAt);
    return {
      impression_id: impressionId,
      ...(segments.length <= MAX_SEGMENTS ? { played_segments: segments } : { watched_ms: this.segments.unique }),
      total_ms: Math.round(this.total),
      muted_ms: Math.round(this.muted),
      paused_ms: Math.round(paused),
      loops: this.loops,
      max_position_ms: Math.round(this.furthest),
      end_reason: endReason,
    };
  }

  stop() {
    for (const [name, listener] of this.#listeners) this.#video.removeEventListener(name, listener);
    this.#listeners = [];
  }
}

/** One clip shown to one viewer. Made by `Clapometer.impression`. */
export class Impression {
  #client;
  #watch = null;

  constructor(client, id) {
    this.#client = client;
    this.id = id;
  }

  /** Follows a media element: heartbeats while it plays, a last word when it ends or the page goes. */
  watch(video) {
    this.#watch?.stop();
    this.#watch = new Watch(video, (reason) => this.report(reason), this.#client.monotonic, this.#watch);
    this.#client.follow(this);
    return this;
  }

  /** Sends what was watched so far; `reason` is an `end_reason` of the event reference. */
  report(reason = "heartbeat") {
    if (this.#watch) this.#client.track("watched", this.#watch.data(this.id, reason));
  }

  heartbeat() {
    if (this.#watch?.changed) this.report();
  }

  /** Stops following, such as when the viewer swipes on: `skipped`, `closed`, `navigated`. `watch` goes on. */
  end(reason = "skipped") {
    if (!this.#client.unfollow(this)) return;
    this.report(reason);
    this.#watch.stop();
  }

  react(reaction, more = {}) {
    this.#client.track("reacted", { ...more, impression_id: this.id, reaction });
  }

  undo(reaction) {
    this.react(reaction, { undone: true });
  }

  convert(kind, more = {}) {
    this.#client.track("converted", { ...more, impression_id: this.id, kind });
  }
}

export class Clapometer {
  #queue = []; // events not yet acknowledged, oldest first
  #inFlight = 0; // of the queue's first ones
  #tries = 0;
  #retryAt = 0;
  #followed = new Set();
  #beaconed = new WeakSet();
  #timers = [];
  #sending = null;
  #leave = () => this.#onLeave("navigated");
  #hide = () => document.visibilityState === "hidden" && this.#onLeave("heartbeat");

  /**
   * @param {object} options
   * @param {string} options.url Address of the collector.
   * @param {string} options.key Publishable API key (`cpk_…`).
   * @param {string} options.viewerId Who watches: a pseudonym, the same for all sessions of a viewer.
   * @param {string} [options.source] CloudEvents source.
   * @param {number} [options.flushMs] Longest wait before events are sent.
   * @param {number} [options.heartbeatMs] Time between two reports of what was watched.
   * @param {number} [options.maxBatch] Most events in a request.
   * @param {number} [options.maxQueue] Most events kept while the collector is away; the oldest go first.
   * @param {(problem: {reason: string, events: object[]}) => void} [options.onProblem] Told of events that are lost.
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
      onProblem: ({ reason }) => console.warn(`clapometer: ${reason}`),
      ...options,
      url: url.replace(/\/+$/, ""),
    };
    this.sessionId = uuidv7();
    this.monotonic = () => performance.now();
    this.#timers.push(setInterval(() => this.flush(), this.options.flushMs));
    this.#timers.push(setInterval(() => this.#followed.forEach((shown) => shown.heartbeat()), this.options.heartbeatMs));
    addEventListener("pagehide", this.#leave);
    document.addEventListener("visibilitychange", this.#hide);
  }

  /**
   * Says that a clip is shown.
   * @param {object} slot One of the `slots` that `POST /v1/slates` answered, or at least `{clip_id}` where the order
   *   is not ours: without its token and propensity an impression is stored and weighs nothing.
   * @param {object} [slate] The answer that the slot is from.
   */
  impression(slot, slate = {}) {
    const { score, ...given } = slot; // why the slot was filled so is not part of what was shown
    const { slate_id, policy_id, surface, session_id, viewer_id } = slate;
    const known = {
      slate_id,
      policy_id,
      surface,
      session_id: session_id ?? this.sessionId,
      viewer_id: viewer_id ?? this.options.viewerId, // the one that the token is for
    };
    const data = { impression_id: uuidv7(), ...known, ...given };
    this.track("impression", data, data.impression_id);
    return new Impression(this, data.impression_id);
  }

  /** Says which of two impressions a person prefers: left, right, tie, both_bad. */
  vote(left, right, result, axes) {
    const data = { left_impression_id: left.id ?? left, right_impression_id: right.id ?? right, result };
    this.track("voted", axes ? { ...data, axes } : data);
  }

  /** Queues an event of the event reference; what has no value is left out. */
  track(type, data, id = uuidv7()) {
    const given = Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined && value !== null));
    this.#queue.push({
      specversion: "1.0",
      id,
      source: this.options.source,
      type: `clapometer.${type}.v1`,
      time: new Date().toISOString(),
      data: given,
    });
    if (this.#queue.length > this.options.maxQueue) {
      const lost = this.#queue.splice(this.#inFlight, this.#queue.length - this.options.maxQueue);
      this.options.onProblem({ reason: `${lost.length} events were dropped: the queue is full`, events: lost });
    }
    if (this.#queue.length >= this.options.maxBatch) this.flush();
  }

  follow(impression) {
    this.#followed.add(impression);
  }

  unfollow(impression) {
    return this.#followed.delete(impression);
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

  /** Stops everything; what is queued goes out as a beacon. */
  close() {
    this.#onLeave("closed");
    this.#timers.forEach(clearInterval);
    removeEventListener("pagehide", this.#leave);
    document.removeEventListener("visibilitychange", this.#hide);
  }

  async #drain() {
    let limit = this.options.maxBatch;
    while (this.#queue.length && this.monotonic() >= this.#retryAt) {
      const batch = this.#queue.slice(0, limit);
      this.#inFlight = batch.length;
      const answer = await this.#post(batch);
      this.#inFlight = 0;
      if (answer.status === 202) {
        this.#tries = 0;
        this.#settle(batch, (await answer.json().catch(() => ({}))).rejected ?? []);
      } else if (answer.status === 413 && batch.length > 1) {
        limit = Math.ceil(batch.length / 2);
      } else if (answer.status === 0 || answer.status === 408 || answer.status === 429 || answer.status >= 500) {
        this.#later(answer);
      } else {
        const problem = await answer.json().catch(() => ({}));
        this.#settle(batch, problem.rejected?.length ? problem.rejected : [{ reason: problem.detail ?? `HTTP ${answer.status}` }]);
      }
    }
  }

  async #post(batch) {
    try {
      return await fetch(`${this.options.url}/v1/events`, {
        method: "POST",
        headers: { authorization: `Bearer ${this.options.key}`, "content-type": "application/json" },
        body: stamped(batch),
        credentials: "omit",
      });
    } catch {
      return { status: 0, headers: new Headers() };
    }
  }

  /** Forgets events that have their verdict, wherever they are in the queue by now. */
  #settle(batch, rejected) {
    const settled = new Set(batch);
    this.#queue = this.#queue.filter((event) => !settled.has(event));
    for (const { index, field, reason } of rejected) {
      const events = index === undefined ? batch : [batch[index]];
      this.options.onProblem({ reason: field ? `${field}: ${reason}` : reason, events });
    }
  }

  /** Waits longer each time, with jitter, and never less than the server asks for. */
  #later(answer) {
    this.#tries += 1;
    const asked = Number(answer.headers.get("retry-after")) * 1000 || 0;
    const wait = asked + Math.random() * Math.min(60_000, 500 * 2 ** Math.min(this.#tries, 10));
    this.#retryAt = this.monotonic() + wait;
  }

  /**
   * The page may never run again: what is not acknowledged goes out now. A beacon brings no answer, so the events
   * stay queued in case the page does run again; arriving twice is harmless, as ids stay the same.
   */
  #onLeave(reason) {
    this.#followed.forEach((shown) => (reason === "heartbeat" ? shown.heartbeat() : shown.report(reason)));
    const address = `${this.options.url}/v1/events?key=${encodeURIComponent(this.options.key)}`;
    for (const batch of beacons(this.#queue.filter((event) => !this.#beaconed.has(event)))) {
      const body = new Blob([stamped(batch)], { type: "text/plain" });
      if (!navigator.sendBeacon(address, body)) return;
      batch.forEach((event) => this.#beaconed.add(event));
      if (reason === "closed") this.#settle(batch, []);
    }
  }
}

function stamped(batch) {
  const sentat = new Date().toISOString();
  return JSON.stringify(batch.map((event) => ({ ...event, sentat })));
}

function beacons(queue) {
  const batches = [];
  let size = Infinity;
  for (const event of queue) {
    const bytes = new TextEncoder().encode(JSON.stringify(event)).length + 50;
    if (size + bytes > BEACON_BYTES) {
      batches.push([]);
      size = 2;
    }
    batches.at(-1).push(event);
    size += bytes;
  }
  return batches;
}
