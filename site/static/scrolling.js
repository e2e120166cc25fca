// What scrolls sideways by itself can be reached by keyboard.
for (const wide of document.querySelectorAll("pre, .katex-display, .cell_output .output, .table-wrapper"))
  if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
