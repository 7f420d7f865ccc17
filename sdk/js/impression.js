import { Watch } from "./watch.js";

/** One clip shown to one viewer. Made by `Clapometer.impression`. */
export class Impression {
  #client;
  #watch = null;
  #told = false; // something was reported
  #ended = false; // its clip's end was

  constructor(client, id, token) {
    this.#client = client;
    this.id = id;
    this.token = token?.replace(/^v[23]\.([^.]+)\..*\.([^.]+)$/, "a2.$1.$2"); // the part that answers need
  }

  /**
   * Follows a media element: heartbeats while it plays, a last word when it ends or the page goes. An element that
   * showed another impression so far shows it no more.
   * @param {HTMLMediaElement} video
   */
  watch(video) {
    this.#client.follow(video, this);
    this.#watch?.stop();
    this.#watch = new Watch(video, (reason) => this.#over(reason), this.#watch);
    return this;
  }

  #over(reason) {
    if (reason === "replaced") this.end();
    else this.report(reason);
  }

  /** Sends what was watched so far; `reason` is an `end_reason` of the event reference. */
  report(reason = "heartbeat") {
    if (!this.#watch) return;
    this.#client.track("watched", { ...this.#watch.data(this.id, reason), token: this.token });
    this.#ended = reason === "ended";
    this.#told = true;
  }

  /** Reports what changed since the last report, if anything. */
  heartbeat() {
    if (this.#watch?.changed) this.report();
  }

  /** The page is hidden, and may be closed without another word: also that nothing was played yet is said then. */
  hide() {
    if (!this.#told) this.report();
    else this.heartbeat();
  }

  /** Stops following, such as when the viewer swipes on: `skipped`, `closed`, `navigated`. `watch` goes on. */
  end(reason = "skipped") {
    if (!this.#client.unfollow(this)) return;
    this.#watch.stop();
    this.report(reason);
  }

  /** The page goes, and may come back. A clip that ended has had its last word. */
  leave(reason) {
    this.#watch.stop();
    if (this.#watch.changed || !this.#ended) this.report(reason);
  }

  comeBack() {
    this.#watch.start();
  }

  react(reaction, more = {}) {
    this.#client.track("reacted", { ...more, impression_id: this.id, reaction, token: this.token });
  }

  undo(reaction) {
    this.react(reaction, { undone: true });
  }

  convert(kind, more = {}) {
    this.#client.track("converted", { ...more, impression_id: this.id, kind, token: this.token });
  }
}
