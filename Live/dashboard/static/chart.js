// The candles that the strategy saw, with its own indicators.

import { Picture } from "./bokeh.js";
import * as format from "./format.js";
import { $, keep } from "./head.js";
import { ask } from "./live.js";
import { setText } from "./tables.js";

const picture = new Picture($("price-figure"), "/figures/price.json");
let charts = "";

const refresh = keep(async () => {
  const status = await ask("/api/status");
  const newest = status.bars.map((bar) => bar.bar_time).join();
  const chosen = $("what").selectedOptions[0];
  const [symbol, timeframe] = chosen ? [chosen.dataset.symbol, chosen.dataset.timeframe] : ["", ""];
  const which = symbol ? `&symbol=${encodeURIComponent(symbol)}&timeframe=${encodeURIComponent(timeframe)}` : "";
  const run = status.run ? status.run.run_id : "";
  const answer = await picture.show(newest && `${newest}/${status.unsettled_orders}`, `${which}&bars=${$("bars").value}`, `run ${run}`);
  if (answer) showCharts(answer);
  setText($("chart-hint"), newest ? `newest bar ${format.time(status.bars[0].bar_time)}` : "");
  return status;
});

function showCharts(answer) {
  const names = answer.charts.map((chart) => `${chart.symbol} ${chart.timeframe}`);
  if (names.join() === charts) return;
  charts = names.join();
  const options = answer.charts.map((chart, place) => {
    const option = document.createElement("option");
    option.textContent = names[place];
    Object.assign(option.dataset, { symbol: chart.symbol, timeframe: chart.timeframe });
    option.selected = chart.symbol === answer.symbol && chart.timeframe === answer.timeframe;
    return option;
  });
  $("what").replaceChildren(...options);
}

$("what").addEventListener("change", refresh);
$("bars").addEventListener("change", refresh);
$("filters").addEventListener("submit", (event) => event.preventDefault());
