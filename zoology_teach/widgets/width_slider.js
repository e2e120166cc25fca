// Accuracy against width and against state, drawn from a table's numbers. It loads nothing and
// asks no kernel: `model` needs get, set, on, off and save_changes. Accuracies are in percent.
const SHAPES = {
  o: "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0-8,0", s: "M-4-4h8v8h-8z", D: "M0-5L5,0L0,5L-5,0z",
  "^": "M0-5L5,4H-5z", v: "M0,5L5-4H-5z", P: "M-5-2h3v-3h4v3h3v4h-3v3h-4v-3h-3z",
  X: "M-5-3l2-2l3,3l3-3l2,2l-3,3l3,3l-2,2l-3-3l-3,3l-2-2l3-3z",
  star: "M0-9L2-3H9L3,1L6,8L0,4L-6,8L-3,1L-9-3H-2z",
};
const PAPER = "var(--jp-layout-color1, var(--color-background-primary, Canvas))";
const INK = "currentColor", HIGH = 300, TOP = 12, BASE = 242, LEFT = 44, NAMES = 80, STACKED_BELOW = 640;
const KEYS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
const CHOICE = ["pairs", "length", "width"];

const written = (percent) => (percent / 100).toFixed(2);
const bars = (p) => `${written(p.mean)} (${written(p.low)} to ${written(p.high)}`;
const y = (percent) => BASE - (percent / 100) * (BASE - TOP);

// A line a curve: "mixer K N seeds,d state mean low high,d state ..."; no low where all seeds agree.
const parse = (curves) => curves.split("\n").flatMap((line) => {
  const [head, ...points] = line.split(",").map((part) => part.split(" ").map(Number));
  const [mixer, pairs, length, seeds] = head;
  return points.map(([width, state, mean, low = mean, high = mean]) =>
    ({ mixer, pairs, length, seeds, width, state, mean, low, high }));
});

