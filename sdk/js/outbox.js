// Events on their way: written once, put into bodies, and kept for the next page where no answer came before this one went.

const KEEP_MS = 47 * 3_600_000; // less than the collector's `max_browser_age_hours`, after which it takes none
const NAME = "clapometer ";

/** A UUID version 7 (RFC 9562): 48 bits of time, 74 random bits. */
export function uuidv7(now = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 2 ** (40 - 8 * i)) % 256;
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** An event that is written already: what cannot be written costs its caller an error, and no other event. */
export class Letter {
  constructor(event) {
    this.event = event;
    this.text = JSON.stringify(event);
  }

  /** Too old for the collector to take it. */
  isStale(now) {
    return !(now - Date.parse(this.event.time) < KEEP_MS);
  }

  stamped(sentat) {
    return `${this.text.slice(0, -1)},"sentat":"${sentat}"}`;
  }
}

/** The body of a request. */
export function bodyOf(letters, sentat) {
  return `[${letters.map((letter) => letter.stamped(sentat)).join(",")}]`;
}

/** What matters most where not all can go: the latest `watched` of each impression, then the newest of the others. */
export function byWorth(letters) {
  const reported = new Set();
  const [first, then] = [[], []];
  for (const letter of [...letters].reverse()) {
    const { type, data } = letter.event;
    const latest = type === "clapometer.watched.v1" && !reported.has(data.impression_id);
    if (latest) reported.add(data.impression_id);
    (latest ? first : then).push(letter);
  }
  return [...first, ...then];
}

/** As many of the letters, in their order, as a body of `room` bytes holds. */
export function fitting(letters, room, sentat) {
  const encoder = new TextEncoder();
  let left = room - 1; // a bracket; each letter has another or a comma before it
  return letters.filter((letter) => {
    const bytes = encoder.encode(letter.stamped(sentat)).length + 1;
    const fits = bytes <= left;
    if (fits) left -= bytes;
    return fits;
  });
}

/**
 * The letters of pages without an answer, in the storage of their origin. Every page has an entry of its own, so that
 * tabs do not overwrite each other; the next page takes over what it finds. Two pages may send the same letter: it
 * keeps its id.
 */
export class Keep {
  #storage;
  #prefix;
  #name;
  #limit;
  #taken = new Map(); // entries, by name, whose letters are in our own queue
  #has = false;

  /**
   * @param {Storage | null} storage
   * @param {string} scope Whose letters: those for another collector or key are left alone.
   * @param {number} limit Most characters of all entries together.
   */
  constructor(storage, scope, limit) {
    this.#storage = storage;
    this.#prefix = `${NAME}${scope} `;
    this.#name = this.#prefix + uuidv7();
    this.#limit = limit;
  }

  /** The letters that earlier pages left, oldest first, and how many they had to drop. */
  take() {
    const letters = new Map();
    let lost = 0;
    for (const name of this.#names(this.#prefix)) {
      const text = this.#storage.getItem(name);
      this.#taken.set(name, text);
      const entry = read(text);
      for (const event of entry.events) letters.set(event.id, new Letter(event));
      lost += entry.lost;
    }
    return { letters: [...letters.values()], lost };
  }

  /** Keeps these letters, and nothing else, for the next page; returns those for which there is no room. */
  put(letters) {
    if (!letters.length) return this.#clear();
    const worth = byWorth(letters);
    for (let room = this.#limit; this.#storage && room > 1000; room /= 2) {
      let left = room - 100;
      const kept = new Set(worth.filter(({ text }) => text.length < left && (left -= text.length + 1)));
      const lost = letters.filter((letter) => !kept.has(letter));
      if (this.#write(letters.filter((letter) => kept.has(letter)), lost.length)) return lost;
    }
    return letters;
  }

  #write(letters, lost) {
    const events = letters.map(({ text }) => text).join(",");
    try {
      const more = lost + this.#makeRoom(events.length);
      this.#storage.setItem(this.#name, `{"lost":${more},"events":[${events}]}`);
    } catch {
      return false; // denied, or full
    }
    this.#has = true;
    this.#removeTaken();
    return true;
  }

  /** Pages that left longest ago give way: how many letters they had. Names are in the order of time. */
  #makeRoom(size) {
    const others = this.#names(NAME).filter((name) => !this.#taken.has(name));
    const texts = others.map((name) => this.#storage.getItem(name));
    let used = texts.reduce((sum, text) => sum + text.length, size);
    let lost = 0;
    while (used > this.#limit && others.length) {
      const [name, text] = [others.shift(), texts.shift()];
      this.#storage.removeItem(name);
      used -= text.length;
      lost += read(text).events.length + read(text).lost;
    }
    return lost;
  }

  #clear() {
    try {
      if (this.#has) this.#storage.removeItem(this.#name);
      this.#has = false;
      this.#removeTaken();
    } catch {
      // denied by now: the next page sends what is there again, with the ids that it has
    }
    return [];
  }

  /** Leaves alone what its page, which lives after all, has written anew. */
  #removeTaken() {
    for (const [name, text] of this.#taken) {
      if (this.#storage.getItem(name) === text) this.#storage.removeItem(name);
    }
    this.#taken.clear();
  }

  #names(prefix) {
    try {
      const names = Object.keys(this.#storage ?? {}).filter((name) => name.startsWith(prefix) && name !== this.#name);
      return names.sort((a, b) => (a.slice(-36) < b.slice(-36) ? -1 : 1));
    } catch {
      return [];
    }
  }
}

/** What an entry holds. Other scripts of the origin may have written it. */
function read(text) {
  try {
    const { events, lost } = JSON.parse(text);
    const ours = events.filter((event) => typeof event?.id === "string" && event.data);
    return { events: ours, lost: lost + events.length - ours.length };
  } catch {
    return { events: [], lost: 1 };
  }
}
