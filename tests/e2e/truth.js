// What really happened to a media element: its position, read at every step of a script and all the time in between.
// Shares nothing with the SDK: no event is listened to but `seeked`.
class Truth {
  pieces = []; // [from, to] in seconds, how long that took and whether it was quiet
  paused = 0;
  loops = 0;
  hung = 0; // milliseconds that the busy machine took from the page at once, by which neither side knows better
  #video;
  #from = null; // where playing began, while it goes on
  #last = 0;
  #movedAt = 0;
  #fasterAt = -1000;
  #spent = 0; // since `from`
  #pausedAt = null;
  #waiting = [];
  #tickedAt = 0;

  constructor(video) {
    this.#video = video;
    const seen = () => (this.#tickedAt = performance.now()); // while it is not, browsers themselves hold it back
    addEventListener("pageshow", seen);
    document.addEventListener("visibilitychange", seen);
    seen();
    const tick = () => {
      const now = performance.now();
      if (document.visibilityState === "visible") this.hung = Math.max(this.hung, now - this.#tickedAt - 30);
      this.#tickedAt = now;
      this.#look();
      setTimeout(tick, 2);
    };
    tick();
  }

  #look() {
    const at = this.#video.currentTime;
    this.#clock(at);
    if (this.#from !== null && at < this.#last - 0.05 && this.#video.loop) {
      this.#spent += ((this.#video.duration - this.#last) / this.#video.playbackRate) * 1000;
      this.#cut(this.#video.duration);
      this.#from = 0;
      this.#spent = (at / this.#video.playbackRate) * 1000;
      this.loops += 1;
    }
    if (this.#from !== null && this.#video.ended) {
      this.#cut(at);
      this.#from = null;
    }
    this.#last = at;
    this.#waiting = this.#waiting.filter(([holds, done]) => !holds() || done());
  }

  /** What was played by its speed; by the clock where the speed is new, as it is not yet that of what sounds already. */
  #clock(at) {
    const now = performance.now();
    const [gap, played] = [now - this.#movedAt, at - this.#last];
    if (!played) return;
    const passed = now - this.#fasterAt < 200 && gap < 120 ? gap : (Math.max(0, played) / this.#video.playbackRate) * 1000;
    if (this.#from !== null) this.#spent += passed;
    this.#movedAt = now;
  }

  #cut(to) {
    const { muted, volume } = this.#video;
    if (to > this.#from) {
      this.pieces.push({ from: this.#from * 1000, to: to * 1000, spent: this.#spent, quiet: muted || volume === 0 });
    }
    this.#spent = 0;
    this.#from = to;
  }

  /** Before anything that changes how it plays. */
  #change() {
    this.#look();
    if (this.#from !== null) this.#cut(this.#video.currentTime);
  }

  when(holds) {
    const deadline = performance.now() + 100_000;
    return new Promise((done, fail) => {
      const late = () => performance.now() > deadline && (fail(new Error(`never: ${holds}`)), true);
      this.#waiting.push([() => holds() || late(), () => (done(), false)]);
    });
  }

  until(position) {
    return this.when(() => this.#video.currentTime >= position || this.#video.ended);
  }

  pass(milliseconds) {
    const end = performance.now() + milliseconds;
    return this.when(() => performance.now() >= end);
  }

  /** The page hangs, as it is told to: what is measured has to hold all the same. */
  hang(milliseconds) {
    const begun = performance.now();
    while (performance.now() < begun + milliseconds);
    this.#tickedAt = performance.now();
  }

  looped(times) {
    return this.when(() => this.loops >= times);
  }

  ended() {
    return this.when(() => this.#video.ended);
  }

  async play() {
    const again = this.#video.ended;
    if (this.#pausedAt !== null) this.paused += performance.now() - this.#pausedAt;
    this.#pausedAt = null;
    const from = again ? 0 : this.#video.currentTime;
    await this.#video.play();
    this.#begin(from);
    if (again) this.loops += 1;
  }

  #begin(from) {
    this.#from = from;
    this.#last = this.#video.currentTime;
    this.#movedAt = performance.now();
  }

  pause() {
    this.#change();
    this.#video.pause();
    this.#from = null;
    this.#pausedAt = performance.now();
  }

  async seek(position) {
    this.#change();
    const plays = !this.#video.paused;
    this.#from = null;
    const arrived = new Promise((done) => this.#video.addEventListener("seeked", done, { once: true }));
    this.#video.currentTime = position;
    await arrived;
    this.#begin(plays ? position : null);
  }

  rate(factor) {
    this.#change();
    this.#video.playbackRate = factor;
    if (this.#from !== null) this.#fasterAt = performance.now();
  }

  mute(muted) {
    this.#change();
    this.#video.muted = muted;
  }

  /** The element is given another clip, or taken away. */
  leave() {
    if (this.#video.paused) this.pause();
    this.#change();
    this.#from = null;
    if (this.#pausedAt !== null) this.paused += performance.now() - this.#pausedAt;
    this.#pausedAt = null;
  }

  tell() {
    this.#change();
    const segments = [];
    for (const { from, to } of this.pieces.toSorted((a, b) => a.from - b.from)) {
      if (to - from < 1) continue;
      const last = segments.at(-1);
      if (last && from <= last[1] + 20) last[1] = Math.max(last[1], to);
      else segments.push([from, to]);
    }
    const sum = (pieces) => pieces.reduce((total, { spent }) => total + spent, 0);
    const paused = this.paused + (this.#pausedAt === null || this.#video.ended ? 0 : performance.now() - this.#pausedAt);
    return {
      segments,
      total_ms: sum(this.pieces),
      muted_ms: sum(this.pieces.filter(({ quiet }) => quiet)),
      paused_ms: paused,
      loops: this.loops,
      hung_ms: this.hung,
      max_position_ms: Math.max(0, ...this.pieces.map(({ to }) => to)),
    };
  }
}
