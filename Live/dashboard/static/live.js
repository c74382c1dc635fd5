// Follows the trader: asks again whenever the server says that something has changed, or every 2 seconds where it cannot say so.

const POLL_MS = 2000;
const PATIENCE_MS = 10000;
const AT_MOST_EVERY_MS = 900;

// Calls `load` at once and with every change; `load` gives a signal on to fetch. One call at a time.
export function follow(load) {
  let timer = 0;
  let running = false;
  let again = false;
  let heard = 0; // when the stream was last alive
  let source = null;

  async function turn() {
    clearTimeout(timer);
    if (running) {
      again = true;
      return;
    }
    running = true;
    await load();
    running = false;
    const streaming = source && source.readyState === EventSource.OPEN && performance.now() - heard < 3 * POLL_MS;
    const pause = again ? AT_MOST_EVERY_MS : streaming ? 15 * POLL_MS : POLL_MS;
    again = false;
    clearTimeout(timer);
    timer = setTimeout(turn, pause);
  }

  function listen() {
    if (document.hidden) return;
    if (source) source.close();
    source = new EventSource("/api/v1/stream");
    source.addEventListener("change", () => {
      heard = performance.now();
      turn();
    });
    source.addEventListener("open", () => { heard = performance.now(); });
    // where it is refused or cut off, the timer goes on asking; the browser tries the stream again by itself
    source.addEventListener("error", () => { heard = 0; });
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden && source) source.close();
    else {
      listen();
      turn();
    }
  });
  addEventListener("pagehide", () => source && source.close());
  listen();
  turn();
  return turn;
}

// The answer of an address, or a thrown Error with the sentence that says why there is none.
export async function ask(address) {
  let answer;
  try {
    answer = await fetch(address, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    const why = error.name === "TimeoutError" ? "it took too long" : "is it still running?";
    throw new Error(`The dashboard does not answer (${why}).`);
  }
  if (answer.status === 401) {
    location.assign("/login");
    throw new Error("The dashboard asks for its token.");
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(String(body.error || "The record cannot be read."));
  return body;
}
