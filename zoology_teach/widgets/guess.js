// A guess that the browser keeps, by chapter and question: in its storage, or where it has none
// as long as the page is open. The widgets of a guess begin with these lines.
const PLACE = "zoology_teach/guess/", CHANGED = "zoology_teach-guess";
const onThisPage = (globalThis.zoologyTeachGuesses ??= new Map());

function kept(key) {
  try {
    return localStorage.getItem(PLACE + key) ?? onThisPage.get(key) ?? null;
  } catch {
    return onThisPage.get(key) ?? null;
  }
}

function keep(key, guess) {
  onThisPage.set(key, guess);
  let where = "in this browser";
  try {
    localStorage.setItem(PLACE + key, guess);
  } catch {
    where = "while this page is open";
  }
  window.dispatchEvent(new CustomEvent(CHANGED, { detail: key }));
  return where;
}
