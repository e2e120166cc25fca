// Brings a page's widgets to life without Jupyter. Each .widget holds, as JSON, the state of an
// anywidget and the name of its module; the module stands once on the page and is loaded from a
// blob, so nothing is fetched. Where that fails the still picture stays.
const modules = new Map();

function load(name) {
  if (!modules.has(name)) {
    const { module } = JSON.parse(document.getElementById(`module-${name}`).textContent);
    const address = URL.createObjectURL(new Blob([module], { type: "text/javascript" }));
    modules.set(name, import(address));
  }
  return modules.get(name);
}

class Model {
  constructor(state) {
    this.state = state;
    this.listeners = new Map();
  }
  get(name) {
    return this.state[name];
  }
  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.tell(`change:${name}`, value);
    this.tell("change", value);
  }
  save_changes() {} // there is no kernel to tell
  send() {}
  on(event, listener) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener]);
  }
  off(event, listener) {
    const kept = (this.listeners.get(event) ?? []).filter((l) => listener && l !== listener);
    this.listeners.set(event, kept);
  }
  tell(event, value) {
    for (const listener of this.listeners.get(event) ?? []) listener(this, value);
  }
}

function withBuffers(state, buffers) {
  for (const [path, data] of buffers) {
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const holder = path.slice(0, -1).reduce((inner, key) => inner[key], state);
    holder[path.at(-1)] = new DataView(bytes.buffer);
  }
  return state;
}

// A widget stands in an output of its own, behind the one with its picture.
function pictureBefore(place) {
  const before = place.closest(".output")?.previousElementSibling;
  return before?.matches("img") ? before : before?.querySelector("img");
}

async function bring(place) {
  const { module, css, state, buffers } = JSON.parse(place.querySelector("script").textContent);
  const given = (await load(module)).default;
  const front = typeof given === "function" ? await given() : given;
  const model = new Model(withBuffers(state, buffers));
  const el = Object.assign(document.createElement("div"), { className: "live" });
  if (css) el.append(Object.assign(document.createElement("style"), { textContent: css }));
  await front.initialize?.({ model });
  await front.render({ model, el });
  place.append(el);
  const still = place.querySelector(".still") ?? pictureBefore(place);
  if (still) still.hidden = true;
}

for (const place of document.querySelectorAll(".widget"))
  bring(place).then(
    () => (place.dataset.state = "live"),
    (error) => {
      place.dataset.state = "still";
      console.error("a widget stays a picture:", error);
    },
  );
