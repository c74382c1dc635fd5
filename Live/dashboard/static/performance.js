// backtesting.py's statistics of the live trades, and how orders were carried out.

import * as format from "./format.js";
import { $, keep } from "./head.js";
import { ask } from "./live.js";
import { TABLES, setText, showTable } from "./tables.js";

const EVERY_MS = 15000; // it is reckoned anew from thousands of rows
let asked = -EVERY_MS;

keep(async () => {
  if (performance.now() - asked < EVERY_MS) return null;
  asked = performance.now();
  const answer = await ask("/api/v1/performance");
  showStatistics(answer.charts);
  showTable($("slippage"), TABLES.slippage, answer.slippage);
  showTable($("latency"), TABLES.latency, answer.latency.sends ? [answer.latency] : []);
  showTable($("refusals"), TABLES.refusals, answer.refusals);
  showTable($("outcomes"), TABLES.outcomes, answer.outcomes);
  setText($("measured"), answer.measured_orders ? `Measured on the newest ${format.whole(answer.measured_orders)} orders.` : "");
  return null;
});

function showStatistics(charts) {
  if (!charts.length) return;
  const holder = $("statistics");
  charts.forEach((chart, place) => {
    const panel = holder.querySelector(`[data-place="${place}"]`) || newPanel(holder, place);
    const span = chart.all_bars ? "all bars" : "the newest bars";
    setText(panel.querySelector("h2"), `${chart.symbol} ${chart.timeframe}: ${format.whole(chart.bars)} bars, ${span}`);
    const rows = Object.entries(chart.stats).map(([name, value]) => ({ name, value: readable(value) }));
    showTable(panel.querySelector("table"), TABLES.pairs, rows);
  });
}

function newPanel(holder, place) {
  if (!place) holder.replaceChildren();
  const panel = document.createElement("section");
  panel.className = "panel";
  panel.dataset.place = place;
  const scroll = document.createElement("div");
  scroll.className = "scroll tall";
  scroll.append(document.createElement("table"));
  panel.append(document.createElement("h2"), scroll);
  holder.append(panel);
  return panel;
}

function readable(value) {
  if (typeof value === "number") return format.figure(value);
  return value === null || value === "NaT" ? format.NONE : String(value).replace(" 00:00:00", "");
}
