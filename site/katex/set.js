// Formulas in, markup out: one JSON value a line, [tex, options] -> {html} or {error}.
const katex = require("./katex.min.js");
const lines = require("node:readline").createInterface({ input: process.stdin });

lines.on("line", (line) => {
  const [tex, options] = JSON.parse(line);
  let answer;
  try {
    answer = { html: katex.renderToString(tex, { throwOnError: true, ...options }) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
