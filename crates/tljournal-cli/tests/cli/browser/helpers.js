// What the probes of the tests share.
const find = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
// Two frames: what was asked for in one is drawn in the next.
const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const key = (name) => { find('#view').dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true })); return drawn(); };
const point = (kind, el, x, y, more) => el.dispatchEvent(new PointerEvent(kind, { clientX: x, clientY: y, button: 0, bubbles: true, cancelable: true, ...more }));
const middle = (el) => { const box = el.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
const level = () => find('#level').value;
const tip = () => find('#tip').hidden ? null : find('#tip').innerText;
// Where the bar of a transaction or a run is.
const bar = (href) => { const box = find(`#plot a[href="${href}"] rect`).getBoundingClientRect(); return [box.left, box.width]; };
