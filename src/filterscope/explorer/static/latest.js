// Requests of which only the latest matters.

const PATIENCE = 250; // milliseconds after which a newer request may end an older one

/**
 * Asks one thing at a time. While an answer is awaited only the newest wish is remembered; it is
 * sent when the answer is there, or, where that takes long, at once: the server then ends the old.
 */
export class Latest {
  constructor(ask, show, fail) {
    Object.assign(this, { ask, show, fail, number: 0, running: 0, wish: null, since: 0, timer: 0, controller: null });
  }

  get isBusy() {
    return this.running > 0 || this.wish !== null;
  }

  want(wish) {
    this.wish = wish;
    if (!this.running) {
      this.#send();
      return;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.wish && this.#send(), this.since + PATIENCE - performance.now());
  }

  /** Forget everything that is awaited; the server sees that nobody waits any more. */
  drop() {
    this.controller?.abort();
    this.number += 1;
    this.running = 0;
    this.wish = null;
    clearTimeout(this.timer);
  }

  async #send() {
    const wish = this.wish, number = (this.number += 1);
    this.wish = null;
    this.running = number;
    this.since = performance.now();
    this.controller = new AbortController();
    try {
      const answer = await this.ask(wish, this.controller.signal);
      if (number === this.number) this.show(answer, wish);
    } catch (error) {
      if (number === this.number && error.kind !== "superseded") this.fail(error);
    } finally {
      if (number === this.number) {
        this.running = 0;
        if (this.wish) this.#send();
      }
    }
  }
}
