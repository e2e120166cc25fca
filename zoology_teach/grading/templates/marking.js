"use strict";
// A mark is sent when it is given, with the one that was seen: the server refuses to overwrite
// another one. What was given in this tab is kept in it, so that it can be taken back.
const find = (id) => document.getElementById(id);
const form = find("mark");
const given = JSON.parse(sessionStorage.getItem("given") || "[]");

function say(text) {
  find("said").textContent = text;
}

function go(address, said) {
  sessionStorage.setItem("said", said || "");
  location.assign(address);
}

function words(mark) {
  return (mark.points ? `${mark.points} points` : "no points") + (mark.comment ? `, “${mark.comment}”` : "");
}

async function send(address, mark, seen) {
  try {
    const answer = await fetch(address, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...mark, seen }),
    });
    return { status: answer.status, ...(await answer.json()) };
  } catch {
    const said = "no answer from zoology-teach mark. Leave this page open, start it again, and copy from here";
    return { status: 0, said };
  }
}

function marking() {
  const points = find("points"), comment = find("comment"), keys = find("keys");
  const data = form.dataset;
  let seen = { points: data.points, comment: data.comment };
  let isFirst = true, isBusy = false;

  const typed = () => ({
    points: points.value.trim().replace(",", "."),
    comment: comment.value.trim().split(/\s+/).join(" "),
  });
  const isChanged = () => words(typed()) !== words(seen);

  async function store() {
    const told = await send(data.here, typed(), seen);
    if (told.status === 200) {
      given.push({ here: data.here, page: data.page, who: data.who, before: seen, after: told.stored });
      sessionStorage.setItem("given", JSON.stringify(given));
      seen = told.stored;
      points.value = seen.points;
      comment.value = seen.comment;
      return `Stored: ${data.who}, ${words(seen)}.`;
    }
    if (told.now) seen = told.now;
    say(`Not stored: ${told.said}.` + (told.now ? " Enter stores yours in its place." : ""));
    return "";
  }

  async function leave(address, isEnter) {
    let said = "";
    if (isChanged() || (isEnter && data.outdated)) {
      said = await store();
      if (!said) return;
    }
    go(address, said);
  }

  async function undo() {
    if (isChanged()) {
      points.value = seen.points;
      comment.value = seen.comment;
      isFirst = true;
      return say("Taken back: what was typed here and not stored.");
    }
    const last = given.at(-1);
    if (!last) return say("Nothing was stored in this tab that could be taken back.");
    const told = await send(last.here, last.before, last.after);
    if (told.status !== 200) say(`Not taken back for ${last.who}: ${told.said}.`);
    if (told.status !== 200 && !told.now) return;
    given.pop();
    sessionStorage.setItem("given", JSON.stringify(given));
    if (told.status === 200) go(last.page, `Taken back: ${last.who}, ${words(last.after)}. It has ${words(last.before)} again.`);
  }

  async function once(act) {
    if (isBusy) return;
    isBusy = true;
    try { await act(); } finally { isBusy = false; }
  }

  function digit(key) {
    const longer = isFirst ? key : points.value + key;
    const fits = /^\d+\.?\d*$/.test(longer) && Number(longer) <= Number(data.most);
    points.value = fits ? longer : /\d/.test(key) ? key : points.value;
    isFirst = false;
  }

  function again(text) {
    comment.value = [comment.value.trim(), text].filter(Boolean).join(" ");
    comment.focus();
  }

  const earlier = find("earlier");
  const offered = earlier ? [...earlier.querySelectorAll("button")] : [];
  offered.forEach((button) => button.addEventListener("click", () => again(button.value)));

  const acts = {
    c: () => comment.focus(),
    r: () => (offered[0] || comment).focus(),
    n: () => once(() => leave(find("next").href)),
    p: () => once(() => leave(find("previous").href)),
    u: () => once(undo),
    w: () => find("whole") && find("whole").click(),
    h: () => once(() => leave(find("names").href)),
    o: () => once(() => leave(find("overview").href)),
    "?": () => { find("help").open = !find("help").open; },
    Backspace: () => { points.value = points.value.slice(0, -1); isFirst = false; },
  };
  acts.ArrowRight = acts.n;
  acts.ArrowLeft = acts.p;

  const enter = () => once(() => leave(find("unmarked").href, true));
  form.addEventListener("submit", (event) => { event.preventDefault(); enter(); });
  points.addEventListener("input", () => { isFirst = false; });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const at = event.target, isWriting = at === comment || at === points;
    if (event.key === "Enter" && !at.closest("a, button, summary, input[type=checkbox]")) {
      event.preventDefault();
      if (!event.repeat) enter();
    } else if (event.key === "Escape") {
      at.blur();
    } else if (!isWriting && keys.checked) {
      const choice = offered.includes(at) && offered[event.key - 1];
      const isDigit = /^[0-9.,]$/.test(event.key);
      if (!choice && !isDigit && !(event.key in acts)) return;
      event.preventDefault();
      if (choice) again(choice.value);
      else if (isDigit) digit(event.key.replace(",", "."));
      else acts[event.key]();
    }
  });

  keys.checked = localStorage.getItem("keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("keys", keys.checked ? "on" : "off"));
  window.addEventListener("beforeunload", (event) => { if (isChanged()) event.preventDefault(); });
}

say(sessionStorage.getItem("said") || "");
sessionStorage.removeItem("said");
if (form) marking();
