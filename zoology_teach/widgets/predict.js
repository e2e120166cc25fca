// A guess before the answer, and both side by side after it. The browser keeps the guess, by
// chapter and question: in its storage, or where it has none as long as the page is open.
const PLACE = "zoology_teach/guess/", CHANGED = "zoology_teach-guess";
const onThisPage = (globalThis.zoologyTeachGuesses ??= new Map());
let made = 0;

function kept(key) {
  try {
    return localStorage.getItem(PLACE + key) ?? onThisPage.get(key) ?? null;
  } catch {
    return onThisPage.get(key) ?? null;
  }
}

function keep(key, guess) {
  onThisPage.set(key, guess);
  let where = "in this browser";
  try {
    localStorage.setItem(PLACE + key, guess);
  } catch {
    where = "while this page is open";
  }
  window.dispatchEvent(new CustomEvent(CHANGED, { detail: key }));
  return where;
}

function element(tag, text = "", style = "", more = {}) {
  const node = Object.assign(document.createElement(tag), more);
  if (text) node.textContent = text;
  node.style.cssText = style;
  return node;
}

const BOX = "border: 1px solid currentColor; border-radius: 4px; padding: 0.6em 1em; "
  + "margin: 0.5em 0; max-width: 60em; color: inherit; box-sizing: border-box; min-width: 0";
const FIELD = "font: inherit; color: inherit; background: transparent; width: 8em; "
  + "border: 1px solid currentColor; border-radius: 3px; padding: 0.2em 0.4em";

function predict({ model, el }) {
  const key = model.get("key"), unit = model.get("unit"), choices = model.get("choices");
  const name = `zoology-guess-${key}-${made++}`;
  const box = element("fieldset", "", BOX);
  box.setAttribute("data-lm-suppress-shortcuts", "true"); // arrow keys are not JupyterLab's here
  const said = element("p", "", "margin: 0.4em 0 0; min-height: 1.4em");
  said.setAttribute("aria-live", "polite");
  const guess = (value) => {
    said.textContent = `Your guess, ${value}${unit}, is kept ${keep(key, value)}.`;
  };
  const before = kept(key);
  box.append(element("legend", model.get("question"), "padding: 0; font-weight: 600"));
  if (choices.length) {
    for (const choice of choices) {
      const row = element("label", "", "display: block; margin: 0.3em 0; cursor: pointer");
      const input = element("input", "", "margin: 0 0.6em 0 0", { type: "radio", name });
      input.value = choice;
      input.checked = choice === before;
      input.addEventListener("change", () => guess(choice));
      row.append(input, choice);
      box.append(row);
    }
  } else {
    box.append(number(model, before, guess, (text) => (said.textContent = text)));
  }
  if (before !== null) said.textContent = `Your guess: ${before}${unit}.`;
  box.append(said);
  el.append(box);
}

function number(model, before, guess, complain) {
  const [low, high] = [model.get("low"), model.get("high")];
  const row = element("label", "Your guess ", "display: block; margin: 0.5em 0 0");
  const input = element("input", "", FIELD, { type: "number", step: "any" });
  if (low !== null) input.min = low;
  if (high !== null) input.max = high;
  input.value = before ?? "";
  input.addEventListener("change", () => {
    if (input.value === "") return complain("");
    if (input.checkValidity()) return guess(input.value);
    const least = low === null ? "" : ` from ${low}`, most = high === null ? "" : ` to ${high}`;
    complain(`A number${least}${most}, please.`);
  });
  row.append(input, model.get("unit"));
  return row;
}

function reveal({ model, el }) {
  const key = model.get("key"), unit = model.get("unit"), value = model.get("value");
  const box = element("div", "", BOX);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Your guess and the result");
  const pair = element("div", "", "display: flex; flex-wrap: wrap; gap: 0.4em 3em; margin: 0.4em 0");
  const side = (title, text) => {
    const half = element("div");
    const shown = element("div", text, "font-size: 1.3em");
    half.append(element("div", title), shown);
    pair.append(half);
    return shown;
  };
  const guessed = side("Your guess", "");
  side("The result", model.get("answer") + unit);
  guessed.setAttribute("aria-live", "polite");
  box.append(element("div", model.get("question"), "font-weight: 600"), pair);
  for (const name of ["because", "tempting"]) {
    const text = model.get(name);
    if (text) box.append(element("p", (name === "tempting" ? "Tempting: " : "") + text, "margin: 0.3em 0"));
  }
  el.append(box);

  function draw() {
    const guess = kept(key);
    if (guess === null) guessed.textContent = "none yet";
    else if (value === null) guessed.textContent = guess + (guess === model.get("answer") ? " ✓" : "");
    else guessed.textContent = guess + unit;
  }
  const heard = (event) => event.detail === key && draw();
  window.addEventListener(CHANGED, heard);
  draw();
  return () => window.removeEventListener(CHANGED, heard);
}

function render(context) {
  return context.model.get("role") === "predict" ? predict(context) : reveal(context);
}
export default { render };
