"""How soon an explorer answers, measured in the page itself."""

# From the key to the new words: milliseconds in window.answered.
TIMED = """() => {
    delete window.answered;
    let pressed;
    document.addEventListener("keydown", () => (pressed = performance.now()),
                              { capture: true, once: true });
    const observer = new MutationObserver(() => {
        window.answered = performance.now() - pressed;
        observer.disconnect();
    });
    const canvas = document.querySelector("canvas[role=img]");
    observer.observe(canvas, { attributeFilter: ["aria-label"] });
}"""
