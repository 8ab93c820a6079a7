"use strict";
// Moves the code from the link's fragment into the form, and out of the browser's history.
if (location.hash.length > 1) {
  document.getElementById("code").value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
}
