// Run inside a report: finds figures that draw nothing, labels that leave their figure or stand on
// one another, text that is cut. Leaves what it found as the title of the document.
(() => {
    const wrong = [];
    const svgs = [...document.querySelectorAll("figure svg")];
    for (const svg of svgs) {
        const name = svg.querySelector("title").textContent;
        const edge = svg.getBoundingClientRect();
        if (edge.width < 200 || edge.height < 100)
            wrong.push(`${name}: ${edge.width} x ${edge.height} pixels`);
        const marks = [...svg.querySelectorAll("path, circle, line")];
        if (!marks.some((m) => m.getBoundingClientRect().width > 20))
            wrong.push(`${name}: nothing is drawn`);
        for (const mark of [...marks, ...svg.querySelectorAll("text")]) {
            const box = mark.getBoundingClientRect();
            if (box.left < edge.left - 1 || box.right > edge.right + 1 ||
                box.top < edge.top - 1 || box.bottom > edge.bottom + 1)
                wrong.push(`${name}: outside: ${mark.outerHTML}`);
        }
        const level = [...svg.querySelectorAll("text")]
            .filter((t) => !t.hasAttribute("transform"))
            .map((t) => [t.textContent, t.getBoundingClientRect()]);
        level.forEach(([a, x], i) => level.slice(0, i).forEach(([b, y]) => {
            const width = Math.min(x.right, y.right) - Math.max(x.left, y.left);
            const height = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
            if (width > 1 && height > 5) // boxes of text are taller than its letters
                wrong.push(`${name}: "${a}" stands on "${b}"`);
        }));
    }
    for (const e of document.querySelectorAll("table, .words, h1, h3, p, figcaption"))
        if (e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            wrong.push(`too wide: ${e.outerHTML.slice(0, 200)}`);
    document.title = `${svgs.length} figures; ` + (wrong.length ? wrong.join(" | ") : "all well");
})();
