// A click on a heading sorts its table; a click on a picture shows it in full.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const ascending = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const text = (row) => row.cells[column].textContent;
      const byText = (a, b) => text(a).localeCompare(text(b), undefined, { numeric: true });
      const byNumber = (a, b) => text(a) - text(b);
      const rows = [...body.rows].sort(column < 2 ? byText : byNumber);
      body.append(...(ascending ? rows : rows.reverse()));
    };
  });
}
const dialog = document.querySelector("dialog");
const picture = dialog.querySelector("img");
for (const zoom of document.querySelectorAll(".zoom")) {
  zoom.onclick = () => {
    picture.src = zoom.firstElementChild.src;
    picture.alt = zoom.firstElementChild.alt;
    dialog.showModal();
  };
}
dialog.querySelector("button").onclick = () => dialog.close();