function fill(made, attributes, children) {
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...children);
  return made;
}
const html = (tag, attributes, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const line = (x1, y1, x2, y2, more) =>
  svg("line", { x1, y1, x2, y2, stroke: INK, ...more });
const text = (words, x, y, anchor = "middle") => svg("text", {
  x, y, "text-anchor": anchor, fill: INK,
  style: `paint-order: stroke; stroke: ${PAPER}; stroke-width: 3px`,
}, words);
const shape = ({ colour, marker }, more) =>
  svg("path", { d: SHAPES[marker] ?? SHAPES.o, fill: colour, ...more });

function axes(x, right, ticks, title) {
  return [
    ...[0, 20, 40, 60, 80, 100].flatMap((a) => [
      line(LEFT - 10, y(a), right, y(a), { opacity: 0.15 }),
      text(written(a), LEFT - 14, y(a) + 4, "end"),
    ]),
    ...ticks.map((tick) => text(tick.toLocaleString("en"), x(tick), BASE + 20)),
    text(title, (LEFT + right) / 2, BASE + 42),
  ];
}

// Names stand at the ends of their curves and give way to one another.
function names(ends) {
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((end, i) => (end.at = Math.max(end.y, i ? ends[i - 1].at + 15 : 0)));
  ends.reduceRight((lowest, end) => (end.at = Math.min(end.at, lowest)) - 15, BASE);
  return ends.flatMap(({ name, x, y, at }) =>
    [line(x + 6, y, x + 12, at, { opacity: 0.5 }), text(name, x + 14, at + 4, "start")]);
}

// The arrow keys go from point to point: along a curve, or to another curve.
function walk(grid) {
  grid[0]?.[0].setAttribute("tabindex", 0);
  grid.forEach((curve, i) => curve.forEach((here, j) => (here.onkeydown = (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    const [down, along] = KEYS[event.key], to = grid[i + down] ?? curve;
    to[Math.min(to.length - 1, Math.max(0, j + along))].focus();
  })));
}

function render({ model, el }) {
  const mixers = model.get("mixers"), points = parse(model.get("curves"));
  const theory = parse(model.get("theory"));
  let drawn;
  const values = (field) => [...new Set(points.map((p) => p[field]))].sort((a, b) => a - b);
  const set = (name, value) => { model.set(name, value); model.save_changes(); };

  function slider(label, name) {
    const steps = values(name), output = html("output");
    const input = html("input", { type: "range", max: steps.length - 1, style: "width: 13em" });
    input.oninput = () => set(name, steps[input.value]);
    const style = "display: flex; flex-wrap: wrap; gap: 0 0.8em; min-height: 24px";
    const row = html("label", { style }, html("span", { style: "width: 10em" }, label), input, output);
    row.show = () => {
      output.textContent = model.get(name);
      input.value = steps.indexOf(model.get(name));
      input.setAttribute("aria-valuetext", model.get(name));
    };
    return row;
  }

  function box(label, checked, change, ...mark) {
    const input = html("input", { type: "checkbox" });
    input.checked = checked;
    input.onchange = () => change(input.checked);
    const style = "display: inline-flex; align-items: center; gap: 0.3em; margin-right: 1em";
    return html("label", { style: style + "; min-height: 24px" }, input, ...mark, label);
  }

  const sliders = [
    slider("pairs K", "pairs"), slider("sequence length N", "length"),
    slider("model width d", "width"),
  ];
  const boxes = mixers.map((mixer, i) => box(
    mixer.name, !model.get("hidden").includes(i),
    (on) => set("hidden", model.get("hidden").filter((k) => k !== i).concat(on ? [] : i)),
    svg("svg", { width: 12, height: 12, viewBox: "-6 -6 12 12", "aria-hidden": true }, shape(mixer)),
  ));
  const theories = box(
    "theory: d random signs", model.get("with_theory"), (on) => set("with_theory", on));
  const figure = svg("svg", { role: "group", style: "display: block; font: 13px sans-serif" });
  const tip = html("div");
  const caption = html("p", { "aria-live": "polite", style: "margin: 0.3em 0; max-width: 60em" });
  const whole = html(
    "div",
    // Arrow keys are not JupyterLab's here.
    { style: "color: var(--jp-content-font-color1, inherit)", "data-lm-suppress-shortcuts": true },
    ...sliders, html("div", {}, ...boxes, theories),
    html("div", { style: "position: relative" }, figure, tip), caption);
  whole.onkeydown = (event) => event.stopPropagation();
  el.append(whole);

  function point(p, words, look, place, x) {
    const mark = shape(look, { transform: `translate(${x},${y(p.mean)})` });
    const made = svg("g", { tabindex: -1, role: "img", "aria-label": words }, mark);
    const hide = () => (tip.style.display = "none");
    made.onpointerleave = made.onblur = hide;
    made.onpointerenter = made.onfocus = () => {
      tip.textContent = words;
      const left = Math.max(0, Math.min(place.left + x - 60, figure.clientWidth - 230));
      tip.style = `position: absolute; left: ${left}px; top: ${place.top + y(p.mean) + 14}px;
        max-width: 15em; padding: 0 0.5em; border: 1px solid; background: ${PAPER}`;
    };
    hide();
    return made;
  }

  function panel(field, ticks, title, place, curves, stars) {
    const range = values(field), from = range[0], right = place.width - NAMES;
    const part = (value) => Math.log(value / from) / Math.log(range.at(-1) / from);
    const x = (value) => LEFT + part(value) * (right - LEFT);
    const trace = (ps, more) => svg("polyline", {
      points: ps.map((p) => [x(p[field]), y(p.mean)]).join(" "), fill: "none",
      stroke: INK, "stroke-width": 1.5, ...more,
    });
    const end = (name, p) => ({ name, x: x(p[field]), y: y(p.mean) });
    const ends = curves.map((curve) => end(mixers[curve[0].mixer].name, curve.at(-1)));
    const parts = axes(x, right + 10, ticks, title), width = model.get("width");
    if (field === "width") {
      parts.push(line(x(width), TOP, x(width), BASE, { "stroke-dasharray": "2 4" }));
      const expected = theory.filter((p) => p.pairs === model.get("pairs"));
      if (model.get("with_theory")) {
        parts.push(trace(expected, { "stroke-dasharray": "7 3" }));
        ends.push(end("theory", expected.at(-1)));
      }
    }
    const grid = curves.map((curve) => {
      const look = mixers[curve[0].mixer];
      parts.push(trace(curve, { stroke: look.colour }));
      return curve.map((p) => {
        const at = x(p[field]), ring = { cx: at, cy: y(p.mean), r: 9, fill: "none" };
        parts.push(line(at, y(p.low), at, y(p.high), { stroke: look.colour, "stroke-width": 1.5 }));
        if (field === "state" && p.width === width)
          parts.push(svg("circle", { ...ring, stroke: INK }));
        const state = p.state.toLocaleString("en"), seeds = `${p.seeds} seeds)`;
        const words = `${look.name}, d = ${p.width}, state ${state}: ${bars(p)}, ${seeds}`;
        return point(p, words, look, place, at);
      });
    });
    for (const p of stars) {
      const look = mixers[p.mixer], told = `d = ${p.width}, seed ${p.seed}, ${p.steps} steps`;
      const words = `Your run: ${look.name}, ${told}: ${written(p.mean)}`;
      grid.push([point(p, words, { ...look, marker: "star" }, place, x(p[field]))]);
    }
    walk(grid);
    const moved = { transform: `translate(${place.left},${place.top})` };
    return svg("g", moved, ...parts, ...names(ends), ...grid.flat());
  }

  function draw() {
    sliders.forEach((row) => row.show());
    drawn = el.clientWidth;
    const here = (p) => p.pairs === model.get("pairs") && p.length === model.get("length")
      && !model.get("hidden").includes(p.mixer);
    const curves = mixers.map((_, i) => points.filter((p) => p.mixer === i && here(p)))
      .filter((curve) => curve.length);
    const total = Math.max(300, Math.min(900, drawn || 900));
    const stacked = total < STACKED_BELOW, width = stacked ? total : total / 2;
    const below = { left: 0, top: HIGH, width }, beside = { left: width, top: 0, width };
    const states = values("state"), stars = model.get("stars").filter(here);
    const ticks = [8, 64, 512, 4096, 32768].filter((s) => s >= states[0] && s <= states.at(-1));
    fill(figure, { width: total, height: stacked ? 2 * HIGH : HIGH }, []);
    figure.replaceChildren(
      panel("width", values("width"), "model width d", { left: 0, top: 0, width }, curves, stars),
      panel("state", ticks, "state: numbers kept per sequence",
        stacked ? below : beside, curves, stars));
    caption.textContent = sentence(curves.flat());
    figure.setAttribute("aria-label", caption.textContent + " Arrow keys go from point to point.");
  }

  function sentence(shown) {
    const [pairs, length, width] = CHOICE.map((name) => model.get(name));
    const where = `Width ${width}, ${pairs} pairs in ${length} tokens: `;
    if (4 * pairs > length) return `${where}${pairs} pairs need ${4 * pairs} tokens.`;
    const found = shown.filter((p) => p.width === width);
    if (!found.length) return `${where}nothing measured.`;
    const lost = mixers.filter((_, i) =>
      !model.get("hidden").includes(i) && !found.some((p) => p.mixer === i));
    const each = found.map((p) => `${mixers[p.mixer].name} ${bars(p)})`).join(" · ");
    const lacking = lost.length ? ` Not measured here: ${lost.map((m) => m.name).join(", ")}.` : "";
    return `${where}accuracy of ${each}; mean of ${found[0].seeds} seeds, lowest to highest.${lacking}`;
  }

  const heard = [...CHOICE, "hidden", "with_theory", "stars"].map((name) => "change:" + name);
  heard.forEach((event) => model.on(event, draw));
  const resized = new ResizeObserver(() => el.clientWidth === drawn || draw());
  resized.observe(el);
  draw();
  return () => {
    heard.forEach((event) => model.off(event, draw));
    resized.disconnect();
  };
}
export default { render };
