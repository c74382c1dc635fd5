// One table of the record, page by page: the newest one goes on by itself, older ones stand still.

import * as format from "./format.js";
import { $, keep } from "./head.js";
import { ask } from "./live.js";
import { TABLES, setText, showTable } from "./tables.js";

const page = document.body.dataset.page;
const form = $("filters");
let before = null; // of an older page
let older = null;

fromAddress();

const refresh = keep(async () => {
  const query = chosen();
  if (before !== null) query.set("before", before);
  query.set("limit", "100");
  const answer = await ask(`/api/v1/${page}?${query}`);
  older = answer.older;
  showTable($("rows"), TABLES[page], answer.rows);
  if (!answer.rows.length && older !== null) setText($("rows").tBodies[0].rows[0].cells[0], "None among these rows; there are older ones.");
  else if (!answer.rows.length && filtered()) setText($("rows").tBodies[0].rows[0].cells[0], "Nothing passes these filters.");
  $("older").disabled = older === null;
  $("newer").disabled = before === null;
  setText($("pager-hint"), before === null ? "newest first, goes on by itself" : "an older page stands still");
  if (page === "events") showTold(await ask("/api/v1/alerts"));
  setText($("list-hint"), answer.rows.length ? `${format.whole(answer.rows.length)} shown` : "");
  return null;
});

// What became of alerts, by channel; closed until somebody wants to see them one by one.
function showTold({ alerts, channels }) {
  const said = ({ channel, delivered, waiting, lost }) => `${channel}: ${delivered} delivered, ${waiting} waiting, ${lost} lost`;
  const nobody = alerts.length ? `${format.whole(alerts.length)} waiting, no channel has taken any` : "nobody has been told anything yet";
  setText($("told-hint"), channels.map(said).join(" · ") || nobody);
  $("told").dataset.colour = channels.some((channel) => channel.lost || channel.failures) ? "red" : "";
  showTable($("channels"), TABLES.channels, channels);
  showTable($("alerts"), TABLES.alerts, alerts);
}

function chosen() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (String(value).trim()) query.set(name, String(value).trim());
  }
  return query;
}

function filtered() {
  return [...chosen()].length > 0;
}

// The filters are in the address, so that a page can be bookmarked and shared.
function fromAddress() {
  const given = new URLSearchParams(location.search);
  for (const field of form.elements) {
    if (!field.name) continue;
    if (field.type === "checkbox") field.checked = given.get(field.name) !== "false";
    else if (given.has(field.name)) field.value = given.get(field.name);
  }
  showExport();
}

function toAddress() {
  const query = chosen();
  for (const field of form.elements) if (field.type === "checkbox" && !field.checked) query.set(field.name, "false");
  history.replaceState(null, "", [...query].length ? `?${query}` : location.pathname);
  showExport();
}

function showExport() {
  const query = chosen();
  $("csv").href = `/api/v1/${page}.csv${[...query].length ? `?${query}` : ""}`;
}

function turnTo(place) {
  before = place;
  refresh();
  $("rows").parentElement.scrollTop = 0;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  toAddress();
  turnTo(null);
});
form.addEventListener("change", () => {
  toAddress();
  turnTo(null);
});
$("older").addEventListener("click", () => turnTo(older));
$("newer").addEventListener("click", () => turnTo(null));
