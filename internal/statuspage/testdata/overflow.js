// Returns what is wider than the window: a list of texts.
(() => {
  const width = document.documentElement.clientWidth;
  const problems = [];
  if (document.scrollingElement.scrollWidth > width) {
    problems.push(`the page is ${document.scrollingElement.scrollWidth} wide, the window ${width}`);
  }
  for (const e of document.querySelectorAll("body *")) {
    const box = e.getBoundingClientRect();
    if (e.checkVisibility() && !e.closest(".unseen, .skip") && box.width > 0 && (box.right > width + 1 || box.left < 0)) {
      problems.push(`<${e.localName} class="${e.getAttribute("class") || ""}"> from ${box.left} to ${box.right}: ${e.textContent.trim().slice(0, 40)}`);
    }
    if (e.checkVisibility() && !e.closest(".unseen, svg") && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline") {
      problems.push(`<${e.localName} class="${e.getAttribute("class") || ""}"> has ${e.scrollWidth} pixels in ${e.clientWidth}: ${e.textContent.trim().slice(0, 40)}`);
    }
  }
  return problems;
})()
