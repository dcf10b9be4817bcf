// Returns what is wrong with a page for people who use a screen reader or a keyboard, or see little
// contrast: a list of texts.
(() => {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const visible = (e) => e.checkVisibility() && e.getClientRects().length > 0;
  const shown = (e) => `<${e.localName} class="${e.getAttribute("class") || ""}"> ${e.textContent.trim().slice(0, 40)}`;
  const check = (holds, text, e) => holds || problems.push(e ? `${text}: ${shown(e)}` : text);

  // Contrast, as WCAG 2 computes it.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => {
    const [r, g, b] = rgba(color).slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  };
  const backgrounds = (e) => {
    const bar = e.previousElementSibling;
    if (bar && bar.matches("svg.bar")) {
      return [getComputedStyle(bar).backgroundColor, getComputedStyle(bar.firstElementChild).fill];
    }
    for (; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (rgba(color)[3] > 0) {
        check(rgba(color)[3] === 255, "a background is not opaque", e);
        return [color];
      }
    }
    return ["white"];
  };
  let texts = 0;
  for (const e of all("body *")) {
    if (!visible(e) || e.closest("svg") || ![...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) {
      continue;
    }
    texts++;
    for (const background of backgrounds(e)) {
      const ratio = contrast(getComputedStyle(e).color, background);
      check(ratio >= 4.5, `contrast of ${ratio.toFixed(2)}`, e);
    }
    check(parseFloat(getComputedStyle(e).fontSize) >= 12, "small text", e);
  }
  check(texts > 10, `only ${texts} texts`);

  // Structure.
  check(document.documentElement.lang === "en", "no language");
  check(document.title.length > 0, "no title");
  for (const landmark of ["header", "main", "footer", "nav"]) {
    check(all(landmark).length === 1, `not one ${landmark}`);
  }
  const headings = all("h1, h2, h3, h4, h5, h6").filter(visible);
  check(headings.filter((h) => h.localName === "h1").length === 1, "not one h1");
  headings.reduce((before, h) => {
    const level = Number(h.localName[1]);
    check(level <= before + 1, `h${level} after h${before}`, h);
    return level;
  }, 0);
  for (const e of document.body.children) {
    check(e.matches("header, main, footer, a.skip"), "outside of all landmarks", e);
  }
  const ids = all("[id]").map((e) => e.id);
  check(new Set(ids).size === ids.length, "an id is used twice");
  for (const attribute of ["aria-labelledby", "href"]) {
    for (const e of all(`[${attribute}]`)) {
      const value = e.getAttribute(attribute);
      check(attribute === "href" ? value[0] !== "#" || document.getElementById(value.slice(1)) : document.getElementById(value), `${attribute} without a target`, e);
    }
  }

  // Tables.
  for (const table of all("table")) {
    check(table.caption && table.caption.textContent.trim(), "a table without caption", table);
    check(table.querySelector("thead th"), "a table without headers", table);
    for (const th of table.querySelectorAll("th")) {
      check(["col", "row"].includes(th.scope) && th.textContent.trim(), "a header without scope or text", th);
    }
    for (const tr of table.querySelectorAll("tr")) {
      const columns = [...tr.cells].reduce((n, cell) => n + cell.colSpan, 0);
      check(columns === table.tHead.rows[0].cells.length, "a row with other columns than the header", tr);
    }
  }

  // Names, and what the keyboard reaches.
  for (const e of all("a, summary, section, [role=region], nav")) {
    const label = document.getElementById(e.getAttribute("aria-labelledby")) || e;
    check(e.getAttribute("aria-label") || label.textContent.trim(), "no name", e);
  }
  for (const e of all("svg")) {
    check(e.getAttribute("aria-hidden") === "true" || (e.getAttribute("role") === "img" && e.getAttribute("aria-label")), "an image without a name", e);
  }
  for (const e of all("a, summary").filter(visible)) {
    e.focus();
    check(document.activeElement === e, "the keyboard does not reach", e);
    const style = getComputedStyle(e);
    check(style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2, "no visible focus", e);
  }
  check(all("[style], [tabindex]:not([tabindex='-1']), script:not([src]), style, form, input, button").length === 0, "inline style or script, or a control");
  for (const dl of all("dl")) {
    check([...dl.children].every((e) => e.localName === "div" && e.children[0].localName === "dt" && e.children[1].localName === "dd"), "a list without terms", dl);
  }
  return problems;
})()
