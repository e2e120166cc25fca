// A question before its answer, after `guess.js` and `boxed.js`.
let made = 0;
const FIELD = "font: inherit; color: inherit; background: transparent; width: 8em; "
  + "border: 1px solid currentColor; border-radius: 3px; padding: 0.2em 0.4em";

function render({ model, el }) {
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
  box.append(element("legend", model.get("question"), "padding: 0; font-weight: 600; float: left; width: 100%"));
  box.append(element("div", "", "clear: both"));
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
export default { render };
