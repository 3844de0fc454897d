// Follows the cluster by server-sent events and hands each change to the parts of the page.

import { Map as ClusterMap } from "./map.js";
import { Queue } from "./queue.js";
import { Timeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const HISTORY_MS = 60_000;

const map = new ClusterMap($("regions"), $("legend"), tell);
const queue = new Queue($("jobs"), $("queue-caption"), tell);
const timeline = new Timeline($("charts"), $("scrub"), $("then"));
$("plain").classList.add("replaced");

function header(status) {
  $("cluster").textContent = status.cluster;
  $("state").textContent = status.state;
  $("state").dataset.state = status.state;
  const budget = status.budget_per_day == null ? "" : ` of ${status.budget_per_day}`;
  const numbers = [
    ["nodes up", `${status.nodes_up} of ${status.nodes_total}`],
    ["starting", status.nodes_starting],
    ["cost an hour", `${status.cost_per_hour.toFixed(2)} ${status.currency}`],
    ["spent today", `${status.spent_today.toFixed(2)}${budget} ${status.currency}`],
  ];
  $("numbers").replaceChildren(
    ...numbers.map(([name, value]) => {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      const number = document.createElement("dd");
      term.textContent = name;
      number.textContent = value;
      box.append(term, number);
      return box;
    }),
  );
  const blind = status.observations.filter((one) => one.error).map((one) => `${one.source}: ${one.error}`);
  $("troubles").replaceChildren(
    ...[...status.troubles, ...blind].map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

let fresh = true;

function take(change) {
  if (fresh) {
    // after a break the whole picture comes again; what it lacks is no more
    const names = new Set(change.nodes.map((node) => node.name));
    change.gone.push(...[...map.tiles.keys()].filter((name) => !names.has(name)));
    fresh = false;
  }
  if (change.status.length) header(change.status[0]);
  map.apply(change);
  queue.apply(change);
  document.documentElement.dataset.tick = change.tick;
}

async function tell(subject) {
  const detail = $("detail");
  $("detail-title").textContent = subject;
  $("detail-text").textContent = "…";
  $("detail-events").replaceChildren();
  detail.showModal();
  const [why, events] = await Promise.all([
    read(`/v1/explain/${encodeURIComponent(subject)}`),
    read(`/v1/events?limit=50&about=${encodeURIComponent(subject)}`),
  ]);
  $("detail-text").textContent = why.text ?? why.detail;
  $("detail-events").replaceChildren(
    ...(events.events ?? []).toReversed().map((one) => {
      const item = document.createElement("li");
      const time = document.createElement("time");
      time.dateTime = one.at;
      time.textContent = new Date(one.at).toLocaleTimeString();
      item.append(time, one.text);
      return item;
    }),
  );
}

async function read(path) {
  try {
    return await (await fetch(path)).json();
  } catch (error) {
    return { detail: `cluesd does not answer: ${error.message}` };
  }
}

async function past() {
  const history = await read("/v1/history");
  if (history.moments) timeline.show(history);
}

function follow() {
  const source = new EventSource("/v1/stream");
  source.addEventListener("change", (event) => {
    $("connection").textContent = "";
    take(JSON.parse(event.data));
  });
  source.addEventListener("open", () => (fresh = true));
  source.addEventListener("error", () => {
    $("connection").textContent = "cluesd does not answer; trying again …";
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  });
}

function theme() {
  const kept = localStorage.getItem("theme");
  const dark = kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const set = (on) => {
    document.documentElement.dataset.theme = on ? "dark" : "light";
    $("theme").setAttribute("aria-pressed", on);
  };
  set(dark);
  $("theme").addEventListener("click", () => {
    const on = document.documentElement.dataset.theme !== "dark";
    localStorage.setItem("theme", on ? "dark" : "light");
    set(on);
  });
}

theme();
follow();
past();
setInterval(past, HISTORY_MS);
