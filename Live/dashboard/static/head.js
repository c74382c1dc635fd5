// What every page shows of the trader: the mode, the notice, and whether what is on the screen is fresh.

import * as format from "./format.js";
import { ask, follow } from "./live.js";
import { setText } from "./tables.js";

const MEANING = {
  DRY: "Dry run: no order reaches a broker",
  DEMO: "Demo account: orders go to the broker, play money",
  REAL: "Real account: real money",
};

export const $ = (id) => document.getElementById(id);

const here = document.querySelector("nav [aria-current]"); // on a phone it may lie beside the screen
if (here) here.scrollIntoView({ inline: "center", block: "nearest" });

let status = null; // what was last heard
let receivedAt = 0;
let problem = $("notice").textContent;
const watchers = [];

// Keeps a page up to date. `load` asks for what the page shows and shows it; it returns the status if it has it, too.
export function keep(load) {
  return follow(async () => {
    try {
      const heard = (await load()) || (await ask("/api/status"));
      status = heard;
      receivedAt = performance.now();
      problem = "";
      showBanner();
    } catch (error) {
      problem = error.message;
    }
    showFreshness();
  });
}

// Called every second with the status, its age in seconds, and whether it is fresh.
export function everySecond(watcher) {
  watchers.push(watcher);
}

function showBanner() {
  const mode = Object.hasOwn(MEANING, status.mode || "") ? status.mode : "";
  $("banner").dataset.mode = mode;
  setText($("mode"), mode || "NO RUN YET");
  setText($("mode-meaning"), MEANING[mode] || "");
  const run = status.run || {};
  setText($("strategy"), run.strategy_id ? `${run.strategy_id} · ${format.words(run.symbols)} ${format.words(run.timeframe)}` : "");
  setText($("market"), run.server ? `account ${run.account} at ${run.server} (${run.terminal})` : "");
  const page = document.body.dataset.page;
  document.title = `${mode ? `${mode} · ` : ""}${page === "overview" ? "" : `${page[0].toUpperCase()}${page.slice(1)} · `}AlgoAgent Live`;
}

// Runs every second, also while no answer comes: the age on the screen goes on growing.
function showFreshness() {
  const trader = status ? status.trader : null;
  const waited = (performance.now() - receivedAt) / 1000;
  const age = trader && trader.age_seconds !== null ? trader.age_seconds + waited : null;
  const running = Boolean(trader && trader.state === "running" && !problem && age < trader.silent_after_seconds);
  const stopped = Boolean(trader && trader.state === "stopped" && !problem);
  document.body.dataset.fresh = running ? "yes" : "no";
  const silent = age === null ? "" : `The trader has been silent for ${format.age(age)}. `;
  const why = problem || (running || !trader ? "" : trader.state === "stopped" || trader.state === "none" ? trader.sentence : silent + trader.sentence);
  const old = why && status && status.run ? " What you see is the last that was recorded." : "";
  const notice = $("notice");
  if (notice.hidden !== !why) notice.hidden = !why;
  setText(notice, why + old);
  notice.dataset.colour = stopped || (trader && trader.state === "none" && !problem) ? "grey" : "red";
  if (status) watchers.forEach((watcher) => watcher({ status, age, running, stopped, waited }));
}

setInterval(showFreshness, 1000);
