// What was played of a media element, found out by looking at it: at its events, and at every frame while it plays.

const MAX_SEGMENTS = 256; // of one `watched` event, like the two limits below
const MAX_CLIP_MS = 6 * 3_600_000;
const MAX_TOTAL_MS = 24 * 3_600_000;
const SLACK_S = 0.3; // how far a position may run ahead of the clock and still be playing, not a jump
const EDGE_S = 0.1; // how near to its end a clip has to be last seen to have reached it
const FRAME_S = 0.05;
const SETTLE_MS = 200; // that a new speed takes to be the speed of all that is heard, at most
const SLOWEST = 1 / 16; // browsers play no slower
const EVENTS = [
  ..."play playing pause waiting timeupdate seeking seeked ratechange volumechange".split(" "),
  ..."ended error emptied loadstart".split(" "),
];

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

  /** @returns {[number, number][]} */
  list() {
    return this.#segments.map(([start, end]) => [Math.round(start), Math.round(end)]);
  }

  /** Milliseconds of the clip that were seen at least once. */
  get unique() {
    return Math.round(this.#segments.reduce((sum, [start, end]) => sum + end - start, 0));
  }
}

/**
 * Follows one media element and knows what came of one impression. Times are those that the viewer spent: five
 * seconds of a clip at double speed are 2.5 s of `total`.
 */
export class Watch {
  segments = new PlayedSegments();
  total = 0;
  muted = 0;
  paused = 0;
  loops = 0;
  furthest = 0;
  changed = false; // since the last `data`
  #video;
  #onEnd;
  #source;
  #started; // whether it was played since it was shown, or was to be
  #moved = false; // whether anything was played since `watch`
  #seen = null; // the element as it was last looked at
  #rates = { slow: 1, fast: 1, until: 0 }; // between which it plays now
  #frame = 0;
  #listening = null;

  /**
   * @param {HTMLMediaElement} video
   * @param {(reason: "ended" | "error" | "replaced") => void} onEnd
   * @param {Watch} [before] Goes on from this one, where the viewer came back to the clip.
   */
  constructor(video, onEnd, before) {
    this.#video = video;
    this.#onEnd = onEnd;
    this.#source = video.currentSrc;
    this.#started = before?.total > 0;
    if (before) {
      const { segments, total, muted, paused, loops, furthest } = before;
      Object.assign(this, { segments, total, muted, paused, loops, furthest });
    }
    this.start();
  }

