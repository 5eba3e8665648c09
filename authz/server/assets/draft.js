// Keeps what is typed into a step of a request: a moment after the last key, and when the page is left.
const form = document.querySelector("form[data-kept]");
let timer = 0;
let typed = false;
let sending = false;

async function keep(leaving) {
  clearTimeout(timer);
  if (!typed) return;
  if (sending && !leaving) {
    // One after the other: what was typed first must not arrive last.
    timer = setTimeout(keep, 400);
    return;
  }
  typed = false;
  sending = true;
  const fields = new FormData(form);
  fields.delete("file");
  fields.set("do", "remember");
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(fields), keepalive: true });
    if (answer.ok && !typed) form.dataset.kept = "yes";
  } catch {
    // It is still on the page, and goes with the next button.
  }
  sending = false;
}

if (form) {
  form.addEventListener("input", () => {
    typed = true;
    form.dataset.kept = "";
    clearTimeout(timer);
    timer = setTimeout(keep, 400);
  });
  form.addEventListener("submit", () => {
    clearTimeout(timer);
    typed = false;
  });
  addEventListener("pagehide", () => keep(true));
}
