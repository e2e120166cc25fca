// Native inputs over pictures, in JupyterLab, VS Code, Colab and on a static page alike.
// `packs` holds the pictures drawn so far (pictures.py says how); what is missing, the kernel draws.
let made = 0;
const WAIT = 3000; // milliseconds after which a kernel that does not answer is named
const ASLEEP = "This picture is drawn by a running kernel, when it is free. Without one, run the cell.";

async function unpack(pack) {
  const unzipped = new Blob([pack.data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unzipped).arrayBuffer());
}

// Picture number `place` of a pack: a row of each picture, then the next row of each.
function paint(canvas, pack, pixels, place) {
  const { width, height, palette, numbers } = pack;
  const colours = palette.match(/.{6}/g).map((hex) => parseInt(hex, 16));
  const image = new ImageData(width, height);
  for (let y = 0, to = 0; y < height; y++) {
    let from = (y * numbers.length + place) * width;
    for (let x = 0; x < width; x++, to += 4) {
      const colour = colours[pixels[from++]];
      image.data[to] = colour >> 16;
      image.data[to + 1] = (colour >> 8) & 255;
      image.data[to + 2] = colour & 255;
      image.data[to + 3] = 255;
    }
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function element(tag, style, more = {}) {
  const node = Object.assign(document.createElement(tag), more);
  node.style.cssText = style;
  return node;
}

function row({ label, values, slider }, id, choose) {
  const line = element("div", "display: flex; flex-wrap: wrap; align-items: center; gap: 0 0.8em; min-height: 2em");
  const name = element("label", "width: 9em", { textContent: label, htmlFor: id });
  const look = "font: inherit; width: 15em; max-width: 60vw; min-height: 24px; box-sizing: border-box;";
  const value = element("span", "font-variant-numeric: tabular-nums");
  value.setAttribute("aria-hidden", "true"); // the slider says it
  const input = element(slider ? "input" : "select", look, { id });
  if (slider) Object.assign(input, { type: "range", min: 0, max: values.length - 1, step: 1 });
  else {
    input.style.cssText += "color: inherit; background: transparent; border: 1px solid; border-radius: 3px";
    values.forEach((text, k) => {
      const option = new Option(text, k);
      option.style.cssText = "color: black; background: white";
      input.append(option);
    });
  }
  input.addEventListener("input", () => choose(Number(input.value)));
  input.addEventListener("keydown", (event) => event.stopPropagation()); // not JupyterLab's
  line.append(name, input, slider ? value : "");
  const show = (k) => {
    input.value = k;
    value.textContent = values[k];
    if (slider) input.setAttribute("aria-valuetext", values[k]);
  };
  return { line, show };
}

function render({ model, el }) {
  const controls = model.get("controls"), prefix = `zoology-explorer-${made++}`;
  const unpacked = new Map();
  const box = element("div", "max-width: 100%");
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `Explorer: ${controls.map((c) => c.label).join(", ")}`);
  box.setAttribute("data-lm-suppress-shortcuts", "true");
  // A light card on a dark page: the pictures' colours are made for white.
  const card = element("div", "display: inline-block; max-width: 100%; box-sizing: border-box; "
    + "background: white; border-radius: 8px; padding: 8px; margin: 0.4em 0; line-height: 0");
  const canvas = element("canvas", "max-width: 100%; height: auto");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "A picture that is being drawn");
  const caption = element("p", "margin: 0.3em 0; max-width: 60em");
  caption.setAttribute("aria-live", "polite");
  const rows = controls.map((control, i) => row(control, `${prefix}-${i}`, (k) => {
    model.set("chosen", model.get("chosen").map((old, j) => (j === i ? k : old)));
    model.save_changes();
  }));
  card.append(canvas);
  box.append(...rows.map(({ line }) => line), card, caption);
  el.append(box);

  const chosen = () =>
    controls.reduce((n, { values }, i) => n * values.length + model.get("chosen")[i], 0);
  let asked = 0;

  async function draw() {
    const number = chosen();
    rows.forEach(({ show }, i) => show(model.get("chosen")[i]));
    const words = model.get("words")[number];
    const pack = model.get("packs").find(({ numbers }) => numbers.includes(number));
    clearTimeout(asked);
    card.style.opacity = pack ? 1 : 0.3;
    if (!pack) {
      say(words || "Drawing …");
      if (!words) asked = setTimeout(() => say(ASLEEP), WAIT);
      return;
    }
    const key = String(pack.numbers);
    if (!unpacked.has(key)) unpacked.set(key, unpack(pack));
    const pixels = await unpacked.get(key);
    if (number !== chosen()) return;
    paint(canvas, pack, pixels, pack.numbers.indexOf(number));
    say(words);
  }
  function say(text) {
    canvas.setAttribute("aria-label", text);
    caption.textContent = text;
  }
  const changes = ["chosen", "words", "packs"].map((name) => `change:${name}`);
  changes.forEach((change) => model.on(change, draw));
  draw();
  return () => changes.forEach((change) => model.off(change, draw));
}
export default { render };
