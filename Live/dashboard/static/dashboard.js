// Asks for everything every 2 seconds and shows it. Old numbers must never pass for fresh ones.

import { Curve } from "./chart.js";
import * as format from "./format.js";
import { TABLES, setText, showTable } from "./tables.js";

const REFRESH_MS = 2000;
const PATIENCE_MS = 10000;

const MEANING = {
  DRY: "Dry run: no order reaches a broker",
  DEMO: "Demo account: orders go to the broker, play money",
  REAL: "Real account: real money",
};
const TRADER = { none: "Never started", running: "Running", silent: "Silent", stopped: "Stopped" };

const $ = (id) => document.getElementById(id);
const curve = new Curve($("curve"), $("curve-hint"));
let shown = null; // the last answer
let receivedAt = 0;
let problem = $("notice").textContent;
let timer = 0;

async function refresh() {
  clearTimeout(timer);
  try {
    await ask();
  } catch (error) {
    const why = error.name === "TimeoutError" ? "it took too long" : "is it still running?";
    problem = `The dashboard does not answer (${why}).`;
  }
  showFreshness();
  clearTimeout(timer); // a second refresh may have run meanwhile
  timer = setTimeout(refresh, REFRESH_MS);
}

async function ask() {
  const answer = await fetch(`/api/overview?hold=${$("hold").checked}`, { signal: AbortSignal.timeout(PATIENCE_MS) });
  const body = await answer.json();
  if (!answer.ok) {
    problem = String(body.error || "The record cannot be read.");
    return;
  }
  problem = "";
  shown = body;
  receivedAt = performance.now();
  show(body);
}

function show(all) {
  showBanner(all.status);
  showLamps(all.status);
  showFigures(all.summary, all.status);
  curve.show(all.equity.points);
  showTable($("positions"), TABLES.positions, all.positions.positions);
  showTable($("trades"), TABLES.trades, all.recent_trades.trades);
  showTable($("orders"), TABLES.orders, all.recent_orders.orders);
  showTable($("signals"), TABLES.signals, all.recent_signals.signals);
}

function showBanner(status) {
  const mode = Object.hasOwn(MEANING, status.mode || "") ? status.mode : "";
  $("banner").dataset.mode = mode;
  setText($("mode"), mode || "NO RUN YET");
  setText($("mode-meaning"), MEANING[mode] || "");
  const run = status.run || {};
  setText($("strategy"), run.strategy_id ? `${run.strategy_id} · ${format.words(run.symbols)} ${format.words(run.timeframe)}` : "");
  setText($("market"), run.server ? `account ${run.account} at ${run.server} (${run.terminal})` : "");
  document.title = mode ? `${mode} · AlgoAgent Live` : "AlgoAgent Live";
}

function lamp(id, state, why, colour) {
  const holder = $(id);
  setText(holder.querySelector(".state"), state);
  setText(holder.querySelector(".why"), why);
  if (holder.dataset.colour !== colour) holder.dataset.colour = colour;
}

function showLamps({ trader, kill_switch: kill, trading_enabled: enabled, reason, unsettled_orders: unsettled }) {
  const colours = { none: "grey", running: "green", silent: "red", stopped: "grey" };
  const pid = trader.state === "running" && trader.pid ? `process ${trader.pid}` : "";
  lamp("lamp-trader", TRADER[trader.state] || "–", pid, colours[trader.state] || "grey");
  const open = unsettled ? `${unsettled} ${unsettled === 1 ? "order has" : "orders have"} an unknown outcome. ` : "";
  const trading = trader.state === "running" ? reason : "nobody is trading";
  const colour = enabled ? "green" : trader.state === "running" ? "amber" : "grey";
  lamp("lamp-trading", enabled ? "Enabled" : "Not enabled", open + trading, unsettled ? "red" : colour);
  if (kill.active) lamp("lamp-kill", "ON", `${kill.file} exists`, "red");
  else if (kill.enabled) lamp("lamp-kill", "Off", `create the file ${kill.file.split(/[\\/]/).pop()} to stop`, "green");
  else lamp("lamp-kill", "Disabled", "ENABLE_KILL_SWITCH=false", "amber");
}

