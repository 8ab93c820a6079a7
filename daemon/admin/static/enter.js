// Enters with the code in the address, which is then removed from it, and from the history.
const code = location.hash.slice(1);
const form = document.getElementById("enter");
if (code && form && !document.getElementById("error")) {
  history.replaceState(null, "", location.pathname);
  form.elements.code.value = code;
  form.requestSubmit();
}
