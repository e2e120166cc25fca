// Two models on one passage. All data is in the model's state, so no kernel is needed.
// Text on the deepest colour has a contrast above 4.5 on a light page and on a dark one.
const LIGHT = { more: "230, 159, 0", less: "86, 180, 233", hit: "#0072B2", text: "#000000", paper: "#ffffff" };
const DARK = { more: "150, 90, 0", less: "0, 95, 160", hit: "#56B4E9", text: "#f2f2f2", paper: "#111111" };
const STRIPED = "repeating-linear-gradient(135deg, transparent 0 3px, var(--stripe) 3px 5px)";

function element(tag, text, style = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  Object.assign(made.style, style);
  return made;
}

function menu(label, options, selected, choose) {
  const select = element("select", "", {
    font: "inherit", color: "inherit", background: "transparent", border: "1px solid",
    borderRadius: "3px", maxWidth: "100%", minHeight: "24px",
  });
  options.forEach((text, i) => {
    const option = new Option(text, i, false, i === selected);
    option.style.cssText = "color: black; background: white";
    select.append(option);
  });
  select.addEventListener("change", () => choose(Number(select.value)));
  select.addEventListener("keydown", (event) => event.stopPropagation()); // not JupyterLab's
  const whole = element("label", label + " ", { marginRight: "1.2em" });
  whole.append(select);
  return whole;
}