function showFigures(sum, status) {
  setText($("equity-title"), sum.currency ? `Equity, ${sum.currency}` : "Equity");
  figure("equity", format.money(sum.equity));
  note("equity-note", [format.signed(sum.profit), sum.profit], `since ${format.money(sum.initial_balance)}`);
  const today = status.trader.state === "running" ? "Today, " : "On ";
  setText($("day-title"), sum.day ? today + sum.day : "Today");
  figure("day", format.signed(sum.daily_pnl), format.tone(sum.daily_pnl));
  note("day-note", `${trades(sum.daily_trades)},`, `equity ${format.signed(sum.daily_change)}`);
  figure("open", format.whole(sum.open_positions));
  note("open-note", "floating", [format.signed(sum.floating_profit), sum.floating_profit]);
  figure("success", format.percent(sum.success_rate));
  note("success-note", `${format.whole(sum.executed)} of ${format.whole(sum.total_orders)} filled,`, `${format.whole(sum.failed)} refused,`, `${format.whole(sum.denied)} denied`);
  figure("winning", format.percent(sum.win_rate));
  note("winning-note", `${format.whole(sum.winning_trades)} won,`, `${format.whole(sum.losing_trades)} lost`);
  figure("run", `${format.whole(sum.bars)} bars`);
  note("run-note", `${format.whole(sum.signals)} signals,`, `${format.whole(sum.positions_opened)} opened,`, `${format.whole(sum.positions_closed)} closed`);
  setText($("trades-hint"), sum.day ? `${sum.day}: ${trades(sum.daily_trades)}, ${format.signed(sum.daily_pnl)}` : "");
  showProgress(status.progress || {});
}

function showProgress({ bars, total }) {
  const known = typeof total === "number" && total > 0 && typeof bars === "number";
  $("progress").hidden = !known;
  if (known) $("progress").value = bars / total;
}

function trades(count) {
  return count === 1 ? "1 trade" : `${format.whole(count)} trades`;
}

function figure(id, value, tone = "") {
  setText($(id), value);
  $(id).className = `figure ${tone}`;
}

// Each part stays on one line; a pair is a text and the number whose sign colours it.
function note(id, ...parts) {
  const spans = parts.map((part) => {
    const span = document.createElement("span");
    const [value, number] = Array.isArray(part) ? part : [part, null];
    span.textContent = value;
    span.className = format.tone(number);
    return span;
  });
  const holder = $(id);
  if ([...holder.children].map((child) => child.textContent).join() === spans.map((span) => span.textContent).join()) return;
  holder.replaceChildren(...spans.flatMap((span) => [span, " "]));
}

// Runs every second, also while no answer comes: the age on the screen goes on growing.
function showFreshness() {
  const trader = shown ? shown.status.trader : null;
  const waited = (performance.now() - receivedAt) / 1000;
  const age = trader && trader.age_seconds !== null ? trader.age_seconds + waited : null;
  const running = trader && trader.state === "running" && !problem && age < trader.silent_after_seconds;
  const stopped = trader && trader.state === "stopped" && !problem;
  if (trader) {
    const market = format.time(shown.status.market_time);
    lamp("lamp-data", age === null ? "–" : `${format.age(age)} old`, `market time\n${market}`, running ? "green" : stopped ? "grey" : "red");
  }
  document.body.dataset.fresh = running ? "yes" : "no";
  const why = problem || (running || !trader ? "" : trader.state === "running" ? "The trader has given no sign of life for too long." : trader.sentence);
  const old = why && shown && shown.status.run ? " What you see is the last that was recorded." : "";
  const notice = $("notice");
  if (notice.hidden !== !why) notice.hidden = !why;
  setText(notice, why + old);
  notice.dataset.colour = stopped || (trader && trader.state === "none" && !problem) ? "grey" : "red";
}

$("hold").addEventListener("change", refresh);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(showFreshness, 1000);
refresh();
