// Shows frame number sum(index * stride); the indices are linked to sliders in the browser.
function render({ model, el }) {
  const image = document.createElement("img");
  image.style.maxWidth = "100%";
  const caption = document.createElement("p");
  caption.setAttribute("aria-live", "polite");
  caption.style.cssText = "margin: 0.3em 0; max-width: 60em";
  el.append(image, caption);

  function draw() {
    const strides = model.get("strides");
    const indices = [model.get("first"), model.get("second"), model.get("third")];
    const number = strides.reduce((sum, stride, i) => sum + stride * indices[i], 0);
    image.src = "data:image/png;base64," + model.get("frames")[number];
    image.alt = model.get("alts")[number];
    caption.textContent = image.alt;
  }
  ["first", "second", "third"].forEach((name) => model.on("change:" + name, draw));
  draw();
}
export default { render };
