// What a question and its answer look like.
function element(tag, text = "", style = "", more = {}) {
  const node = Object.assign(document.createElement(tag), more);
  if (text) node.textContent = text;
  node.style.cssText = style;
  return node;
}

const BOX = "border: 1px solid currentColor; border-radius: 4px; padding: 0.6em 1em; "
  + "margin: 0.5em 0; max-width: 60em; color: inherit; box-sizing: border-box; min-width: 0";
