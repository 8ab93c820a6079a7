// What pages do beyond forms and links: keys, relative times, copying, live lists, single clicks.
// Every page works without it.
"use strict";

const shortcuts = { n: "[data-key=n]", r: "[data-key=r]", t: "[data-key=t]" };
const rows = () => [...document.querySelectorAll("[data-row]")];

function typing(target) {
  return target.closest("input, textarea, select, [contenteditable]") !== null;
}

function move(step) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.indexOf(document.activeElement.closest("[data-row]"));
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const help = document.getElementById("keys");
  if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) { event.preventDefault(); search.focus(); search.select(); }
  } else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "?" && help && !help.open) help.showModal();
  else if (event.key in shortcuts) {
    const found = document.querySelector(shortcuts[event.key]);
    if (found) { event.preventDefault(); found.click(); }
  }
});

// A form is sent once, however often its button is clicked. (The server refuses a second one too.)
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.getAttribute("method") === "dialog") return;
  if (form.dataset.sent) { event.preventDefault(); event.stopImmediatePropagation(); return; }
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) { event.preventDefault(); event.stopImmediatePropagation(); return; }
  if (form.method === "post") form.dataset.sent = "yes";
}, true);
document.addEventListener("htmx:finally:request", (event) => {
  // Other requests of the page may end meanwhile.
  const form = event.detail?.ctx?.sourceElement;
  if (form instanceof HTMLFormElement) delete form.dataset.sent;
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button || !navigator.clipboard) return;
  event.preventDefault();
  // A link leads to what is copied: without this, it is downloaded.
  const text = button.href
    ? await (await fetch(button.href)).text()
    : document.getElementById(button.dataset.copy).textContent;
  await navigator.clipboard.writeText(text);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});

const units = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];
function relative(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [unit, name] = units.find(([each]) => size >= each);
  const text = `${Math.floor(size / unit)} ${name}`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}
function tick() {
  const now = Date.now();
  for (const each of document.querySelectorAll("time.rel")) {
    const passed = (now - Date.parse(each.dateTime)) / 1000;
    each.textContent = relative(each.classList.contains("due") ? Math.min(0, passed) : passed);
  }
}
function localTimes() {
  for (const each of document.querySelectorAll("time:not([data-local])")) {
    each.title += `\n${new Date(each.dateTime).toLocaleString()} local`;
    each.dataset.local = "yes";
  }
}
// In narrow windows the navigation and the tabs are wider than the page.
function showCurrent() {
  for (const each of document.querySelectorAll(":is(.side, .tabs) > [aria-current]")) {
    const bar = each.parentElement;
    bar.scrollLeft = each.offsetLeft - bar.offsetLeft - (bar.clientWidth - each.offsetWidth) / 2;
  }
}
setInterval(tick, 1000);

// A page takes the place of another: a focus that went with that one goes on with the content.
function goOn() {
  if (document.activeElement !== document.body) return;
  const main = document.getElementById("main");
  (main?.querySelector("[autofocus]") ?? main)?.focus({ preventScroll: true });
}
document.addEventListener("htmx:after:history:update", () => requestAnimationFrame(goOn));

document.addEventListener("DOMContentLoaded", localTimes);
document.addEventListener("DOMContentLoaded", showCurrent);
document.addEventListener("htmx:after:history:update", () => requestAnimationFrame(showCurrent));
document.addEventListener("htmx:after:swap", localTimes);
document.addEventListener("live:refreshed", localTimes);
