"use strict";
// A mark is sent when it is given, with the one that was seen: the server refuses to overwrite
// another one. What was given in this tab is kept in it, so that it can be taken back. Keys that
// are pressed while a mark is stored wait for the next answer: none goes to the wrong student.
const NO_ANSWER = "no answer from zoology-teach mark. Leave this page open, start it again, and copy what you typed from here";
const given = JSON.parse(sessionStorage.getItem("given") || "[]");
const waiting = [];
let isBusy = false;
let page = null; // the answer that is shown, null for all questions

const find = (id) => document.getElementById(id);
const say = (text) => { find("said").textContent = text; };

function refuse(text) {
  waiting.length = 0;
  say(text);
}

function words(mark) {
  const points = mark.points ? `${mark.points} ${mark.points === "1" ? "point" : "points"}` : "no points";
  return points + (mark.comment ? `, “${mark.comment}”` : "");
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
    return { status: 0, said: NO_ANSWER };
  }
}

// Show another page in this one's place. Scripts in it do not run; it has none but this one.
async function go(address, said) {
  let answer, text;
  try {
    answer = await fetch(address);
    text = await answer.text();
  } catch {
    return refuse(`${said} There is ${NO_ANSWER}.`.trim());
  }
  const there = new DOMParser().parseFromString(text, "text/html");
  if (!answer.ok) return refuse(`${said} ${there.body.textContent}`.trim());
  document.title = there.title;
  document.body.replaceChildren(...there.querySelectorAll("body > header, body > main, body > form"));
  if (answer.url !== location.href) history.pushState(null, "", answer.url);
  begin();
  find("title").focus();
  scrollTo(0, 0);
  say(said);
}

async function once(act) {
  if (isBusy) return;
  isBusy = true;
  try { await act(); } finally { isBusy = false; }
  while (page && waiting.length && !isBusy) replay(waiting.shift());
}

function replay(key) {
  const at = document.activeElement;
  if (page.press(key, at) || key.length > 1 || !at.setRangeText) return;
  at.setRangeText(key, at.selectionStart, at.selectionEnd, "end");
}

function answerPage(form) {
  const points = find("points"), comment = find("comment"), keys = find("keys");
  const help = find("help"), earlier = find("earlier"), data = form.dataset;
  const offered = earlier ? [...earlier.querySelectorAll("button")] : [];
  let seen = { points: data.points, comment: data.comment };
  let isFirst = true;

  const typed = () => ({
    points: points.value.trim().replace(",", "."),
    comment: comment.value.trim().split(/\s+/).join(" "),
  });
  const isChanged = () => words(typed()) !== words(seen);

  function show() {
    points.value = seen.points;
    comment.value = seen.comment;
    isFirst = true;
  }

  function keep() {
    sessionStorage.setItem("given", JSON.stringify(given));
  }

  async function store() {
    const told = await send(data.here, typed(), seen);
    if (told.status === 200) {
      given.push({ here: data.here, page: data.page, who: data.who, before: seen, after: told.stored });
      keep();
      seen = told.stored;
      show();
      return `Stored: ${data.who}, ${words(seen)}.`;
    }
    if (told.now) seen = told.now;
    refuse(`Not stored: ${told.said}.` + (told.now ? " Enter stores yours in its place." : ""));
    return "";
  }

  async function leave(address, isEnter) {
    let said = "";
    if (isChanged() || (isEnter && data.outdated)) {
      said = await store();
      if (!said) return;
    }
    await go(address, said);
  }

  async function undo() {
    if (isChanged()) {
      show();
      return say("Taken back: what was typed here and not stored.");
    }
    const last = given.at(-1);
    if (!last) return say("Nothing was stored in this tab that could be taken back.");
    const told = await send(last.here, last.before, last.after);
    if (told.status === 200 || told.now) {
      given.pop();
      keep();
    }
    if (told.status !== 200) return refuse(`Not taken back for ${last.who}: ${told.said}.`);
    await go(last.page, `Taken back: ${last.who}, ${words(last.after)}. It has ${words(last.before)} again.`);
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

  const to = (id) => () => once(() => leave(find(id).href));
  const enter = () => once(() => leave(find("unmarked").href, true));
  const acts = {
    c: () => comment.focus(),
    r: () => (offered[0] || comment).focus(),
    n: to("next"),
    p: to("previous"),
    u: () => once(undo),
    w: () => find("whole") && find("whole").click(),
    h: to("names"),
    o: to("overview"),
    "?": () => { help.open = !help.open; },
    Backspace: () => { points.value = points.value.slice(0, -1); isFirst = false; },
  };
  acts.ArrowRight = acts.n;
  acts.ArrowLeft = acts.p;

  // Whether the key did something here, so that the browser is not to do its own.
  function press(key, at) {
    if (key === "Enter" && !at.closest("a, button, summary, input[type=checkbox]")) return enter(), true;
    if (key === "Escape") return at.blur(), true;
    if (at === comment || at === points || !keys.checked) return false;
    const choice = offered.includes(at) && offered[key - 1];
    if (choice) return again(choice.value), true;
    if (/^[0-9.,]$/.test(key)) return digit(key.replace(",", ".")), true;
    if (!Object.hasOwn(acts, key)) return false;
    acts[key]();
    return true;
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); enter(); });
  points.addEventListener("input", () => { isFirst = false; });
  offered.forEach((button) => button.addEventListener("click", () => again(button.value)));
  keys.checked = localStorage.getItem("keys") !== "off";
  keys.addEventListener("change", () => localStorage.setItem("keys", keys.checked ? "on" : "off"));
  help.open = localStorage.getItem("help") !== "closed";
  help.addEventListener("toggle", () => localStorage.setItem("help", help.open ? "open" : "closed"));
  return { press, isChanged, leave };
}

function begin() {
  page = find("mark") ? answerPage(find("mark")) : null;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (isBusy) {
    event.preventDefault();
    if (!event.repeat) waiting.push(event.key);
  } else if (page && !(event.repeat && event.key === "Enter") && page.press(event.key, event.target)) {
    event.preventDefault();
  }
});
window.addEventListener("popstate", () => once(() => (page ? page.leave : go)(location.href, "")));
window.addEventListener("beforeunload", (event) => {
  if (page && page.isChanged()) event.preventDefault();
});
begin();
