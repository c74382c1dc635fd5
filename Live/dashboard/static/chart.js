// The equity curve, as an SVG made of our own elements.

import * as format from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 240;
const EDGE = { top: 12, right: 12, bottom: 26, left: 12 };
const LABEL_WIDTH = 7.2; // of one digit at the size of the labels

export class Curve {
  constructor(holder, hint) {
    this.holder = holder;
    this.hint = hint;
    this.points = [];
    this.drawn = "";
    new ResizeObserver(() => this.draw()).observe(holder);
    holder.addEventListener("pointermove", (event) => this.point(event));
    holder.addEventListener("pointerleave", () => this.leave());
  }

  show(points) {
    this.points = points
      .map((point) => ({ ...point, at: Date.parse(point.timestamp) }))
      .filter((point) => Number.isFinite(point.at) && drawable(point.equity));
    this.draw();
  }

  draw() {
    const width = this.holder.clientWidth;
    const last = this.points[this.points.length - 1];
    const fingerprint = `${width}/${this.points.length}/${last ? last.timestamp + last.equity : ""}`;
    if (!width || fingerprint === this.drawn) return;
    this.drawn = fingerprint;
    if (this.points.length < 2) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = "The curve begins with the second account snapshot.";
      this.holder.replaceChildren(empty);
      return;
    }
    this.holder.replaceChildren(this.picture(width));
  }

  picture(width) {
    const levels = ticks(...extent(this.points.flatMap((point) => [point.equity, point.balance])));
    const decimals = format.decimals(levels);
    const labels = levels.map((level) => level.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
    const left = EDGE.left + LABEL_WIDTH * Math.max(...labels.map((label) => label.length));
    this.scale = scales(this.points, levels, { left, right: width - EDGE.right });
    const { x, y } = this.scale;
    const svg = element("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT });
    levels.forEach((level, index) => {
      svg.append(element("line", { class: "grid", x1: left, x2: width - EDGE.right, y1: y(level), y2: y(level) }));
      svg.append(element("text", { class: "label end", x: left - 8, y: y(level) + 4 }, labels[index]));
    });
    days(this.points, width).forEach(({ at, label, anchor }) => {
      svg.append(element("text", { class: `label ${anchor}`, x: x(at), y: HEIGHT - 6 }, label));
    });
    const line = this.points.map((point) => `${x(point.at).toFixed(1)},${y(point.equity).toFixed(1)}`);
    const floor = HEIGHT - EDGE.bottom;
    const [first, last] = [this.points[0], this.points[this.points.length - 1]];
    svg.append(element("path", { class: "area", d: `M${x(first.at)},${floor}L${line.join("L")}L${x(last.at)},${floor}Z` }));
    const balance = this.points.filter((point) => drawable(point.balance));
    svg.append(element("polyline", { class: "balance", points: balance.map((point) => `${x(point.at).toFixed(1)},${y(point.balance).toFixed(1)}`).join(" ") }));
    svg.append(element("polyline", { class: "equity", points: line.join(" ") }));
    this.ruler = element("line", { class: "ruler", y1: EDGE.top, y2: floor, visibility: "hidden" });
    this.dot = element("circle", { class: "dot", r: 4, visibility: "hidden" });
    svg.append(this.ruler, this.dot);
    this.leave();
    return svg;
  }

  point(event) {
    if (this.points.length < 2 || !this.ruler) return;
    const at = this.scale.back(event.clientX - this.holder.getBoundingClientRect().left);
    const nearest = this.points.reduce((best, point) => (Math.abs(point.at - at) < Math.abs(best.at - at) ? point : best));
    const [x, y] = [this.scale.x(nearest.at), this.scale.y(nearest.equity)];
    set(this.ruler, { x1: x, x2: x, visibility: "visible" });
    set(this.dot, { cx: x, cy: y, visibility: "visible" });
    this.hint.textContent = `${format.time(nearest.timestamp)} · equity ${format.money(nearest.equity)} · balance ${format.money(nearest.balance)}`;
  }

  leave() {
    if (this.ruler) [this.ruler, this.dot].forEach((part) => part.setAttribute("visibility", "hidden"));
    const [first, last] = [this.points[0], this.points[this.points.length - 1]];
    this.hint.textContent = last ? `${format.time(first.timestamp)} to ${format.time(last.timestamp)} · dashed: balance` : "";
  }
}

function scales(points, levels, { left, right }) {
  const [start, end] = [points[0].at, points[points.length - 1].at];
  const [low, high] = [levels[0], levels[levels.length - 1]];
  const across = (right - left) / (end - start || 1);
  const floor = HEIGHT - EDGE.bottom;
  return {
    x: (at) => left + (at - start) * across,
    y: (value) => floor - ((value - low) / (high - low)) * (floor - EDGE.top),
    back: (pixel) => start + (pixel - left) / across,
  };
}

function drawable(value) {
  return typeof value === "number" && Math.abs(value) < 1e12;
}

function extent(values) {
  const known = values.filter(drawable);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return high - low > 0.01 ? [low, high] : [low - 1, high + 1];
}

// Round levels that enclose the values: steps of 1, 2 or 5 times a power of ten.
function ticks(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.floor(low / step);
  const count = Math.min(12, Math.ceil(high / step) - first);
  return Array.from({ length: count + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function days(points, width) {
  const [start, end] = [points[0].at, points[points.length - 1].at];
  const count = Math.max(2, Math.min(7, Math.floor(width / 150)));
  const short = end - start < 3 * 86400e3;
  return Array.from({ length: count }, (_, index) => {
    const at = start + ((end - start) * index) / (count - 1);
    const text = new Date(at).toISOString();
    const anchor = index === 0 ? "start" : index === count - 1 ? "end" : "middle";
    return { at, anchor, label: short ? `${text.slice(5, 10)} ${text.slice(11, 16)}` : text.slice(0, 10) };
  });
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  set(made, attributes);
  if (text !== undefined) made.textContent = text;
  return made;
}

function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
}
