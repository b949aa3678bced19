"use strict";
// Shows only the submissions that match the form. Without scripts, everybody is shown and there is no form.
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const rows = [...document.querySelectorAll("[data-name]")];
  const everybody = document.querySelectorAll("tr[data-name]").length;
  const show = () => {
    const name = form.elements.name.value.trim().toLowerCase();
    const state = form.elements.state.value;
    const check = form.elements.check.value;
    let shown = 0;
    for (const row of rows) {
      const fits =
        row.dataset.name.toLowerCase().includes(name) &&
        (state === "" || row.dataset.state === state) &&
        (check === "" || row.dataset.lost.split(" ").includes(check));
      row.hidden = !fits;
      if (fits && row.tagName === "TR") shown += 1;
    }
    form.querySelector("output").value = shown === everybody ? "" : `${shown} of ${everybody}`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