// Whether the page writes light on dark.
function isDark(el) {
  const [r, g, b] = getComputedStyle(el.isConnected ? el : document.body).color.match(/[\d.]+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  const attributeFilter = ["class", "style", "data-theme", "data-jp-theme-light", "data-jp-theme-name"];
  for (const part of [document.documentElement, document.body]) {
    observer.observe(part, { attributes: true, attributeFilter });
  }
  return () => observer.disconnect();
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
const round = (x, digits) => Number(x.toPrecision(digits)); // 1340, not 1.34e+3
const percent = (loss) => round(100 * Math.exp(-loss), 2) + " %";
const signed = (x) => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);

// The token in the line above (by -1) or below (by 1) that is nearest to `x`; else `at`.
function inNextLine(spans, at, by, x) {
  const places = spans.map((span) => span.getClientRects()[0]);
  const here = places[at];
  if (!here) return at + by;
  const beyond = places.filter((place) => place && by * (place.top - here.top) > here.height / 2);
  if (!beyond.length) return at;
  const top = by * Math.min(...beyond.map((place) => by * place.top));
  let nearest = at, distance = Infinity;
  places.forEach((place, i) => {
    if (!place || Math.abs(place.top - top) > here.height / 2) return;
    const away = Math.abs((place.left + place.right) / 2 - x);
    if (away < distance) [nearest, distance] = [i, away];
  });
  return nearest;
}

function render({ model, el }) {
  const box = element("div", "", { maxWidth: "68em" });
  const controls = element("p", "", { margin: "0.3em 0", display: "flex", flexWrap: "wrap", gap: "0.3em 0" });
  const summary = element("p", "", { margin: "0.3em 0" });
  const scale = element("p", "", { margin: "0.3em 0", display: "flex", flexWrap: "wrap", alignItems: "center", gap: "0.5em" });
  const reading = element("p", "", { margin: "0.3em 0", minHeight: "4.2em" });
  reading.setAttribute("aria-live", "polite");
  // The text scrolls by itself, so that the reading above it stays in view.
  const pages = element("div", "", {
    display: "grid", gap: "1.2em", maxHeight: "26em", overflowY: "auto", position: "relative",
    gridTemplateColumns: "repeat(auto-fit, minmax(min(100%, 20em), 1fr))",
  });
  pages.tabIndex = 0;
  pages.setAttribute("role", "group");
  pages.setAttribute("aria-label", "The text, twice. Arrow keys go from token to token "
    + "and from line to line, Home and End to its ends.");
  pages.setAttribute("data-lm-suppress-shortcuts", "true");
  box.append(controls, summary, scale, reading, pages);
  el.append(box);

  let byDifference = false, at = 0, spans = [[], []], column = null, theme = LIGHT;
  const names = model.get("models"), most = model.get("most");
  const passages = JSON.parse(model.get("passages"));
  const passage = () => passages[model.get("passage")];
  const sides = () => [model.get("left"), model.get("right")];
  const losses = (side) => passage().losses[sides()[side]];
  const shown = (i) => passage().shown?.[i] ?? passage().tokens[i];

  // A larger loss than the other model's is striped, so that its sign shows without colour.
  function colour(side, i) {
    const loss = losses(side)[i], difference = loss - losses(1 - side)[i];
    if (!byDifference) return [`rgba(${theme.more}, ${Math.min(1, loss / most)})`, "none"];
    const depth = Math.min(1, Math.abs(difference) / (most / 2));
    const striped = difference > 0 && depth > 0.06;
    return [`rgba(${difference > 0 ? theme.more : theme.less}, ${depth})`, striped ? STRIPED : "none"];
  }

  function drawScale() {
    const bar = element("span", "", { width: "12em", height: "1em", border: "1px solid", display: "inline-flex" });
    const end = (rgb, way) => element("span", "", { flex: "1", background: `linear-gradient(to ${way}, rgba(${rgb}, 0), rgb(${rgb}))` });
    if (byDifference) {
      const worse = end(theme.more, "right");
      worse.style.backgroundImage = `${STRIPED}, ${worse.style.backgroundImage}`;
      bar.append(end(theme.less, "left"), worse);
    } else bar.append(end(theme.more, "right"));
    const [low, high] = byDifference
      ? [`−${most / 2} nats and less, better than the other model`, `+${most / 2} and more, worse (striped)`]
      : ["0 nats", `${most} and more`];
    scale.replaceChildren(low, bar, high);
  }

  function page(side) {
    const whole = element("div");
    whole.append(element("strong", names[sides()[side]]));
    const text = element("div", "", {
      whiteSpace: "pre-wrap", fontFamily: "monospace", lineHeight: "1.5", color: theme.text,
      background: theme.paper, padding: "0.4em", border: "1px solid #808080", borderRadius: "4px",
      overflowWrap: "anywhere",
    });
    const { tokens, hits, opportunities } = passage();
    spans[side] = tokens.map((_, i) => {
      const line = hits[i] ? `3px solid ${theme.hit}` : opportunities[i] ? `1px dotted ${theme.hit}` : "none";
      const [backgroundColor, backgroundImage] = colour(side, i);
      const span = element("span", shown(i), { backgroundColor, backgroundImage, borderBottom: line });
      span.dataset.token = i;
      return span;
    });
    text.append(...spans[side]);
    whole.append(text);
    return whole;
  }

  function read(i) {
    const { tokens, hits, opportunities } = passage();
    spans.forEach((side) => (side[at] ? (side[at].style.outline = "none") : 0));
    at = Math.min(tokens.length - 1, Math.max(0, i));
    spans.forEach((side) => (side[at].style.outline = `2px solid ${theme.text}`));
    const kind = hits[at] ? ", an AR hit" : opportunities[at] ? ", an opportunity, no hit" : "";
    const each = [0, 1].map((side) => {
      const loss = losses(side)[at];
      return `${names[sides()[side]]} ${loss.toFixed(2)} nats (probability ${percent(loss)})`;
    });
    const written = shown(at) === tokens[at] ? "" : ` (written ${tokens[at].trim()})`;
    const number = `Token ${at + 1} of ${tokens.length}`;
    const difference = signed(losses(0)[at] - losses(1)[at]);
    reading.textContent = `${number}: ${JSON.stringify(shown(at))}${written}${kind}. ${each.join("; ")}; `
      + `left minus right ${difference}.`;
  }

  function go(i) {
    read(i);
    for (const side of spans) side[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function summarise() {
    const hits = passage().hits;
    const parts = [["AR hits", true], ["other tokens", false]].map(([name, wanted]) => {
      const of = (side) => losses(side).filter((_, i) => hits[i] === wanted);
      const number = of(0).length;
      const ppl = [0, 1].map((side) => round(Math.exp(mean(of(side))), 3));
      return `${number} ${name}` + (number ? `: perplexity ${ppl.join(" and ")}` : "");
    });
    summary.textContent = parts.join(". ") + ".";
  }

  function draw() {
    theme = isDark(el) ? DARK : LIGHT;
    box.style.setProperty("--stripe", theme.paper);
    drawScale();
    const top = pages.scrollTop;
    pages.replaceChildren(page(0), page(1));
    pages.scrollTop = top;
    summarise();
    read(at);
  }

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  const titles = passages.map((p) => p.title);
  controls.append(
    menu("passage", titles, model.get("passage"), (i) => set("passage", i)),
    menu("left", names, model.get("left"), (i) => set("left", i)),
    menu("right", names, model.get("right"), (i) => set("right", i)),
    menu("colour", ["loss", "difference"], 0, (i) => { byDifference = i === 1; draw(); }),
  );
  const next = element("button", "next AR hit", {
    font: "inherit", color: "inherit", background: "transparent", border: "1px solid",
    borderRadius: "3px", cursor: "pointer",
  });
  next.type = "button";
  next.addEventListener("click", () => {
    const { hits } = passage(), after = hits.indexOf(true, at + 1);
    if (!hits.includes(true)) return;
    column = null;
    go(after < 0 ? hits.indexOf(true) : after);
  });
  controls.append(next);

  pages.addEventListener("keydown", (event) => {
    const { key } = event, by = { ArrowUp: -1, ArrowDown: 1 }[key];
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: Infinity }[key];
    if (to === undefined && by === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    if (by === undefined) {
      column = null;
      return go(to);
    }
    const place = spans[0][at].getClientRects()[0];
    column ??= place ? (place.left + place.right) / 2 : 0;
    go(inNextLine(spans[0], at, by, column));
  });
  // The text may scroll below a pointer that rests: only one that moves selects.
  let before = null;
  pages.addEventListener("pointermove", ({ clientX, clientY, target }) => {
    const moved = before && (before[0] !== clientX || before[1] !== clientY);
    before = [clientX, clientY];
    if (moved && target.dataset?.token) read(Number(target.dataset.token));
  });
  pages.addEventListener("click", ({ target }) => target.dataset?.token && read(Number(target.dataset.token)));
  const changes = ["passage", "left", "right"].map((name) => `change:${name}`);
  changes.forEach((change) => model.on(change, draw));
  const unwatch = watchTheme(() => (isDark(el) ? DARK : LIGHT) !== theme && draw());
  draw();
  return () => {
    unwatch();
    changes.forEach((change) => model.off(change, draw));
  };
}
export default { render };
