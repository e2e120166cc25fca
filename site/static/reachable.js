// What scrolls sideways by itself can be reached by keyboard, and each side of the page has a name.
for (const wide of document.querySelectorAll("pre, .math, .katex-display, .output, .table-wrapper"))
  if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "The book");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "This page");
