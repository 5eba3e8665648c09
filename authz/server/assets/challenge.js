// Does the proof of work of a registration, so that the person need not answer its question: it looks for the number
// whose hash was asked for (the protocol of ALTCHA). Whatever goes wrong, the question is still there.
const proof = document.querySelector("input[name=challenge_proof]");
const question = document.getElementById("f-challenge")?.closest(".field");

async function hash(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function solve({ salt, challenge, most }) {
  const batch = 250;
  for (let from = 0; from <= Number(most); from += batch) {
    const hashes = await Promise.all(Array.from({ length: batch }, (_, n) => hash(salt + (from + n))));
    const found = hashes.indexOf(challenge);
    if (found >= 0) return from + found;
  }
  throw new Error("no number has this hash");
}

async function run() {
  const { salt, challenge, signature } = proof.dataset;
  const status = document.createElement("p");
  status.className = "text quiet-text";
  status.setAttribute("role", "status");
  status.textContent = "Your browser is showing that you are no robot…";
  question.hidden = true;
  question.after(status);
  const form = proof.form;
  let waiting = null;
  const wait = (event) => {
    event.preventDefault();
    waiting = event.submitter;
  };
  form.addEventListener("submit", wait);
  try {
    const number = await solve(proof.dataset);
    proof.value = btoa(JSON.stringify({ algorithm: "SHA-256", challenge, number, salt, signature }));
    status.textContent = "Your browser has shown that you are no robot.";
  } catch {
    question.hidden = false;
    status.remove();
  }
  form.removeEventListener("submit", wait);
  if (waiting) form.requestSubmit(waiting);
}

if (proof && question && window.crypto?.subtle) run();
