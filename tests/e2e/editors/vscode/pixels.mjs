// What two pictures of a page differ in, and where something stands on it. Knows no editor.

/** The box around the pixels that are not the same in two PNGs of one size, and their number. */
export function difference(page, one, other) {
  return page.evaluate(async (pictures) => {
    const [a, b] = await Promise.all(pictures.map(async (base64) => {
      const octets = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([octets], { type: "image/png" }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
      context.drawImage(bitmap, 0, 0);
      return context.getImageData(0, 0, bitmap.width, bitmap.height);
    }));
    const box = { left: a.width, top: a.height, right: 0, bottom: 0, n: 0 };
    for (let at = 0; at < a.data.length; at += 4) {
      if ([0, 1, 2].every((channel) => a.data[at + channel] === b.data[at + channel])) continue;
      const x = (at / 4) % a.width, y = Math.floor(at / 4 / a.width);
      Object.assign(box, { left: Math.min(box.left, x), right: Math.max(box.right, x + 1) });
      Object.assign(box, { top: Math.min(box.top, y), bottom: Math.max(box.bottom, y + 1), n: box.n + 1 });
    }
    return box;
  }, [one, other].map((png) => png.toString("base64")));
}

/** The box around all elements of a kind that hold text. */
export function union(page, selector) {
  return page.evaluate((kind) => {
    const boxes = [...document.querySelectorAll(kind)].filter((each) => each.textContent.trim()).map((each) => {
      const range = document.createRange();
      range.selectNodeContents(each);
      return range.getBoundingClientRect();
    });
    const most = (pick, side) => pick(...boxes.map((box) => box[side]));
    return {
      left: most(Math.min, "left"), top: most(Math.min, "top"),
      right: most(Math.max, "right"), bottom: most(Math.max, "bottom"),
    };
  }, selector);
}
