// Tables that change in place: a row that stays keeps its element, so scrolling, selection and focus survive a refresh.

import * as format from "./format.js";

const STATUS = new Map([
  ["FILLED", "good"], ["LATE_FILLED", "warn"], ["PARTIALLY_FILLED", "warn"], ["PLACED", "warn"], ["PENDING", "warn"],
  ["SUBMITTED", "warn"], ["FAILED", "bad"], ["UNKNOWN", "bad"], ["UNRESOLVED", "bad"],
]);
const SIDE = new Map([["BUY", "buy"], ["SELL", "sell"]]);

const SEVERITY = new Map([["WARNING", "warn"], ["ERROR", "bad"], ["CRITICAL", "bad"], ["INFO", ""]]);
const MOST_ABREAST = 4; // columns, on a phone
const MODE = new Map([["DRY", "dry"], ["DEMO", "demo"], ["REAL", "real"]]);

const text = (title, name, pick = {}) => ({ title, of: (row) => format.words(row[name]), ...pick });
const time = (title, name) => ({ title, of: (row) => format.time(row[name]), css: () => "time" });
const number = (title, of, css = () => "") => ({ title, of, css: (row) => `number ${css(row)}` });
const lots = (title, name) => number(title, (row, page) => format.fixed(row[name], page.lots));
const price = (title, name) => number(title, (row, page) => format.fixed(row[name], page.prices.get(row.symbol)));
// a position without a stop loss is the one thing in that column that must not be overlooked
const stop = (title, name) => number(title, (row, page) => (row[name] === null ? "NO STOP" : format.fixed(row[name], page.prices.get(row.symbol))), (row) => (row[name] === null ? "alarm" : ""));
const pnl = (title, name) => number(title, (row) => format.signed(row[name]), (row) => format.tone(row[name]));
const name = (title, of) => text(title, of, { css: () => "name" });
const small = (title, name) => number(title, (row) => (row[name] === null ? format.NONE : String(row[name]).replace("-", "\u2212")));
const side = (name = "side") => text("Side", name, { css: (row) => SIDE.get(row[name]) || "" });
const status = (title, name) => text(title, name, { css: (row) => `badge ${STATUS.get(row[name]) || ""}` });
const long = (title, name) => text(title, name, { css: () => "long" });
const whole = (title, name) => number(title, (row) => format.whole(row[name]));
const became = ({ channel, outcome, detail }) => `${channel}: ${String(outcome).toLowerCase().replace("_", " ")}${detail ? ` (${detail})` : ""}`;
const order = (title, name) => text(title, name, { css: () => "number", link: (row) => (row[name] ? `/orders/${encodeURIComponent(row[name])}` : "") });

