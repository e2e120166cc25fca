// Buttons, progress and the loss curve of a training in the kernel.
let made = 0;
const WAIT = 3000; // milliseconds after which a kernel that does not answer is named
const ASLEEP = "No kernel answers. If one runs, it is busy; otherwise run the cell in JupyterLab.";
const WIDTH = 480, HEIGHT = 240, LEFT = 46, BOTTOM = 36, TOP = 22;
const FIELD = "font: inherit; color: inherit; background: transparent; border: 1px solid; "
  + "border-radius: 3px; min-height: 24px; box-sizing: border-box; max-width: 60vw; width: ";

function element(tag, style = "", more = {}) {
  const node = Object.assign(document.createElement(tag), more);
  node.style.cssText = style;
  return node;
}

function drawn(tag, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

function input({ kind, values, low, high }, id) {
  if (kind === "number") return element("input", FIELD + "6em", { type: "number", id, min: low, max: high });
  if (kind === "slider") {
    return element("input", "width: 15em; max-width: 60vw; min-height: 24px",
      { type: "range", id, min: 0, max: values.length - 1, step: 1 });
  }
  const menu = element("select", FIELD + "15em", { id });
  values.forEach((text, k) => {
    const option = new Option(text, k);
    option.style.cssText = "color: black; background: white";
    menu.append(option);
  });
  return menu;
}

function row(control, id, index, choose) {
  const line = element("div", "display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.8em; min-height: 2em");
  const field = input(control, id), value = element("span");
  value.setAttribute("aria-hidden", "true"); // the slider says it
  const low = control.low ?? 0;
  const show = (k) => {
    field.value = low + k;
    if (control.kind !== "slider") return;
    value.textContent = control.values[k];
    field.setAttribute("aria-valuetext", control.values[k]);
  };
  field.addEventListener(control.kind === "number" ? "change" : "input", () => {
    const most = (control.high ?? control.values?.length - 1) - low;
    const k = Math.min(most, Math.max(0, Math.round(Number(field.value)) - low));
    show(k);
    choose(k);
  });
  field.addEventListener("keydown", (event) => event.stopPropagation()); // not JupyterLab's
  line.append(element("label", "width: 9em", { textContent: control.label, htmlFor: id }), field, value);
  show(index);
  return { line, show };
}

// The loss on a logarithmic axis; levels are dashed, the beginnings of lessons dotted.
function curve(svg, { points, steps, colour, levels, stages, words }) {
  svg.replaceChildren();
  svg.setAttribute("aria-label", words);
  const losses = [...points, ...levels.map(([y]) => [0, y])].map(([, y]) => Math.max(y, 1e-4));
  const [least, most] = [Math.min(...losses) / 1.3, Math.max(...losses) * 1.3].map(Math.log);
  const x = (step) => LEFT + ((WIDTH - LEFT - 10) * step) / steps;
  const y = (loss) =>
    TOP + ((HEIGHT - TOP - BOTTOM) * (most - Math.log(Math.max(loss, 1e-4)))) / (most - least);
  const line = (x1, y1, x2, y2, more = {}) =>
    svg.append(drawn("line", { x1, y1, x2, y2, stroke: "currentColor", "stroke-width": 1, ...more }));
  const label = (at, up, text, anchor) =>
    svg.append(drawn("text", { x: at, y: up, fill: "currentColor", "font-size": 12, "text-anchor": anchor }, text));
  line(LEFT, HEIGHT - BOTTOM, WIDTH - 10, HEIGHT - BOTTOM);
  line(LEFT, TOP, LEFT, HEIGHT - BOTTOM);
  for (const tick of [0.0001, 0.001, 0.01, 0.1, 0.3, 1, 3, 10, 30, 100, 1000]) {
    if (Math.log(tick) < least || Math.log(tick) > most) continue;
    line(LEFT - 4, y(tick), LEFT, y(tick));
    label(LEFT - 7, y(tick) + 4, String(tick), "end");
  }
  label(LEFT, HEIGHT - BOTTOM + 16, "0", "middle");
  label(WIDTH - 10, HEIGHT - BOTTOM + 16, String(steps), "end");
  label((LEFT + WIDTH) / 2, HEIGHT - 6, "updates", "middle");
  label(4, 13, "loss (nats an answer)", "start");
  for (const [level, name] of levels) {
    line(LEFT, y(level), WIDTH - 10, y(level), { "stroke-dasharray": "5 4", opacity: 0.6 });
    label(WIDTH - 12, y(level) - 4, name, "end");
  }
  stages.forEach(([step, name], i) => {
    line(x(step), TOP, x(step), HEIGHT - BOTTOM, { "stroke-dasharray": "2 3" });
    label(x(step) + 3, HEIGHT - BOTTOM - 6 - 13 * (i % 3), name, "start");
  });
  const path = points.map(([step, loss]) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(" ");
  svg.append(drawn("polyline", { points: path, fill: "none", stroke: colour, "stroke-width": 2 }));
}

function render({ model, el }) {
  const prefix = `zoology-live-${made++}`;
  const box = element("div", "max-width: 60em");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Train one live");
  box.setAttribute("data-lm-suppress-shortcuts", "true");
  const rows = model.get("controls").map((control, i) =>
    row(control, `${prefix}-${i}`, model.get("chosen")[i], (k) => {
      model.set("chosen", model.get("chosen").map((old, j) => (j === i ? k : old)));
      model.save_changes();
    }));
  const press = "font: inherit; color: inherit; background: transparent; border: 1px solid; "
    + "border-radius: 3px; padding: 0.2em 0.9em; margin: 0.4em 0.6em 0.4em 0; cursor: pointer";
  const train = element("button", press, { type: "button", textContent: "Train this one live" });
  const stop = element("button", press, { type: "button", textContent: "Stop" });
  const progress = element("progress", "width: 15em; max-width: 60vw; vertical-align: middle");
  progress.setAttribute("aria-label", "updates done");
  const status = element("p", "margin: 0.3em 0; min-height: 1.4em");
  status.setAttribute("role", "status");
  const svg = drawn("svg", { role: "img", viewBox: `0 0 ${WIDTH} ${HEIGHT}` });
  svg.style.cssText = `width: 100%; max-width: ${WIDTH}px; height: auto; display: block`;
  box.append(...rows.map(({ line }) => line), train, stop, progress, status, svg);
  el.append(box);

  let asked = 0;
  train.addEventListener("click", () => {
    model.send("start");
    clearTimeout(asked);
    asked = setTimeout(() => (status.textContent = ASLEEP), WAIT);
  });
  stop.addEventListener("click", () => model.send("stop"));

  function draw() {
    clearTimeout(asked);
    model.get("chosen").forEach((k, i) => rows[i].show(k));
    const running = model.get("is_running"), points = model.get("curve");
    for (const [button, off] of [[train, running], [stop, !running]]) {
      button.disabled = off;
      button.style.opacity = off ? 0.45 : 1;
    }
    Object.assign(progress, { max: model.get("steps"), value: model.get("done") });
    status.textContent = model.get("status");
    svg.style.display = points.points ? "block" : "none";
    if (points.points) curve(svg, points);
  }
  const changes = ["chosen", "is_running", "done", "status", "curve"].map((name) => `change:${name}`);
  changes.forEach((change) => model.on(change, draw));
  draw();
  return () => changes.forEach((change) => model.off(change, draw));
}
export default { render };
