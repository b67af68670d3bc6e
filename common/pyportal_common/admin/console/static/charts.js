// Draws what the service counts between two looks, every two seconds while the page is visible.
"use strict";

const INTERVAL_MS = 2000;
const POINTS = 150;

const section = document.getElementById("charts");
const state = document.getElementById("charts-state");
const times = [];
const charts = {};
let previous = null;

const ratio = (part, whole) => (whole > 0 ? part / whole : null);

function quantile(share, before, after) {
  const counts = after.map((bucket, i) => bucket.count - (before[i]?.count ?? 0));
  const all = counts.at(-1);
  if (!(all > 0)) return null;
  const rank = share * all;
  let [lower, below] = [0, 0];
  for (const [i, bucket] of after.entries()) {
    if (bucket.le === null) break;
    if (counts[i] >= rank) {
      return lower + ((bucket.le - lower) * (rank - below)) / (counts[i] - below);
    }
    [lower, below] = [bucket.le, counts[i]];
  }
  return lower;
}

const MEASURES = {
  requests: (a, b, seconds) => (b.requests - a.requests) / seconds,
  errors: (a, b, seconds) => (b.errors - a.errors) / seconds,
  p99: (a, b) => {
    const found = quantile(0.99, a.latencies, b.latencies);
    return found === null ? null : found * 1000;
  },
  hits: (a, b) => {
    const found = ratio(b.cacheHits - a.cacheHits, b.cacheReads - a.cacheReads);
    return found === null ? null : found * 100;
  },
};

const color = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");

function chart(figure) {
  const place = figure.querySelector("div");
  const axis = {
    stroke: () => color("--muted"),
    grid: { stroke: () => color("--line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const options = {
    width: place.clientWidth,
    height: 120,
    legend: { show: false },
    cursor: { sync: { key: "charts" }, drag: { x: false, y: false } },
    scales: {
      x: { range: () => [Math.min(times[0], times.at(-1) - 60), times.at(-1)] },
      y: { range: (_, low, high) => [0, Number(figure.dataset.top) || 1.1 * high || 1] },
    },
    axes: [
      { ...axis, size: 24, space: 80, values: (_, splits) => splits.map(clock) },
      { ...axis, size: 44, space: 30 },
    ],
    series: [{}, { stroke: () => color("--accent"), width: 1.5, points: { show: false } }],
  };
  const values = [];
  const plot = new uPlot(options, [times, values], place);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: 120 })).observe(place);
  return { plot, values, output: figure.querySelector("output") };
}

function draw() {
  section.hidden = false;
  for (const figure of section.querySelectorAll("figure")) charts[figure.dataset.chart] = chart(figure);
}

function add(now, current) {
  times.push(now);
  if (times.length === 1) draw();
  for (const [name, measure] of Object.entries(MEASURES)) {
    const { plot, values, output } = charts[name];
    const seconds = previous ? now - previous.now : 0;
    const value = previous && current ? measure(previous.totals, current, seconds) : null;
    values.push(value);
    if (values.length > POINTS) values.shift();
    output.textContent = value === null ? "–" : value.toLocaleString("en", { maximumSignificantDigits: 3 });
  }
  if (times.length > POINTS) times.shift();
  for (const { plot, values } of Object.values(charts)) plot.setData([times, values]);
  previous = current && { now, totals: current };
}

async function look() {
  let pause = INTERVAL_MS;
  if (document.visibilityState === "visible") {
    try {
      const response = await fetch(section.dataset.source, { headers: { Accept: "application/json" } });
      if (response.status === 401 || response.status === 403) return location.reload();
      if (response.status === 429) pause = 1000 * Number(response.headers.get("Retry-After") || 10);
      if (!response.ok) throw new Error(`status ${response.status}`);
      add(Date.now() / 1000, (await response.json()).totals);
      state.textContent = "";
    } catch (error) {
      add(Date.now() / 1000, null);
      state.textContent = `The service does not answer (${error.message}).`;
    }
  } else {
    previous = null;
  }
  setTimeout(look, pause);
}

look();