// `keys`: columns that tell rows apart. `lots` and `prices`: columns whose decimals must line up.
// What matters most comes first; on a phone each row of a table with many columns is folded, so that nothing lies beside the screen.
export const TABLES = {
  positions: {
    keys: ["ticket"], lots: ["volume"], prices: ["entry_price", "price_current", "sl", "tp"],
    empty: "No open position.",
    columns: [name("Symbol", "symbol"), side(), lots("Lots", "volume"), pnl("P/L", "profit"), price("Entry", "entry_price"),
      price("Now", "price_current"), stop("SL", "sl"), number("At SL", (row) => format.signed(row.profit_at_stop), (row) => format.tone(row.profit_at_stop)),
      price("TP", "tp"), pnl("Swap", "swap"), time("Since", "entry_time"), text("Ticket", "ticket", { css: () => "number" })],
  },
  trades: {
    keys: ["id"], lots: ["volume"], prices: ["entry_price", "exit_price"],
    empty: "No closed trade yet.",
    columns: [time("Closed", "exit_time"), name("Symbol", "symbol"), side(), pnl("Net P/L", "net_profit"), lots("Lots", "volume"),
      price("Entry", "entry_price"), price("Exit", "exit_price"), number("Held", (row) => format.duration(row.duration_seconds)),
      name("Closed by", "exit_reason")],
  },
  orders: {
    keys: ["id"], lots: ["volume"], prices: ["price", "executed_price", "sl", "tp"],
    empty: "No order yet.",
    columns: [time("Time", "timestamp"), name("Symbol", "symbol"), side(), status("Status", "status"), text("Kind", "kind"),
      lots("Lots", "volume"), price("Asked", "price"), price("Filled", "executed_price"), price("SL", "sl"), price("TP", "tp"),
      long("Message", "message"), order("Story", "id")],
  },
  signals: {
    keys: ["id"], lots: [], prices: ["price", "stop_loss", "take_profit"],
    empty: "No signal yet.",
    columns: [time("Bar", "bar_time"), name("Symbol", "symbol"), text("Signal", "signal", { css: (row) => SIDE.get(row.signal) || "" }),
      status("Order", "order_status"), price("Price", "price"), price("SL", "stop_loss"), price("TP", "take_profit"),
      { title: "Reason", of: (row) => (row.order_status === "FILLED" ? "" : format.words(row.reason)), css: () => "long" }, order("Story", "order_id")],
  },
  events: {
    keys: ["id"], lots: [], prices: [],
    empty: "Nothing has happened yet.",
    columns: [time("Time", "timestamp"), text("Severity", "severity", { css: (row) => `badge ${SEVERITY.get(row.severity) || ""}` }),
      name("Type", "event_type"), long("Message", "message"), whole("Run", "run_id")],
  },
  channels: {
    keys: ["channel"], lots: [], prices: [],
    empty: "No channel has delivered anything (docs/alerts.md).",
    columns: [name("Channel", "channel"), whole("Delivered", "delivered"), whole("Waiting", "waiting"), whole("Lost", "lost"),
      whole("Failures in a row", "failures"), long("Problem", "problem")],
  },
  alerts: {
    keys: ["id"], lots: [], prices: [],
    empty: "No alert yet.",
    columns: [time("Time", "queued_at"), text("Level", "level", { css: (row) => `badge ${SEVERITY.get(row.level) || ""}` }), text("Type", "type"),
      long("Message", "message"), { title: "Became", of: (row) => (row.deliveries || []).map(became).join(" · ") || "not wanted", css: () => "long" }],
  },
  runs: {
    keys: ["run_id"], lots: [], prices: [],
    empty: "No run yet.",
    columns: [whole("Run", "run_id"), text("Mode", "mode", { css: (row) => `badge mode-${MODE.get(row.mode) || ""}` }), name("Strategy", "strategy_id"),
      name("Server", "server"), time("Started", "started_at"), time("Ended", "ended_at"), whole("Exit code", "exit_code"), whole("Bars", "bars"), whole("Signals", "signals"),
      whole("Sent", "orders_sent"), whole("Filled", "orders_filled"), whole("Refused", "orders_refused"), whole("Denied", "orders_denied"),
      whole("Trades", "trades"), pnl("Net P/L", "profit"), long("Why it ended", "end_reason")],
  },
  slippage: {
    keys: ["symbol"], lots: [], prices: [],
    empty: "No market order has been filled yet.",
    columns: [name("Symbol", "symbol"), whole("Orders", "orders"), small("Mean", "mean"), small("Median", "median"), small("Worst", "worst")],
  },
  latency: {
    keys: ["sends"], lots: [], prices: [],
    empty: "Nothing has been sent yet.",
    columns: [whole("Sends", "sends"), small("Median", "median"), small("95 %", "p95"), small("Worst", "worst")],
  },
  refusals: {
    keys: ["retcode"], lots: [], prices: [],
    empty: "The broker has refused nothing.",
    columns: [text("Retcode", "retcode"), name("Name", "name"), whole("Orders", "orders")],
  },
  outcomes: {
    keys: ["status"], lots: [], prices: [],
    empty: "No order yet.",
    columns: [status("Status", "status"), whole("Orders", "orders")],
  },
  pairs: {
    keys: ["name"], lots: [], prices: [],
    empty: "Nothing.",
    columns: [text("Name", "name", { css: () => "name key" }), text("Value", "value", { css: () => "value number" })],
  },
};

export function showTable(table, kind, rows) {
  if (!table.tHead) build(table, kind);
  const page = measure(kind, rows);
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  if (!rows.length) {
    body.replaceChildren(emptyRow(kind));
    return;
  }
  rows.forEach((values, index) => {
    const key = kind.keys.map((name) => values[name]).join("/");
    const row = known.get(key) || newRow(kind, key);
    known.delete(key);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
    fill(row, kind, values, page);
  });
  known.forEach((row) => row.remove());
}

function measure(kind, rows) {
  const prices = new Map();
  for (const row of rows) {
    const needed = format.decimals(kind.prices.map((name) => row[name]), 2);
    prices.set(row.symbol, Math.max(needed, prices.get(row.symbol) || 0));
  }
  return { prices, lots: format.decimals(rows.flatMap((row) => kind.lots.map((name) => row[name])), 2) };
}

function build(table, kind) {
  table.classList.toggle("folds", kind.columns.length > MOST_ABREAST);
  const head = table.createTHead().insertRow();
  for (const column of kind.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = column.title;
    if (column.css && column.css({}).split(" ").includes("number")) cell.className = "number";
    head.append(cell);
  }
  table.createTBody();
}

function newRow(kind, key) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  for (const column of kind.columns) {
    const cell = row.insertCell();
    cell.dataset.title = column.title;
    cell.append(document.createElement(column.link ? "a" : "span"));
  }
  return row;
}

function emptyRow(kind) {
  const row = document.createElement("tr");
  row.dataset.key = "empty";
  const cell = row.insertCell();
  cell.colSpan = kind.columns.length;
  cell.className = "empty";
  cell.textContent = kind.empty;
  return row;
}

function fill(row, kind, values, page) {
  kind.columns.forEach((column, index) => {
    const cell = row.cells[index];
    const shown = column.of(values, page);
    setText(cell.firstChild, shown);
    cell.toggleAttribute("data-none", shown === "" || shown === format.NONE);
    if (column.link) setLink(cell.firstChild, column.link(values));
    const css = column.css ? column.css(values).trim() : "";
    if (cell.className !== css) cell.className = css;
  });
}

// only addresses of our own making; without one it is a text like any other
function setLink(element, address) {
  if (!address) element.removeAttribute("href");
  else if (element.getAttribute("href") !== address) element.setAttribute("href", address);
}

export function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}
