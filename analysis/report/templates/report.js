// The values under the pointer, and boxes that hide lines. The page is complete without this.
"use strict";
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg");
  const values = figure.querySelector("script");
  if (!svg || !values) continue;
  const chart = JSON.parse(values.textContent);
  const tip = figure.appendChild(document.createElement("output"));
  tip.className = "tip";
  tip.hidden = true;

  const nearest = (xs, x) =>
    xs.reduce((best, each, index) => (Math.abs(each - x) < Math.abs(xs[best] - x) ? index : best), 0);

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const part = ((event.clientX - box.left) / box.width - chart.left) / (chart.right - chart.left);
    const shown = chart.series.filter((series, number) => series.x.length && !hidden.has(number));
    tip.hidden = part < 0 || part > 1 || !shown.length;
    if (tip.hidden) return;
    const x = chart.log ? chart.from * (chart.to / chart.from) ** part : chart.from + part * (chart.to - chart.from);
    const at = shown[0].x[nearest(shown[0].x, x)];
    const lines = shown.map((series) => `${series.name}: ${series.y[nearest(series.x, x)]}`);
    tip.textContent = [`${chart.unit}: ${Number(at.toPrecision(4))}`, ...lines].join("\n");
    tip.style.left = `${Math.min(event.clientX - box.left + 14, box.width - tip.offsetWidth)}px`;
    tip.style.top = `${event.clientY - box.top + 14}px`;
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; });

  const hidden = new Set();
  if (!figure.classList.contains("toggles")) continue;
  const boxes = document.createElement("div");
  boxes.className = "boxes";
  chart.series.forEach((series, number) => {
    const label = boxes.appendChild(document.createElement("label"));
    const box = label.appendChild(document.createElement("input"));
    box.type = "checkbox";
    box.checked = true;
    label.append(` ${series.name}`);
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](number);
      svg.querySelector(`[id$="-series-${number}"]`).style.display = box.checked ? "" : "none";
    });
  });
  svg.after(boxes);
}
