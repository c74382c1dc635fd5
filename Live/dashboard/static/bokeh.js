// Draws a picture of Bokeh's once and then only puts new numbers into it, so that what the reader has zoomed to stays.

import { ask } from "./live.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const compact = matchMedia("(max-width: 720px)");

const EMPTY_LABELS = 200; // places on either side of the bars
const HALF_A_DATE = 36; // pixels, by which the last one at the axis stands out of the picture
const [LETTER, BESIDE_NAMES, NAME_END] = [7.5, 110, 6]; // pixels, pixels, letters

// What is unknown is null in JSON; as a number null is 0, and would be drawn.
function drawable(columns) {
  return Object.fromEntries(Object.entries(columns).map(([name, values]) => [name, values.map((value) => (value === null ? NaN : value))]));
}

// The picture comes without numbers: puts them into its sources, wherever these are in it.
function fill(part, sources) {
  if (part === null || typeof part !== "object") return part;
  const found = part.name === "ColumnDataSource" && part.attributes && sources[part.attributes.name];
  if (found) part.attributes.data = { type: "map", entries: Object.entries(drawable(found)) };
  else Object.values(part).forEach((inner) => fill(inner, sources));
  return part;
}

// Names of indicators that are wider than a phone lose their middle: what tells the lines of one apart is at the end.
function shortened(part, most) {
  if (part === null || typeof part !== "object") return part;
  const label = part.name === "LegendItem" && part.attributes.label;
  if (!label) Object.values(part).forEach((inner) => shortened(inner, most));
  else if (label.value.length > most) label.value = `${label.value.slice(0, most - NAME_END - 1)}…${label.value.slice(-NAME_END)}`;
  return part;
}

export class Picture {
  constructor(holder, address) {
    this.holder = holder;
    this.address = address;
    this.shown = null; // what it was asked for last
    this.view = null;
    this.busy = false;
    dark.addEventListener("change", () => this.redraw());
  }

  // `version` changes with the numbers, "" is nothing to draw; `query` with what is drawn at all.
  async show(version, query = "", drawing = "") {
    const wanted = `${version}|${query}|${drawing}`;
    if (!version || this.busy || wanted === this.shown) return null;
    this.busy = true;
    try {
      const same = this.view && this.query === query && this.drawing === drawing;
      const answer = await ask(`${this.address}?theme=${dark.matches ? "dark" : "light"}${query}${same ? "&only_sources=true" : ""}`);
      if (same) this.renew(answer.sources);
      else await this.draw(fill(answer.item, answer.sources));
      if (answer.sources.bars) this.write(answer);
      [this.shown, this.query, this.drawing] = [wanted, query, drawing];
      return answer;
    } finally {
      this.busy = false;
    }
  }

  async draw(item) {
    if (this.view) this.view.clear();
    this.holder.replaceChildren();
    if (compact.matches) shortened(item, Math.floor((this.holder.clientWidth - BESIDE_NAMES) / LETTER));
    this.view = await window.Bokeh.embed.embed_item(item, this.holder);
    if (!compact.matches) return;
    this.view.roots[0].model.children.forEach((figure) => { figure.min_border_right = HALF_A_DATE; });
    this.model("toolbar", (tool) => { tool.active_drag = null; });
    this.model("below", (axes) => axes.forEach((axis) => { axis.ticker.desired_num_ticks = 3; }));
  }

  renew(sources) {
    const document = this.view.roots[0].model.document;
    for (const [name, columns] of Object.entries(sources)) {
      const source = document.get_model_by_name(name);
      if (source) source.data = drawable(columns);
    }
  }

  // What stands at the axes: the times of the bars, nothing beside them, and as many decimals as the prices have.
  write({ sources, decimals }) {
    const labels = new Map(sources.bars.x.map((x, place) => [x, sources.bars.time[place]]));
    for (let n = 1; n <= EMPTY_LABELS; n += 1) labels.set(-n, "").set(sources.bars.x.length - 1 + n, "");
    const [main, ...panels] = this.view.roots[0].model.children;
    main.left.forEach((axis) => { axis.formatter.precision = decimals; });
    [main, ...panels].forEach((figure) => figure.below.forEach((axis) => { axis.major_label_overrides = labels; }));
  }

  model(name, change) {
    this.view.roots[0].model.children.forEach((figure) => change(figure[name]));
  }

  redraw() {
    const [version, query] = [this.shown, this.query];
    if (!version) return;
    this.shown = null;
    this.drawing = `${this.drawing}'`;
    this.show(version, query, this.drawing);
  }
}
