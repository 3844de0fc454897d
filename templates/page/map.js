// The cluster as regions: a site each, what is off, and what belongs to no pool. Only tiles that changed are touched.

export const LOOKS = {
  busy: ["busy", "■", "jobs run on it"],
  idle: ["idle", "○", "up, without a job"],
  wanted: ["starting", "▲", "on its way"],
  launching: ["starting", "▲", "on its way"],
  booting: ["starting", "▲", "on its way"],
  joining: ["starting", "▲", "on its way"],
  draining: ["draining", "▽", "takes no new job"],
  stopping: ["stopping", "×", "its VM is being ended"],
  failed: ["failed", "!", "did not work out"],
  down: ["failed", "!", "Slurm takes it for down"],
  held: ["held", "‖", "held by an admin, or disabled"],
  disabled: ["held", "‖", "held by an admin, or disabled"],
  unknown: ["off", "?", "not known"],
  off: ["off", "", "no VM"],
  "on-premises": ["idle", "⌂", "belongs to no pool"],
};

export const look = (state) => LOOKS[state] || LOOKS.unknown;

const SVG = "http://www.w3.org/2000/svg";

export class Map {
  constructor(root, legend, choose) {
    this.root = root;
    this.choose = choose;
    this.tiles = new globalThis.Map();
    this.regions = new globalThis.Map();
    this.status = null;
    const shown = new Set();
    for (const [style, sign, meaning] of Object.values(LOOKS)) {
      if (shown.has(style + sign)) continue;
      shown.add(style + sign);
      const item = document.createElement("li");
      const mark = document.createElement("span");
      mark.className = `sign ${style}`;
      mark.textContent = sign;
      mark.setAttribute("aria-hidden", "true");
      item.append(mark, meaning);
      legend.append(item);
    }
    this.lines = document.createElementNS(SVG, "svg");
    this.lines.setAttribute("class", "tunnels");
    this.lines.setAttribute("aria-hidden", "true");
    this.hub = document.createElement("div");
    this.hub.className = "hub";
    this.hub.textContent = "front-end";
    root.append(this.lines, this.hub);
    root.addEventListener("keydown", (event) => this.walk(event));
    root.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.choose(tile.dataset.node);
    });
    new ResizeObserver(() => this.draw()).observe(root);
  }

  apply(change) {
    if (change.status.length) this.status = change.status[0];
    for (const name of change.gone) this.remove(name);
    for (const node of change.nodes) this.put(node);
    for (const region of this.regions.values()) this.title(region);
    this.draw();
  }

  put(node) {
    let tile = this.tiles.get(node.name);
    const [style, sign, meaning] = look(node.state);
    const home = this.region(node.site ? `site ${node.site}` : node.state === "on-premises" ? "own" : "off");
    if (!tile) {
      tile = document.createElement("button");
      tile.type = "button";
      tile.tabIndex = -1;
      tile.dataset.node = node.name;
      this.tiles.set(node.name, tile);
    }
    if (tile.parentNode !== home.tiles) {
      const focused = document.activeElement === tile;
      home.tiles.append(tile);
      if (focused) tile.focus();
    }
    tile.className = `tile ${style}`;
    tile.textContent = sign;
    const jobs = node.jobs.length ? `, jobs ${node.jobs.join(" ")}` : "";
    const where = node.site ? ` at ${node.site}` : "";
    const label = `${node.name}: ${node.state}${where}${jobs} (${meaning})`;
    tile.title = label;
    tile.setAttribute("aria-label", label);
  }

  remove(name) {
    this.tiles.get(name)?.remove();
    this.tiles.delete(name);
  }

  region(key) {
    let region = this.regions.get(key);
    if (region) return region;
    const box = document.createElement("section");
    box.className = "region";
    const title = document.createElement("h3");
    title.id = `region-${this.regions.size}`;
    box.setAttribute("aria-labelledby", title.id);
    const words = document.createElement("p");
    const tiles = document.createElement("div");
    tiles.className = "tiles";
    tiles.setAttribute("role", "group");
    tiles.setAttribute("aria-labelledby", title.id);
    box.append(title, words, tiles);
    region = { key, box, title, words, tiles };
    this.regions.set(key, region);
    const order = [...this.regions.keys()].sort((a, b) => this.rank(a) - this.rank(b) || a.localeCompare(b));
    for (const name of order) this.root.append(this.regions.get(name).box);
    return region;
  }

  rank(key) {
    return key.startsWith("site ") ? 0 : key === "own" ? 1 : 2;
  }

  title(region) {
    const count = region.tiles.childElementCount;
    region.box.hidden = count === 0;
    for (const tile of region.tiles.children) tile.tabIndex = -1;
    const entry = region.tiles.contains(document.activeElement) ? document.activeElement : region.tiles.firstElementChild;
    if (entry) entry.tabIndex = 0;
    const site = this.siteOf(region);
    if (site) {
      region.title.textContent = site.name;
      const limit = site.vms_limit == null ? "" : ` of ${site.vms_limit}`;
      const cost = site.cost_per_hour ? `, ${site.cost_per_hour.toFixed(2)} ${this.status.currency}/h` : "";
      region.words.textContent = site.error || `${site.connector}: ${site.vms}${limit} VMs${cost}`;
      region.words.className = site.error ? "bad" : "";
    } else {
      region.title.textContent = region.key === "own" ? "on premises" : region.key === "off" ? "no VM" : region.key.slice(5);
      region.words.textContent = count === 1 ? "1 node" : `${count} nodes`;
    }
  }

  siteOf(region) {
    return this.status?.sites.find((one) => `site ${one.name}` === region.key);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const ground = this.root.getBoundingClientRect();
      const hub = this.hub.getBoundingClientRect();
      const paths = [];
      for (const region of this.regions.values()) {
        const site = this.siteOf(region);
        if (!site || region.box.hidden) continue;
        const box = region.box.getBoundingClientRect();
        const from = [hub.right - ground.left, hub.top - ground.top + hub.height / 2];
        const to = [box.left - ground.left, box.top - ground.top + 18];
        const path = document.createElementNS(SVG, "path");
        const bend = (from[0] + to[0]) / 2;
        path.setAttribute("d", `M${from} C${bend},${from[1]} ${bend},${to[1]} ${to}`);
        const link = this.status.links.find((one) => one.site === site.name);
        path.setAttribute("class", site.attach === "local" ? "local" : link && link.state === "up" ? "up" : "down");
        paths.push(path);
      }
      this.lines.replaceChildren(...paths);
    });
  }

  walk(event) {
    const tile = event.target.closest(".tile");
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: "down", ArrowUp: "up", Home: "first", End: "last" }[event.key];
    if (!tile || step === undefined) return;
    const all = [...tile.parentNode.children];
    const here = all.indexOf(tile);
    const row = Math.max(1, Math.floor(tile.parentNode.clientWidth / 23));
    const goal = { down: here + row, up: here - row, first: 0, last: all.length - 1 }[step] ?? here + step;
    const next = all[goal];
    if (!next) return;
    event.preventDefault();
    tile.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}
