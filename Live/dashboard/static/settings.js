// What the newest run was started with.

import * as format from "./format.js";
import { $, keep } from "./head.js";
import { ask } from "./live.js";
import { TABLES, setText, showTable } from "./tables.js";

const TABLE_OF = { settings: "settings", "strategy-facts": "strategy", params: "params", versions: "versions" };
let shown = null;

keep(async () => {
  const status = await ask("/api/status");
  const run = status.run ? status.run.run_id : 0;
  if (run === shown) return status;
  const answer = await ask("/api/v1/settings");
  for (const [id, name] of Object.entries(TABLE_OF)) {
    const rows = Object.entries(answer[name] || {}).map(([key, value]) => ({ name: key, value: written(value) }));
    showTable($(id), TABLES.pairs, rows);
  }
  setText($("settings-hint"), answer.run_id ? `of run ${format.whole(answer.run_id)}, the newest` : "No trader has run on this record yet.");
  shown = run;
  return status;
});

function written(value) {
  if (value === null || value === "") return "–";
  return typeof value === "object" && !Array.isArray(value) ? JSON.stringify(value) : format.words(value);
}
