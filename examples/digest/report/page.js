// The filter: shows the documents that have every word that is typed. Without it the page is still whole.
"use strict";
(() => {
  const form = document.querySelector(".filter");
  const input = form.querySelector("input");
  const output = form.querySelector("output");
  const nothing = document.querySelector(".nothing");
  const folders = [...document.querySelectorAll(".folder")].map((element) => ({
    element,
    documents: [...element.querySelectorAll(".card, .line")].map((element) => ({ element, text: null })),
  }));
  const all = folders.reduce((sum, folder) => sum + folder.documents.length, 0);
  const narrow = matchMedia("(max-width: 56rem)");

  const textOf = (document) => (document.text ??= document.element.textContent.toLowerCase());

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const folder of folders) {
      let shownHere = 0;
      for (const document of folder.documents) {
        const fits = words.every((word) => textOf(document).includes(word));
        document.element.hidden = !fits;
        shownHere += fits;
      }
      folder.element.hidden = shownHere === 0;
      for (const list of folder.element.querySelectorAll(".lines")) {
        list.hidden = !list.querySelector(".line:not([hidden])");
      }
      shown += shownHere;
    }
    nothing.hidden = shown > 0;
    output.textContent = words.length ? `${shown.toLocaleString("en")} of ${all.toLocaleString("en")}` : "";
  }

  let waiting;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 80);
  };

  function show(word) {
    input.value = word;
    filter();
    document.querySelector("#documents").scrollIntoView();
  }

  form.hidden = all < 2;
  if (narrow.matches) document.querySelector("nav details").open = false;
  input.addEventListener("input", soon);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("click", (event) => {
    const word = event.target.closest("[data-word]");
    if (word) show(word.dataset.word);
    const link = event.target.closest('a[href^="#d"]');
    if (link && document.querySelector(link.getAttribute("href"))?.hidden) show("");
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    } else if (event.key === "Escape" && document.activeElement === input) {
      show("");
      input.blur();
    }
  });
})();