  start() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    for (const name of EVENTS) this.#video.addEventListener(name, (event) => this.#on(event), { signal });
    this.#look();
  }

  /** Stops looking; what happens until `start` is not counted. */
  stop() {
    if (!this.#listening) return;
    this.#look();
    this.#listening.abort();
    this.#listening = null;
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#seen = null;
  }

  #on(event) {
    this.#look(event);
    if (event.type === "ended" || event.type === "error") this.#onEnd(event.type);
    if (event.type !== "loadstart" || this.#video.currentSrc === this.#source) return;
    this.#source = this.#video.currentSrc;
    if (this.#moved) this.#onEnd("replaced");
  }

  /** Counts what happened since the last look; an event may come late. */
  #look(event) {
    const video = this.#video;
    const before = this.#seen;
    const now = performance.now();
    const told = Math.max(before?.at ?? 0, Math.min(now, event?.timeStamp ?? now));
    const over = video.currentTime >= video.duration; // Chromium's `ended` may come later
    this.#seen = {
      at: now,
      since: now, // when the position was last seen to move
      behind: 0, // milliseconds that it is behind the clock: Firefox catches up later where a page hung
      position: video.currentTime,
      ahead: this.#playedAhead(video.currentTime),
      duration: video.duration,
      rate: video.playbackRate,
      quiet: video.muted || video.volume === 0,
      paused: video.paused && !over,
      ended: over,
      moving: !video.paused && !video.seeking && video.readyState > 2,
    };
    this.#adaptRates(before, now);
    if (before) this.#count(before, this.#seen, told);
    if (!video.paused && !this.#frame && this.#listening) this.#frame = requestAnimationFrame(() => this.#lookAtFrame());
  }

  #lookAtFrame() {
    this.#frame = 0;
    if (!this.#video.paused && !this.#video.seeking) this.#look(); // else an event is about to tell since when
  }

  /** What sounds already goes on at the old speed: for a while the speed is between the old and the new one. */
  #adaptRates(before, now) {
    const rate = Math.max(this.#video.playbackRate, SLOWEST);
    if (before?.moving && !this.#seen.moving) return; // what played until now did so at the speeds so far
    if (!before?.moving) this.#rates.until = 0;
    else if (before.rate !== this.#video.playbackRate) this.#rates.until = now + SETTLE_MS;
    const { slow, fast, until } = this.#rates;
    this.#rates = now < until ? { slow: Math.min(slow, rate), fast: Math.max(fast, rate), until } : { slow: rate, fast: rate, until };
  }

  #count(before, seen, told) {
    const playing = this.#isPlaying(before, seen);
    const reached = playing ? seen.position : this.#reached(before, seen, told);
    const took = this.#took(before, reached, playing ? seen.at : told);
    const spent = before.paused ? Math.min(took, seen.at - told) : took; // Chromium's position leaps as playing goes on
    this.#played(before.position, reached, spent, before.quiet);
    if (!playing) this.#beginAgain(before, seen, reached);
    const began = Math.min(told, seen.at - spent);
    // A position that stands still does so since it was reached, or since the event where nothing moved before.
    if (!seen.moving) seen.at = before.moving ? Math.min(told, before.at + spent) : told;
    this.#started ||= !this.#video.paused;
    if (before.paused && this.#started) this.paused += Math.max(0, (seen.moving ? began : seen.at) - before.at);
    if (playing && seen.moving) seen.behind = Math.max(0, before.behind + seen.at - before.at - spent);
    seen.since = playing && before.moving && !spent ? before.since : seen.at;
  }

  /** Whether playing alone explains the new position: a seek may show in it before its events come. */
  #isPlaying(before, { at, position, moving }) {
    if (this.#video.seeking || position < before.position || !(before.moving || moving)) return false;
    const run = ((at - before.at + before.behind) / 1000) * this.#rates.fast;
    return position - before.position <= run + SLACK_S && position <= this.#playedTo(before.position) + FRAME_S;
  }

  /** Where the playing that went through `position` ended, by the browser's own account; it does not tell how often. */
  #playedTo(position) {
    const { played } = this.#video;
    for (let i = 0; i < played.length; i++) {
      if (played.start(i) <= position + FRAME_S && position <= played.end(i)) return played.end(i);
    }
    return Infinity;
  }

  /** Where what was played already begins ahead of `position`, which may lie in it; only before that `#playedTo` is new. */
  #playedAhead(position) {
    const { played } = this.#video;
    for (let i = 0; i < played.length; i++) {
      if (played.end(i) > position + FRAME_S) return Math.max(position, played.start(i));
    }
    return Infinity;
  }

  /** How far the clip had played when it was sought in, began again, or was taken away: nobody saw its last moment. */
  #reached(before, seen, told) {
    const isOther = !this.#moved && this.#video.readyState === 0; // the page called `watch` and sets the clip now
    if (!before.moving || isOther) return before.position;
    // Firefox loops without a seam: nothing else goes back without `seeking`.
    const isSeam = this.#video.loop && seen.moving && seen.position < before.position;
    if (isSeam && Number.isFinite(before.duration)) return before.duration;
    const end = this.#playedTo(before.position);
    const leap = end < before.ahead ? SLACK_S : 0; // a position that leapt since the last look shows there
    const estimate = before.position + ((told - before.at) / 1000) * before.rate + leap;
    return Math.max(before.position, Math.min(estimate, end, before.duration || Infinity));
  }

  /** Milliseconds that playing on to a position took. */
  #took(before, position, at) {
    const milliseconds = (position - before.position) * 1000;
    const { slow, fast } = this.#rates;
    return milliseconds > 0 ? Math.min(Math.max(at - before.since, milliseconds / fast), milliseconds / slow) : 0;
  }

  #played(from, to, spent, quiet) {
    if (!(to > from)) return;
    this.segments.add(from * 1000, to * 1000);
    this.total += spent;
    if (quiet) this.muted += spent;
    this.furthest = Math.max(this.furthest, to * 1000);
    this.changed = true;
    this.#moved = true;
  }

  #beginAgain(before, seen, reached) {
    const { loop, paused, readyState } = this.#video;
    const again = seen.position < before.position && !paused && readyState > 0 && (loop || before.ended);
    if (!again || !(reached >= before.duration - EDGE_S)) return;
    const rest = (from, to) => this.#played(from, to, ((to - from) * 1000) / this.#rates.fast, before.quiet);
    rest(reached, before.duration);
    if (seen.moving) rest(0, seen.position); // as in Firefox
    this.loops += 1;
  }

  /** The data of a `watched` event: everything so far, so that the largest numbers win in any order. */
  data(impressionId, endReason) {
    if (this.#listening) this.#look();
    this.changed = false;
    const inClip = (milliseconds) => Math.min(Math.round(milliseconds), MAX_CLIP_MS);
    const inTotal = (milliseconds) => Math.min(Math.round(milliseconds), MAX_TOTAL_MS);
    const segments = this.segments.list().map((ends) => ends.map(inClip));
    return {
      impression_id: impressionId,
      ...(segments.length <= MAX_SEGMENTS ? { played_segments: segments } : { watched_ms: inClip(this.segments.unique) }),
      total_ms: inTotal(this.total),
      muted_ms: inTotal(this.muted),
      paused_ms: inTotal(this.paused),
      loops: this.loops,
      max_position_ms: inClip(this.furthest),
      end_reason: endReason,
    };
  }
}
