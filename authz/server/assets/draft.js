// Keeps what is typed into a step of a request: a moment after the last key, and when the page is left.
const form = document.querySelector("form[data-kept]");
let timer = 0;
let typed = false;

async function keep() {
  clearTimeout(timer);
  if (!typed) return;
  typed = false;
  const fields = new FormData(form);
  fields.delete("file");
  fields.set("do", "remember");
  try {
    await fetch(form.action, { method: "POST", body: new URLSearchParams(fields), keepalive: true });
    form.dataset.kept = "yes";
  } catch {
    // It is still on the page, and goes with the next button.
    typed = true;
  }
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
  addEventListener("pagehide", keep);
}
