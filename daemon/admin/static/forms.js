// What forms do beyond being sent: groups of checkboxes, errors while typing, and the banner that is
// shown while the server cannot answer. Every form works without it.

const byId = (id) => document.getElementById(id);

// "All" and "None" of a group; the server does the same for browsers without scripts.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-check], [data-uncheck]");
  if (!button) return;
  event.preventDefault();
  const start = button.dataset.check ?? button.dataset.uncheck;
  const form = button.form;
  for (const each of form.querySelectorAll(`input[type=checkbox][name^="${start}"]`)) {
    each.checked = button.dataset.check !== undefined;
  }
  form.dispatchEvent(new Event("input", { bubbles: true }));
});

// What is wrong is announced, and comes into view.
function showErrors() {
  const summary = byId("errors");
  if (summary && !summary.dataset.shown) {
    summary.dataset.shown = "yes";
    summary.focus();
  }
}
document.addEventListener("htmx:after:swap", () => {
  const url = byId("endpointUrl");
  if (url) url.toggleAttribute("aria-invalid", byId("endpointUrl-error").querySelector(".error") !== null);
  if (url?.hasAttribute("aria-invalid")) url.setAttribute("aria-invalid", "true");
  showErrors();
});
showErrors();

// A page that the browser keeps for its Back button keeps no secret.
addEventListener("pagehide", () => {
  for (const each of document.querySelectorAll("[data-secret]")) each.textContent = "shown once";
});

// While the server cannot answer, the page stays as it is, with all that was typed.
let asking = null;
function away(sentence) {
  const banner = byId("away");
  if (!banner || !banner.hidden) return;
  banner.querySelector("span").textContent = `${sentence} Since ${new Date().toLocaleTimeString()}. What you typed is kept.`;
  banner.hidden = false;
  asking ??= setInterval(ask, 2000);
}
function back() {
  clearInterval(asking);
  asking = null;
  const banner = byId("away");
  if (banner) banner.hidden = true;
}
async function ask() {
  try {
    const answer = await fetch(location.href, { method: "HEAD" });
    if (answer.status < 500) back();
  } catch { /* still away */ }
}
document.addEventListener("htmx:before:response", (event) => {
  const status = event.detail.ctx.response.status;
  if (status < 500) return back();
  event.preventDefault();
  away(status === 503 ? "The database is away." : "Something went wrong on our side.");
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx && !event.detail.ctx.response) away("The server does not answer.");
});

// The help of the keyboard, which is there only with scripts.
function showKeys() {
  for (const each of document.querySelectorAll("[data-opens]")) each.hidden = false;
}
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) byId(opener.dataset.opens).showModal();
});
document.addEventListener("htmx:after:swap", showKeys);
showKeys();
