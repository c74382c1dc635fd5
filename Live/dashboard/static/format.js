// How values are written. Every text on the page passes through here and ends as textContent, never as HTML.

const MONEY = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const MOST_DECIMALS = 6;

export const NONE = "–";
const MINUS = "\u2212"; // as wide as a plus sign, so that columns align

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function money(value) {
  return isNumber(value) ? MONEY.format(value).replace("-", MINUS) : NONE;
}

export function signed(value) {
  if (!isNumber(value)) return NONE;
  const text = MONEY.format(Math.abs(value));
  if (/^[0.,]*$/.test(text)) return text;
  return (value < 0 ? MINUS : "+") + text;
}

export function whole(value) {
  return isNumber(value) ? WHOLE.format(value) : NONE;
}

// Of statistics: two decimals where they are large, four where they are small.
export function figure(value) {
  if (!isNumber(value)) return NONE;
  if (Number.isInteger(value)) return WHOLE.format(value).replace("-", MINUS);
  return (Math.abs(value) >= 100 ? MONEY.format(value) : value.toFixed(4)).replace("-", MINUS);
}

export function percent(value) {
  return isNumber(value) ? `${value.toFixed(1)} %` : NONE;
}

export function fixed(value, decimals) {
  return isNumber(value) ? value.toFixed(decimals) : NONE;
}

// How many decimals it takes to write all these numbers in full.
export function decimals(values, least = 0) {
  const needed = values.filter(isNumber).map((value) => {
    const text = value.toFixed(MOST_DECIMALS).replace(/0+$/, "");
    return text.length - text.indexOf(".") - 1;
  });
  return Math.max(least, ...needed);
}

export function time(text) {
  const found = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?/.exec(typeof text === "string" ? text : "");
  if (!found) return text ? String(text) : NONE;
  const seconds = found[3] && found[3] !== ":00" ? found[3] : "";
  return `${found[1]} ${found[2]}${seconds}`;
}

export function age(seconds) {
  if (!isNumber(seconds)) return NONE;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

// Up to three decimals, none where they are nothing.
export function short(value) {
  return isNumber(value) ? String(Number(value.toFixed(3))).replace("-", MINUS) : NONE;
}

export function countdown(seconds) {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
  const tail = `${String(minutes).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
  return hours >= 48 ? `${Math.floor(hours / 24)} days` : hours ? `${hours}:${tail}` : tail;
}

export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  const minutes = Math.round(seconds / 60);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${String(rest).padStart(2, "0")} m`;
  return minutes ? `${minutes} m` : `${Math.round(seconds)} s`;
}

export function words(value) {
  if (value === null || value === undefined || value === "") return NONE;
  return Array.isArray(value) ? value.join(", ") : String(value);
}

export function tone(value) {
  if (!isNumber(value) || Math.abs(value) < 0.005) return "";
  return value > 0 ? "up" : "down";
}
