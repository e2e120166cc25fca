// A curve that the reader draws before it is shown, and both curves after it. The browser keeps
// the guess under the chapter's key, after `guess.js`: "accuracy accuracy ...", in percent.
const HIGH = 270, TOP = 16, BASE = 220, LEFT = 50;
const STEPS = { ArrowUp: 2, ArrowRight: 2, ArrowDown: -2, ArrowLeft: -2, PageUp: 10, PageDown: -10 };
const PAPER = "var(--jp-layout-color1, var(--color-background-primary, Canvas))";

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const name in attributes) made.setAttribute(name, attributes[name]);
  made.append(...children);
  return made;
}
const written = (percent) => (percent / 100).toFixed(2);
const y = (percent) => BASE - (percent / 100) * (BASE - TOP);
const text = (words, x, y, anchor = "middle") => svg("text", {
  x, y, "text-anchor": anchor, fill: "currentColor",
  style: `paint-order: stroke; stroke: ${PAPER}; stroke-width: 3px`,
}, words);

function render({ model, el }) {
  const key = model.get("key"), at = model.get("at"), measured = model.get("measured");
  const shown = measured.length > 0;
  const box = document.createElement("div"), said = document.createElement("p");
  const title = document.createElement("div");
  box.style.cssText = `border: 1px solid currentColor; border-radius: 4px; padding: 0.6em 1em;
    margin: 0.5em 0; max-width: 40em; color: var(--jp-content-font-color1, inherit)`;
  box.setAttribute("data-lm-suppress-shortcuts", "true"); // arrow keys are not JupyterLab's here
  title.textContent = model.get("question");
  title.style.fontWeight = "600";
  said.style.margin = "0.3em 0 0";
  said.setAttribute("aria-live", "polite");
  const figure = svg("svg", { role: "group", style: "display: block; font: 13px sans-serif" });
  figure.setAttribute("aria-label", model.get("question"));
  if (!shown) figure.style.touchAction = "none"; // a finger draws
  box.append(title, figure, said);
  el.append(box);

  let total = 560;
  let guess = kept(key)?.split(" ").map(Number) ?? at.map(() => 50);
  const x = (i) => LEFT + 20 + (i / (at.length - 1)) * (total - LEFT - 110);
  const curve = (values, more) => svg("polyline", {
    points: values.map((value, i) => [x(i), y(value)]).join(" "),
    fill: "none", stroke: "currentColor", "stroke-width": 2, ...more,
  });

  function move(i, value) {
    guess[i] = Math.round(Math.max(0, Math.min(100, value)));
    const where = keep(key, guess.join(" "));
    draw();
    said.textContent = `Your curve, ${guess.map(written).join(", ")}, is kept ${where}.`;
  }

  function handle(i) {
    const made = svg("circle", {
      cx: x(i), cy: y(guess[i]), r: 8, fill: PAPER, stroke: "currentColor", "stroke-width": 2,
      tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuemax": 1,
      "aria-valuenow": written(guess[i]), "aria-label": `${model.get("label")} at ${at[i]}`,
    });
    made.style.cursor = "ns-resize";
    made.onkeydown = (event) => {
      const to = { Home: 0, End: 100 }[event.key] ?? guess[i] + STEPS[event.key];
      if (Number.isNaN(to)) return;
      event.preventDefault();
      event.stopPropagation();
      move(i, to);
    };
    return made;
  }

  function draw() {
    const parts = [];
    for (const a of [0, 20, 40, 60, 80, 100]) {
      const across = { x1: LEFT, x2: total - 90, y1: y(a), y2: y(a) };
      parts.push(svg("line", { ...across, stroke: "currentColor", opacity: 0.15 }));
      parts.push(text(written(a), LEFT - 8, y(a) + 4, "end"));
    }
    at.forEach((value, i) => parts.push(text(value, x(i), BASE + 20)));
    parts.push(text(model.get("axis"), (LEFT + total - 90) / 2, BASE + 42));
    const end = (name, value) => parts.push(text(name, x(at.length - 1) + 16, y(value) + 4, "start"));
    parts.push(curve(model.get("given"), { stroke: "#0072B2" }));
    end(model.get("given_name"), model.get("given").at(-1));
    if (!shown || kept(key)) {
      parts.push(curve(guess, { "stroke-dasharray": "6 4" }));
      const above = guess.at(-1) - measured.at(-1);
      end("your guess", guess.at(-1) + (Math.abs(above) < 8 ? (above < 0 ? -8 : 8) : 0));
    }
    if (shown) {
      parts.push(curve(measured, { stroke: "#D55E00" }));
      end("measured", measured.at(-1));
    } else parts.push(...at.map((_, i) => handle(i)));
    const held = [...figure.querySelectorAll("circle")].indexOf(document.activeElement);
    figure.replaceChildren(...parts);
    if (held >= 0) figure.querySelectorAll("circle")[held].focus();
    if (shown) said.textContent = compared();
  }

  function compared() {
    const result = `Measured: ${measured.map(written).join(", ")}.`;
    if (!kept(key)) return `You drew no curve. ${result}`;
    const apart = guess.reduce((sum, g, i) => sum + Math.abs(g - measured[i]), 0) / guess.length;
    return `You drew ${guess.map(written).join(", ")}. ${result} On average ${written(apart)} apart.`;
  }

  function drag(event) {
    const corner = figure.getBoundingClientRect();
    const near = at.map((_, i) => Math.abs(event.clientX - corner.left - x(i)));
    const height = event.clientY - corner.top;
    move(near.indexOf(Math.min(...near)), (100 * (BASE - height)) / (BASE - TOP));
  }
  if (!shown) {
    figure.onpointerdown = (event) => {
      figure.setPointerCapture(event.pointerId);
      event.preventDefault();
      drag(event);
    };
    figure.onpointermove = (event) => event.buttons && drag(event);
  }

  const heard = (event) => {
    if (event.detail !== key) return;
    guess = kept(key).split(" ").map(Number);
    if (shown) draw();
  };
  window.addEventListener(CHANGED, heard);
  const resized = new ResizeObserver(() => {
    total = Math.max(280, Math.min(600, box.clientWidth - 34));
    for (const [name, value] of [["width", total], ["height", HIGH]]) figure.setAttribute(name, value);
    draw();
  });
  resized.observe(box);
  if (kept(key) && !shown) said.textContent = `Your curve: ${guess.map(written).join(", ")}.`;
  return () => {
    window.removeEventListener(CHANGED, heard);
    resized.disconnect();
  };
}
export default { render };
