// The last day in three charts that share one cursor.

import { look } from "./map.js";

const SVG = "http://www.w3.org/2000/svg";
const STYLES = ["busy", "idle", "starting", "draining", "stopping", "held", "failed"];

const sum = (counts, keep = () => true) => counts.reduce((all, one) => all + (keep(one) ? one.count : 0), 0);

export class Timeline {
  constructor(root, scrub, then) {
    this.root = root;
    this.scrub = scrub;
    this.then = then;
    this.moments = [];
    this.currency = "";
    scrub.addEventListener("input", () => this.tell());
  }

  show(history) {
    const last = this.moments.length ? Number(this.scrub.value) === this.moments.length - 1 : true;
    this.moments = history.moments;
    this.currency = history.currency;
    this.scrub.max = Math.max(0, this.moments.length - 1);
    this.scrub.disabled = this.moments.length < 2;
    if (last) this.scrub.value = this.scrub.max;
    this.root.replaceChildren(
      this.stack("Nodes", (one) => STYLES.map((style) => sum(one.nodes, (row) => look(row.state)[0] === style))),
      this.line("Jobs that wait", (one) => sum(one.waiting)),
      this.line(`Cost, ${this.currency} an hour`, (one) => one.cost_per_hour),
    );
    this.tell();
  }

  x(at) {
    const first = Date.parse(this.moments[0].at);
    const span = Math.max(1, Date.parse(this.moments.at(-1).at) - first);
    return ((Date.parse(at) - first) / span) * 100;
  }

  chart(title, top, paths) {
    const box = document.createElement("div");
    box.className = "chart";
    const head = document.createElement("h3");
    head.textContent = title;
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 100 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${title}: at most ${round(top)}`);
    const cursor = document.createElementNS(SVG, "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", "0");
    cursor.setAttribute("y2", "100");
    svg.append(...paths, cursor);
    const foot = document.createElement("p");
    foot.textContent = `at most ${round(top)}`;
    box.append(head, svg, foot);
    return box;
  }

  line(title, value) {
    const values = this.moments.map(value);
    const top = Math.max(...values, 0);
    const points = this.moments.map((one, at) => `${this.x(one.at)},${98 - (values[at] / (top || 1)) * 95}`);
    return this.chart(title, top, points.length ? [path("line", `M${points.join(" L")}`)] : []);
  }

  stack(title, parts) {
    const rows = this.moments.map(parts);
    const top = Math.max(...rows.map((row) => row.reduce((a, b) => a + b, 0)), 0);
    const height = (value) => 98 - (value / (top || 1)) * 95;
    const base = this.moments.map(() => 0);
    const paths = [];
    STYLES.forEach((style, index) => {
      if (!rows.some((row) => row[index])) return;
      const lower = this.moments.map((one, at) => `${this.x(one.at)},${height(base[at])}`);
      rows.forEach((row, at) => (base[at] += row[index]));
      const upper = this.moments.map((one, at) => `${this.x(one.at)},${height(base[at])}`);
      paths.push(path(`area fill-${style}`, `M${upper.join(" L")} L${lower.reverse().join(" L")} Z`));
    });
    return this.chart(title, top, paths);
  }

  tell() {
    const one = this.moments[Number(this.scrub.value)];
    if (!one) {
      this.then.textContent = "Nothing is recorded yet: a moment is kept each minute.";
      return;
    }
    for (const cursor of this.root.querySelectorAll(".cursor")) {
      cursor.setAttribute("x1", this.x(one.at));
      cursor.setAttribute("x2", this.x(one.at));
    }
    const sites = {};
    for (const { site, count } of one.nodes) if (site) sites[site] = (sites[site] || 0) + count;
    const where = Object.entries(sites).map(([site, count]) => `${site} ${count}`).join(", ");
    const words = `${new Date(one.at).toLocaleString()}: ${sum(one.nodes)} nodes${where ? ` (${where})` : ""}, ` +
      `${sum(one.waiting)} jobs wait, ${one.running} run, ${one.cost_per_hour.toFixed(2)} ${this.currency}/h`;
    this.then.textContent = words;
    this.scrub.setAttribute("aria-valuetext", words);
  }
}

const round = (value) => (value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(2));

function path(kind, d) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", kind);
  made.setAttribute("d", d);
  return made;
}
