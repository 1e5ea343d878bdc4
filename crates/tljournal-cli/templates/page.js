'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  document.querySelectorAll('.controls').forEach((bar) => { bar.hidden = false; });
  const view = byId('view');
  if (view) timeline(view);
  tables();

  // Zoom and pan: what is shown is the part from `from` to `to` of the whole picture, in percent.
  function timeline(view) {
    const plot = byId('plot');
    const ticks = byId('ticks');
    const unit = 10 ** -Number(view.dataset.digits);
    const least = 1e3 * unit;
    const pieces = view.dataset.pieces.split(';').map((text) => {
      const [from, to, x, width, cut] = text.split(',').map(Number);
      return { from, to, x, width, cut };
    });
    let from = 0;
    let to = 100;
    let items = null;
    let asked = 0;

    // What is narrow has one bar on the page, and its phases in `data-p`: they unfold when they can be seen.
    function collect() {
      items = [];
      for (const el of plot.querySelectorAll('[x$="%"]')) {
        const width = el.getAttribute('width');
        const folded = el.parentNode.dataset.p;
        const item = { el, x: parseFloat(el.getAttribute('x')), w: parseFloat(width) || 0, shown: true };
        if (el.localName === 'use') item.mark = true;
        if (el.classList.contains('name')) item.name = true;
        if (folded) {
          item.phases = folded.split(' ').map((phase) => ({ name: phase[0], w: phase.slice(1) * unit }));
          item.w = item.phases.reduce((sum, phase) => sum + phase.w, 0);
        }
        items.push(item);
      }
    }

    function unfold(item) {
      let x = item.x;
      const parts = item.phases.map(({ name, w }) => {
        const el = svg('rect', { class: name });
        const part = { el, x, w, shown: true };
        x += w;
        return part;
      });
      item.el.replaceWith(...parts.map((part) => part.el));
      return parts;
    }

    function draw() {
      asked = 0;
      // At first everything is where it should be: only names and phases depend on how wide the page is.
      const first = !items;
      if (first) collect();
      const scale = 100 / (to - from);
      const pixel = plot.getBoundingClientRect().width / 100;
      const unfolded = [];
      for (const item of items) {
        if (item.phases && item.w * scale * pixel > 3 && item.x < to && item.x + item.w > from) {
          item.gone = true;
          unfolded.push(...unfold(item));
        } else if (!first || item.name) {
          put(item, scale, pixel);
        }
      }
      if (unfolded.length) {
        unfolded.forEach((item) => put(item, scale, pixel));
        items = items.filter((item) => !item.gone).concat(unfolded);
      }
      view.classList.toggle('zoomed', to - from < 100);
      byId('level').value = level(scale);
      axis();
    }

    function put(item, scale, pixel) {
      let left = (item.x - from) * scale;
      let right = left + item.w * scale;
      const shown = right > -2 && left < 102;
      if (shown !== item.shown) {
        item.el.style.display = shown ? '' : 'none';
        item.shown = shown;
      }
      if (!shown) return;
      if (item.mark) {
        item.el.setAttribute('x', left + '%');
        return;
      }
      // A name stays in view as long as its lane does.
      left = Math.max(left, item.name ? 0 : -2);
      right = Math.min(right, 102);
      item.el.setAttribute('x', left + '%');
      item.el.setAttribute('width', Math.max(right - left, 0) + '%');
      if (item.name) {
        const room = (right - left) * pixel;
        item.el.setAttribute('class', 'name n' + (room < 44 ? 0 : room < 88 ? 1 : 2));
      }
    }

    function level(scale) {
      const text = scale < 10 ? scale.toFixed(1).replace('.0', '') : Math.round(scale).toLocaleString('en');
      return text + '×';
    }

    function show(newFrom, newTo) {
      const length = Math.min(100, Math.max(least, newTo - newFrom));
      const middle = (newFrom + newTo) / 2;
      from = Math.min(100 - length, Math.max(0, middle - length / 2));
      to = from + length;
      hide();
      if (!asked) asked = requestAnimationFrame(draw);
    }

    // Zooms around a place, in percent of the view.
    function zoom(factor, at = 50) {
      const fixed = from + (to - from) * at / 100;
      const length = Math.min(100, Math.max(least, (to - from) / factor));
      const start = fixed - length * at / 100;
      show(start, start + length);
    }

    function pan(part) {
      const by = (to - from) * part;
      show(from + by, to + by);
    }

    function place(event) {
      const box = plot.getBoundingClientRect();
      return (event.clientX - box.left) / box.width * 100;
    }

    // The axis: a line wherever there is room for a time.
    function axis() {
      const room = 84 / plot.getBoundingClientRect().width * (to - from);
      const drawn = [];
      const seen = pieces.filter((piece) => !piece.cut && piece.x + piece.width >= from && piece.x <= to);
      let last = -1e9;
      for (const piece of seen) {
        const begin = Math.max(piece.x, from);
        const end = Math.min(piece.x + piece.width, to);
        const length = (piece.to - piece.from) / piece.width;
        const step = nice(room * length);
        const time = (x) => piece.from + (x - piece.x) * length;
        const at = (moment) => piece.x + (moment - piece.from) / length;
        if (begin - last >= room && piece.x >= from) {
          drawn.push([begin, piece.from, seen.length > 1 ? Math.max(step, 1e6) : step]);
          last = begin;
        }
        for (let moment = Math.ceil(time(begin) / step) * step; at(moment) <= end; moment += step) {
          if (at(moment) - last < room) continue;
          last = at(moment);
          drawn.push([last, moment, step]);
        }
      }
      let today = '';
      ticks.replaceChildren(...drawn.filter((tick) => to - tick[0] >= room * .8).map(([x, moment, step]) => {
        const text = stamp(moment);
        const day = text.slice(0, 10);
        const tick = svg('svg', { x: (x - from) / (to - from) * 100 + '%', overflow: 'visible' });
        tick.append(svg('line', { y1: 18, y2: 34 }));
        if (day !== today) tick.append(svg('text', { class: 'day', x: 0, y: 11 }, day));
        today = day;
        const digits = step >= 6e7 && moment % 6e7 === 0 ? 16 : step >= 1e6 ? 19 : step >= 1e3 ? 23 : 26;
        tick.append(svg('text', { x: 4, y: 27 }, text.slice(11, digits)));
        return tick;
      }));
    }

    // The next round number of microseconds.
    function nice(micros) {
      const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500];
      const all = [...steps, ...steps.map((n) => n * 1e3), ...[1, 2, 5, 10, 15, 30].map((n) => n * 1e6),
        ...[1, 2, 5, 10, 15, 30].map((n) => n * 6e7), ...[1, 2, 3, 6, 12, 24, 48, 168].map((n) => n * 36e8)];
      return all.find((step) => step >= micros) || Math.ceil(micros / 864e8) * 864e8;
    }

    // A moment with microseconds; years that no calendar has are left out.
    function stamp(micros) {
      const date = new Date(Math.floor(micros / 1e3));
      if (isNaN(date) || date.getUTCFullYear() > 9999 || date.getUTCFullYear() < 0) return ' '.repeat(26);
      const rest = ((Math.round(micros) % 1e3) + 1e3) % 1e3;
      return date.toISOString().slice(0, 23) + String(rest).padStart(3, '0');
    }

    function svg(name, attributes, text) {
      const el = document.createElementNS('http://www.w3.org/2000/svg', name);
      for (const key in attributes) el.setAttribute(key, attributes[key]);
      if (text !== undefined) el.textContent = text;
      return el;
    }

    // What a title says, in a place of our own. The title is taken out meanwhile, or it would be shown twice.
    const tip = document.createElement('div');
    tip.id = 'tip';
    tip.hidden = true;
    tip.setAttribute('role', 'tooltip');
    document.body.append(tip);
    let told = null;

    function hide() {
      tip.hidden = true;
      if (told) told.el.prepend(told.title);
      told = null;
    }

    function tell(el, x, y) {
      if (!told || told.el !== el) {
        hide();
        const title = el && el.querySelector(':scope > title');
        if (!title) return;
        const [head, ...rest] = title.textContent.split('\n');
        const first = document.createElement('b');
        first.textContent = head;
        tip.replaceChildren(first, rest.join('\n'));
        title.remove();
        told = { el, title };
        tip.hidden = false;
      }
      const box = tip.getBoundingClientRect();
      tip.style.left = Math.max(8, Math.min(x + 12, innerWidth - box.width - 8)) + 'px';
      tip.style.top = (y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 12) : y + 18) + 'px';
    }

    const telling = (target) => target.closest && target.closest('a, .long, .cut');
    plot.addEventListener('pointermove', (event) => {
      if (!held) tell(telling(event.target), event.clientX, event.clientY);
    });
    plot.addEventListener('pointerleave', hide);
    plot.addEventListener('focusin', (event) => {
      const box = event.target.getBoundingClientRect();
      tell(telling(event.target), Math.max(box.left, 0), box.top);
    });
    plot.addEventListener('focusout', hide);

    let held = null;
    let moved = false;
    view.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      held = { x: event.clientX, from, to };
      moved = false;
    });
    addEventListener('pointermove', (event) => {
      if (!held) return;
      const by = (event.clientX - held.x) / plot.getBoundingClientRect().width * (held.to - held.from);
      if (Math.abs(event.clientX - held.x) > 3) moved = true;
      if (!moved) return;
      view.classList.add('held');
      show(held.from - by, held.to - by);
    });
    const release = () => { held = null; view.classList.remove('held'); };
    addEventListener('pointerup', release);
    addEventListener('pointercancel', release);
    view.addEventListener('dragstart', (event) => event.preventDefault());
    view.addEventListener('click', (event) => { if (moved) event.preventDefault(); }, true);
    view.addEventListener('dblclick', (event) => { event.preventDefault(); show(0, 100); });
    view.addEventListener('wheel', (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY)) / 250), place(event));
      } else if (to - from < 100 && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
        event.preventDefault();
        pan((event.deltaX || event.deltaY) / plot.getBoundingClientRect().width);
      }
    }, { passive: false });

    // From one item to the next, so that the timeline is one stop of the Tab key and not thousands.
    function step(by) {
      const links = [...plot.querySelectorAll('a')];
      const now = links.indexOf(document.activeElement);
      const next = links[Math.max(0, Math.min(links.length - 1, now < 0 && by < 0 ? 0 : now + by))];
      if (!next) return;
      const mark = next.querySelector('rect, use');
      if (!items) collect();
      const item = items.find((own) => own.el === mark);
      if (item && (item.x > to || item.x + item.w < from)) {
        show(item.x - (to - from) / 2, item.x + (to - from) / 2);
        cancelAnimationFrame(asked);
        draw();
      }
      next.focus({ preventScroll: false });
    }

    const keys = {
      '+': () => zoom(1.6), '=': () => zoom(1.6), '-': () => zoom(1 / 1.6), _: () => zoom(1 / 1.6),
      ArrowLeft: () => pan(-.15), ArrowRight: () => pan(.15), ArrowDown: () => step(1), ArrowUp: () => step(-1),
      0: () => show(0, 100), Home: () => show(0, 100), Escape: hide,
    };
    view.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    byId('zoom-in').addEventListener('click', () => zoom(2));
    byId('zoom-out').addEventListener('click', () => zoom(.5));
    byId('zoom-all').addEventListener('click', () => show(0, 100));
    addEventListener('resize', () => { if (!asked) asked = requestAnimationFrame(draw); });
    addEventListener('beforeprint', () => { from = 0; to = 100; hide(); if (items) draw(); });
    requestAnimationFrame(draw);
  }

  function tables() {
    const filter = byId('filter');
    let rows = null;
    let asked = 0;
    filter.addEventListener('input', () => {
      cancelAnimationFrame(asked);
      asked = requestAnimationFrame(() => {
        rows = rows || [...document.querySelectorAll('.runs tbody tr, .txns tbody tr, .events tbody tr')].map((el) => ({
          el, text: [...el.cells].map((cell) => cell.textContent).join(' ').toLowerCase(),
        }));
        const wanted = filter.value.trim().toLowerCase();
        let count = 0;
        for (const row of rows) {
          const shown = row.text.includes(wanted);
          row.el.hidden = !shown;
          count += shown;
        }
        for (const group of document.querySelectorAll('.group')) {
          group.hidden = !group.querySelector('tbody tr:not([hidden])');
        }
        byId('matches').value = wanted ? `${count} of ${rows.length} rows` : '';
      });
    });

    const table = byId('runs-table');
    if (!table) return;
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.v || cell.textContent.trim();
      return text !== '' && !isNaN(text) ? Number(text) : text;
    };
    heads.forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener('click', () => {
        const up = head.getAttribute('aria-sort') === 'descending';
        heads.forEach((other) => other.removeAttribute('aria-sort'));
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1);
        const body = table.tBodies[0];
        body.append(...[...body.rows].sort((a, b) => order(value(a, column), value(b, column))));
      });
    });
  }
})();
