// The overview: everything that matters now. Old numbers must never pass for fresh ones.

import { Picture } from "./bokeh.js";
import * as format from "./format.js";
import { $, everySecond, keep } from "./head.js";
import { ask } from "./live.js";
import { TABLES, setText, showTable } from "./tables.js";

const TRADER = { none: "Never started", running: "Running", silent: "Silent", stopped: "Stopped" };
const LIMITS = {
  MAX_DAILY_TRADES: "Trades today", MAX_DAILY_LOSS_PCT: "Lost today, %", MAX_POSITIONS: "Open positions",
  MAX_POSITION_SIZE: "Lots on", MAX_SPREAD_POINTS: "Spread, points", MAX_ORDERS_PER_MINUTE: "Orders in a minute",
  MAX_FAILURES_IN_A_ROW: "Failures in a row", MAX_QUOTE_AGE_SECONDS: "Age of the quote, s",
};

const curve = new Picture($("equity-figure"), "/figures/equity.json");

const refresh = keep(async () => {
  const all = await ask(`/api/overview?hold=${$("hold").checked}`);
  show(all);
  return all.status;
});

function show(all) {
  showLamps(all.status);
  showFigures(all.summary, all.status);
  showLimits(all.limits);
  curve.show(all.equity.points.length > 1 ? all.equity.points.length + all.equity.points[all.equity.points.length - 1].timestamp : "");
  showSpan(all.equity.points);
  showTable($("positions"), TABLES.positions, all.positions.positions);
  showTable($("trades"), TABLES.trades, all.recent_trades.trades);
  showTable($("orders"), TABLES.orders, all.recent_orders.orders);
  showTable($("signals"), TABLES.signals, all.recent_signals.signals);
}

function showSpan(points) {
  const [first, last] = [points[0], points[points.length - 1]];
  setText($("curve-hint"), last ? `${format.time(first.timestamp)} to ${format.time(last.timestamp)} · dashed: balance` : "");
}

function showLimits({ limits, worst }) {
  const list = $("limits");
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  limits.forEach((limit, place) => {
    const key = `${limit.rule}/${limit.symbol || ""}`;
    const item = known.get(key) || gauge(key);
    known.delete(key);
    if (list.children[place] !== item) list.insertBefore(item, list.children[place] || null);
    const [name, numbers, bar] = item.children;
    setText(name, (LIMITS[limit.rule] || String(limit.rule)) + (limit.symbol ? ` ${limit.symbol}` : ""));
    setText(numbers, `${format.short(limit.measured)} of ${format.short(limit.limit)}, ${format.short(limit.left)} left`);
    bar.value = limit.used;
    bar.setAttribute("aria-label", name.textContent);
    item.dataset.colour = limit.left <= 0 ? "red" : limit.used >= 75 ? "amber" : "green";
  });
  known.forEach((item) => item.remove());
  showWorst(worst);
}

function gauge(key) {
  const item = document.createElement("li");
  item.dataset.key = key;
  const bar = document.createElement("meter");
  bar.max = 100;
  item.append(document.createElement("span"), document.createElement("span"), bar);
  return item;
}

function showWorst(worst) {
  const holder = $("worst");
  if (!worst || !worst.positions) {
    holder.dataset.colour = "green";
    setText($("worst-figure"), "nothing is open");
    setText($("worst-note"), worst && worst.waiting_orders ? waiting(worst.waiting_orders) : "no position of ours can lose anything");
    return;
  }
  holder.dataset.colour = worst.unprotected ? "red" : worst.unknown ? "amber" : "";
  const known = worst.positions - worst.unprotected - worst.unknown;
  setText($("worst-figure"), worst.unprotected ? "NO LIMIT" : known ? format.signed(worst.change) : "NOT KNOWN");
  const percent = worst.percent === null ? "" : ` (${format.signed(worst.percent)}\u00a0%)`;
  const bare = worst.unprotected ? `${count(worst.unprotected, "position has", "positions have")} no stop loss at the server. ${known ? `The others: ${format.signed(worst.change)}${percent}. ` : ""}` : "";
  const all = worst.unprotected || !known ? "" : `if every stop loss at the server is hit${percent}: equity ${format.money(worst.equity)}. Gaps and slippage come on top. `;
  const unknown = worst.unknown ? `Of ${count(worst.unknown, "position", "positions")} the cost is not known. ` : "";
  setText($("worst-note"), bare + all + unknown + (worst.waiting_orders ? waiting(worst.waiting_orders) : ""));
}

function waiting(orders) {
  return `${count(orders, "order that waits", "orders that wait")} at the server may still be filled.`;
}

function count(number, one, many) {
  return `${format.whole(number)} ${number === 1 ? one : many}`;
}

function lamp(id, state, why, colour) {
  const holder = $(id);
  setText(holder.querySelector(".state"), state);
  setText(holder.querySelector(".why"), why);
  if (holder.dataset.colour !== colour) holder.dataset.colour = colour;
}

function showLamps({ trader, kill_switch: kill, trading_enabled: enabled, reason, unsettled_orders: unsettled, stopped }) {
  const colours = { none: "grey", running: "green", silent: "red", stopped: "grey" };
  const pid = trader.state === "running" && trader.pid ? `process ${trader.pid}` : "";
  lamp("lamp-trader", TRADER[trader.state] || "–", pid, colours[trader.state] || "grey");
  const open = unsettled ? `${unsettled} ${unsettled === 1 ? "order has" : "orders have"} an unknown outcome. ` : "";
  const trading = trader.state === "running" ? reason : "nobody is trading";
  const colour = enabled ? "green" : trader.state === "running" ? "amber" : "grey";
  lamp("lamp-trading", enabled ? "Enabled" : "Not enabled", open + trading, unsettled ? "red" : colour);
  if (kill.active) lamp("lamp-kill", "ON", kill.file ? `${kill.file} exists` : `${(stopped || {}).reason || ""}\npython -m Live resume lifts it`, "red");
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

everySecond(({ status, age, running, stopped, waited }) => {
  const market = format.time(status.market_time);
  lamp("lamp-data", age === null ? "–" : `${format.age(age)} old`, `market time\n${market}`, running ? "green" : stopped ? "grey" : "red");
  showNextBar(status, running, waited);
});

// Counts down by the market's clock, which goes on with ours; in a replay it does not.
function showNextBar(status, running, waited) {
  const bar = status.bars.reduce((best, each) => (best && best.next_close <= each.next_close ? best : each), null);
  if (!bar) {
    lamp("lamp-bar", "–", "no bar has been decided yet", "grey");
    return;
  }
  const last = `last: ${bar.symbol} ${bar.timeframe}\n${format.time(bar.bar_time)}`;
  const replay = status.progress && status.progress.total;
  const left = (Date.parse(bar.next_close) - Date.parse(status.market_time)) / 1000 - waited - (status.trader.age_seconds || 0);
  if (!running || replay || !Number.isFinite(left)) {
    lamp("lamp-bar", replay && running ? "Replay" : "–", last, replay && running ? "green" : "grey");
    return;
  }
  lamp("lamp-bar", left > 0 ? format.countdown(left) : "Due", left > -60 ? last : `${last}\nnone since: is the market closed?`, left > -60 ? "green" : "amber");
}

$("hold").addEventListener("change", refresh);
