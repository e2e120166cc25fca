// A menu; what stands below it is HTML from the kernel.
let made = 0;

function render({ model, el }) {
  const id = `zoology-menu-${made++}`;
  const label = Object.assign(document.createElement("label"), { textContent: model.get("label") + " ", htmlFor: id });
  const select = Object.assign(document.createElement("select"), { id });
  select.style.cssText = "font: inherit; color: inherit; background: transparent; border: 1px solid; "
    + "border-radius: 3px; min-height: 24px; max-width: 100%";
  model.get("options").forEach((text, k) => {
    const option = new Option(text, k);
    option.style.cssText = "color: black; background: white";
    select.append(option);
  });
  const below = document.createElement("div");
  below.setAttribute("aria-live", "polite");
  select.addEventListener("change", () => {
    model.set("chosen", Number(select.value));
    model.save_changes();
  });
  select.addEventListener("keydown", (event) => event.stopPropagation()); // not JupyterLab's
  el.append(label, select, below);
  const draw = () => {
    select.value = model.get("chosen");
    below.innerHTML = model.get("html");
  };
  const changes = ["change:chosen", "change:html"];
  changes.forEach((change) => model.on(change, draw));
  draw();
  return () => changes.forEach((change) => model.off(change, draw));
}
export default { render };
