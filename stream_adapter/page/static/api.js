// Asking the worker. The token stays in this tab's session storage and travels in a header, never in an address.

const KEY = "stream_adapter.token";

export const token = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** An answer that is no success; `status` is 0 where there was none at all. */
export class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/** GET, or POST where there is a body; the JSON of the answer. */
export async function ask(path, { body, timeout = 15000 } = {}) {
  const headers = { accept: "application/json" };
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  const options = { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(timeout) };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["content-type"] = "application/json";
    headers["x-stream-adapter"] = "page";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused(0, "the worker does not answer");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.error || `status ${response.status}`);
  return answer;
}

/** Asks again and again: every `every` milliseconds, ever more rarely while it fails, not at all in a hidden tab. */
export class Poll {
  constructor(once, { every = 1000, longest = 30000, failed }) {
    Object.assign(this, { once, every, longest, failed, failures: 0, timer: null, running: false });
    document.addEventListener("visibilitychange", () => !document.hidden && this.now());
  }

  async now() {
    if (this.running) return;
    this.running = true;
    clearTimeout(this.timer);
    let wait = this.every;
    try {
      await this.once();
      this.failures = 0;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.failures += 1;
      wait = Math.min(this.longest, this.every * 2 ** this.failures);
      this.failed(error, wait);
    } finally {
      this.running = false;
      if (!document.hidden) this.timer = setTimeout(() => this.now(), wait);
    }
  }
}
