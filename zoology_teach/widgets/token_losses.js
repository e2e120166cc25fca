// Two models on one passage. All data is in the model's state, so no kernel is needed.
const ORANGE = "230, 159, 0", BLUE = "86, 180, 233", HIT = "#0072B2";

function element(tag, text, style = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  Object.assign(made.style, style);
  return made;
}

function menu(label, options, selected, choose) {
  const select = element("select");
  options.forEach((text, i) => select.append(new Option(text, i, false, i === selected)));
  select.addEventListener("change", () => choose(Number(select.value)));
  const whole = element("label", label + " ", { marginRight: "1.2em" });
  whole.append(select);
  return whole;
}

const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
const round = (x, digits) => Number(x.toPrecision(digits)); // 1340, not 1.34e+3
const percent = (loss) => round(100 * Math.exp(-loss), 2) + " %";

function render({ model, el }) {
  const box = element("div", "", { maxWidth: "68em" });
  const controls = element("p", "", { margin: "0.3em 0" });
  const summary = element("p", "", { margin: "0.3em 0" });
  const reading = element("p", "", { margin: "0.3em 0", minHeight: "2.6em" });
  reading.setAttribute("aria-live", "polite");
  const pages = element("div", "", { display: "grid", gap: "1.2em" });
  pages.style.gridTemplateColumns = "1fr 1fr";
  pages.tabIndex = 0;
  pages.setAttribute("role", "group");
  pages.setAttribute("aria-label", "The text, twice. Arrow keys go from token to token.");
  box.append(controls, summary, reading, pages);
  el.append(box);

  let byDifference = false, at = 0, spans = [[], []];
  const names = model.get("models");
  const passage = () => model.get("passages")[model.get("passage")];
  const sides = () => [model.get("left"), model.get("right")];
  const losses = (side) => passage().losses[sides()[side]];

  function colour(side, i) {
    const loss = losses(side)[i], difference = loss - losses(1 - side)[i];
    if (!byDifference) return `rgba(${ORANGE}, ${Math.min(1, loss / model.get("most"))})`;
    const depth = Math.min(1, Math.abs(difference) / (model.get("most") / 2));
    return `rgba(${difference > 0 ? ORANGE : BLUE}, ${depth})`;
  }

  function page(side) {
    const whole = element("div");
    whole.append(element("strong", names[sides()[side]]));
    const text = element("div", "", {
      whiteSpace: "pre-wrap", fontFamily: "monospace", lineHeight: "1.5", color: "black",
      background: "white", padding: "0.4em", border: "1px solid #999999",
    });
    const { tokens, hits, opportunities } = passage();
    spans[side] = tokens.map((token, i) => {
      const line = hits[i] ? `3px solid ${HIT}` : opportunities[i] ? `1px dotted ${HIT}` : "none";
      const span = element("span", token, { background: colour(side, i), borderBottom: line });
      span.addEventListener("mouseenter", () => read(i));
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
    spans.forEach((side) => (side[at].style.outline = "2px solid black"));
    const kind = hits[at] ? ", an AR hit" : opportunities[at] ? ", an opportunity, no hit" : "";
    const each = [0, 1].map((side) => {
      const loss = losses(side)[at];
      return `${names[sides()[side]]} ${loss.toFixed(2)} nats (probability ${percent(loss)})`;
    });
    const number = `Token ${at + 1} of ${tokens.length}`;
    reading.textContent = `${number}: ${JSON.stringify(tokens[at])}${kind}. ${each.join("; ")}.`;
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
    pages.replaceChildren(page(0), page(1));
    summarise();
    read(at);
  }

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  const titles = model.get("passages").map((p) => p.title);
  controls.append(
    menu("passage", titles, model.get("passage"), (i) => set("passage", i)),
    menu("left", names, model.get("left"), (i) => set("left", i)),
    menu("right", names, model.get("right"), (i) => set("right", i)),
    menu("colour", ["loss", "difference"], 0, (i) => { byDifference = i === 1; draw(); }),
  );
  const next = element("button", "next AR hit");
  next.addEventListener("click", () => {
    const { hits } = passage(), after = hits.indexOf(true, at + 1);
    if (!hits.includes(true)) return;
    read(after < 0 ? hits.indexOf(true) : after);
    spans[0][at].scrollIntoView({ block: "nearest" });
  });
  controls.append(next);
  pages.addEventListener("keydown", (event) => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: Infinity }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    read(to);
  });
  ["passage", "left", "right"].forEach((name) => model.on("change:" + name, draw));
  draw();
}
export default { render };
