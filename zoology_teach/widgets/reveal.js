// The guess and the result side by side, after `guess.js` and `boxed.js`.
function render({ model, el }) {
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
export default { render };
