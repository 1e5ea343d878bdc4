//! The page of `tljournal report --html` in a real browser.

mod chromium;
mod world;

use chromium::{Browser, Look, has_chromium};
use world::World;

#[test]
fn the_page_runs_its_script_without_requests_or_errors() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(20, 6).page(&[]);
    let mut browser = Browser::show(&page, Look::default());
    // The policy names the script by its digest; the controls show that it ran.
    let told = browser
        .probe("await drawn(); return all('.controls').filter((el) => el.offsetParent).length;");
    assert_eq!(told, 2);
    assert_eq!(browser.complaints, [""; 0]);
    assert_eq!(browser.requests, [""; 0]);
    // A request, if it made one, would be refused.
    let told = browser.probe(
        "const refused = new Promise((done) => addEventListener('securitypolicyviolation', (event) => done(event.violatedDirective)));
         new Image().src = 'https://example.org/x.png';
         return refused;",
    );
    assert_eq!(told, "img-src");
    let script = browser.probe(
        "const script = document.createElement('script');
         script.textContent = 'window.ran = 1';
         document.body.append(script);
         return window.ran === undefined;",
    );
    assert_eq!(script, true);
}

#[test]
fn buttons_keys_wheel_and_hand_change_what_is_shown() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(20, 6).page(&[]);
    let told = Browser::show(&page, Look::default()).probe("await drawn();
         const seen = {};
         const look = () => ({ level: level(), bar: bar('#run-1010'), ticks: find('#ticks').textContent });
         seen.start = look();
         find('#zoom-in').click(); await drawn(); seen.button = look();
         await key('+'); seen.key = look();
         await key('ArrowRight'); seen.right = look();
         await key('0'); seen.all = look();
         const [x, y] = middle(find('#plot a[href=\"#run-1010\"] .rail'));
         find('#plot').dispatchEvent(new WheelEvent('wheel', { deltaY: -400, ctrlKey: true, clientX: x, clientY: y, bubbles: true, cancelable: true }));
         await drawn(); seen.wheel = look(); seen.x = x;
         point('pointerdown', find('#plot'), x, y); point('pointermove', document.body, x - 60, y); await drawn();
         point('pointerup', document.body, x - 60, y); seen.hand = look();
         find('#view').dispatchEvent(new MouseEvent('dblclick', { bubbles: true, cancelable: true })); await drawn();
         seen.end = look();
         for (let n = 0; n < 60; n++) await key('+');
         seen.near = look();
         return seen;",
    );
    let number = |at: &str, index: usize| told[at]["bar"][index].as_f64().unwrap();
    assert_eq!(told["start"]["level"], "1×");
    assert_eq!(told["button"]["level"], "2×");
    assert_eq!(told["key"]["level"], "3.2×");
    let grew = number("button", 1) / number("start", 1);
    assert!((1.7..2.3).contains(&grew), "{told}");
    assert_ne!(told["button"]["ticks"], told["start"]["ticks"], "{told}");
    assert!(number("right", 0) < number("key", 0), "{told}");
    assert_eq!(told["all"], told["start"]);
    // The point under the pointer stays in place.
    let middle = number("wheel", 0) + number("wheel", 1) / 2.0;
    assert!((middle - told["x"].as_f64().unwrap()).abs() < 2.0, "{told}");
    let moved = number("wheel", 0) - number("hand", 0);
    assert!((58.0..62.0).contains(&moved), "{told}");
    assert_eq!(told["end"], told["start"]);
    assert_ne!(told["near"]["level"], "1×");
}

#[test]
fn hovering_and_keys_show_details_and_a_click_leads_to_the_row() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(20, 6).page(&[]);
    let told = Browser::show(&page, Look::default()).probe("await drawn();
         const seen = {};
         const txn = find('#plot a[href=\"#t1003\"]');
         const [x, y] = middle(txn.querySelector('rect'));
         point('pointermove', txn.querySelector('rect'), x, y);
         seen.hover = tip(); seen.title = txn.querySelector('title');
         const box = find('#tip').getBoundingClientRect();
         seen.inside = box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight;
         point('pointerleave', find('#plot'), 0, 0);
         seen.left = tip(); seen.back = txn.querySelector('title').textContent;
         find('#view').focus();
         await key('ArrowDown'); seen.first = tip(); seen.focused = document.activeElement.getAttribute('href');
         await key('ArrowDown'); seen.second = tip();
         await key('Escape'); seen.escaped = tip();
         seen.stops = all('#plot [tabindex]').filter((el) => el.tabIndex >= 0).length;
         txn.querySelector('rect').dispatchEvent(new MouseEvent('click', { bubbles: true, cancelable: true }));
         await drawn();
         seen.hash = location.hash; seen.row = find('tr:target').cells[0].textContent;
         return seen;",
    );
    let hover = told["hover"].as_str().unwrap();
    assert!(hover.starts_with("Txn 1003, applied\n"), "{told}");
    assert!(hover.contains("publish fetch 2"), "{told}");
    assert!(
        hover.contains("staging 600 ms, waiting 100 ms, committing 200 ms"),
        "{told}"
    );
    // Otherwise it would be shown twice.
    assert!(told["title"].is_null() && told["left"].is_null(), "{told}");
    assert_eq!(told["back"], hover);
    assert_eq!(told["inside"], true);
    assert_eq!(told["focused"], "#run-1000");
    assert!(
        told["first"].as_str().unwrap().starts_with("Run 1000, ok"),
        "{told}"
    );
    assert!(
        told["second"].as_str().unwrap().starts_with("Txn 1001,"),
        "{told}"
    );
    assert!(told["escaped"].is_null());
    assert_eq!(told["stops"], 0, "the timeline is one stop of the Tab key");
    assert_eq!(
        (&told["hash"], &told["row"]),
        (&"#t1003".into(), &"1003".into())
    );
}

#[test]
fn the_filter_and_the_heads_of_columns_find_and_sort_rows() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(20, 6).page(&[]);
    let told = Browser::show(&page, Look::default()).probe("await drawn();
         const seen = {};
         const filter = async (text) => {
           find('#filter').value = text;
           find('#filter').dispatchEvent(new Event('input', { bubbles: true })); await drawn();
           return { rows: all('tbody tr').filter((el) => el.offsetParent).map((el) => el.id), said: find('#matches').value };
         };
         seen.one = await filter('PUBLISH kits 3');
         seen.none = await filter('nothing is called so');
         seen.all = (await filter('')).rows.length;
         seen.rows = all('.runs tbody tr, .txns tbody tr, .events tbody tr').length;
         const column = (n) => all('#runs-table tbody tr').map((row) => row.cells[n].textContent.trim());
         const heads = all('#runs-table th button');
         heads[3].click(); seen.longest = column(3)[0]; seen.sorted = find('#runs-table th[aria-sort]').ariaSort;
         heads[3].click(); seen.shortest = column(3)[0];
         heads[0].click(); seen.latest = column(0)[0];
         return seen;",
    );
    let rows = told["one"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4, "one for each run called kits: {told}");
    assert_eq!(told["none"]["rows"], serde_json::json!([]));
    assert!(
        told["none"]["said"].as_str().unwrap().starts_with("0 of "),
        "{told}"
    );
    assert_eq!(told["all"], told["rows"]);
    assert_eq!(told["longest"], "3 min 0 s");
    assert_eq!(told["sorted"], "descending");
    assert_ne!(told["shortest"], told["longest"]);
    assert_eq!(told["latest"], "1019");
}

#[test]
fn without_scripts_everything_is_listed_and_drawn() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(20, 6).page(&[]);
    let look = Look {
        script: false,
        ..Look::default()
    };
    let told = Browser::show(&page, look).probe("const bars = all('#plot a rect').filter((el) => el.getBoundingClientRect().height > 0);
         const places = new Set(bars.map((el) => Math.round(el.getBoundingClientRect().left)));
         const title = (href) => find(`#plot a[href=\"${href}\"] title`).textContent;
         return {
           controls: all('.controls').filter((el) => el.offsetParent).length,
           bars: bars.length, places: places.size,
           runs: all('#runs-table tbody tr').length, txns: all('.txns tbody tr').length,
           run: title('#run-1007'), txn: title('#t1003'),
           row: find('#t1003').textContent, dead: all('#plot .mark.dead').length, ticks: all('#ticks text').length,
           cuts: all('#plot .cut title').map((el) => el.textContent),
           untitled: all('#plot a').filter((el) => !el.querySelector('title').textContent).length,
         };",
    );
    assert_eq!(told["controls"], 0);
    assert_eq!((&told["runs"], &told["txns"]), (&21.into(), &121.into()));
    assert!(told["bars"].as_u64() >= Some(140), "{told}");
    assert!(told["places"].as_u64() >= Some(60), "{told}");
    assert_eq!(told["untitled"], 0);
    assert_eq!(told["dead"], 2);
    assert!(told["ticks"].as_u64() >= Some(4), "{told}");
    assert!(
        told["run"]
            .as_str()
            .unwrap()
            .starts_with("Run 1007, found dead\nvariant\n"),
        "{told}"
    );
    let row = told["row"].as_str().unwrap();
    for fact in [
        "1003",
        "publish fetch 2",
        "put build/state/publish fetch 2",
        "600 ms",
        "100 ms",
        "200 ms",
        "applied",
    ] {
        assert!(row.contains(fact), "{fact}: {told}");
    }
    let cuts = told["cuts"].as_array().unwrap();
    assert!(
        cuts.len() >= 3 && cuts[0].as_str().unwrap().contains("1 h "),
        "{told}"
    );
}

#[test]
fn light_and_dark_differ_and_both_are_readable() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(10, 3).page(&[]);
    let colours = |dark| {
        let look = Look {
            dark,
            ..Look::default()
        };
        Browser::show(&page, look).probe("const light = (text) => {
               const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
               return .2126 * parts[0] + .7152 * parts[1] + .0722 * parts[2];
             };
             const ground = getComputedStyle(document.body).backgroundColor;
             const contrast = (text) => { const [a, b] = [light(text), light(ground)].sort((a, b) => b - a); return (a + .05) / (b + .05); };
             const of = (selector, name) => getComputedStyle(find(selector))[name];
             return { ground, text: contrast(of('body', 'color')), muted: contrast(of('.note', 'color')), link: contrast(of('.txns ~ *, h3 a', 'color')),
               bad: contrast(of('.end.failed', 'color')), drawn: contrast(of('#plot .c, #plot .s', 'stroke')), axis: contrast(of('#axis text', 'fill')) };",
        )
    };
    let (light, dark) = (colours(false), colours(true));
    assert_ne!(light["ground"], dark["ground"]);
    for colours in [light, dark] {
        for what in ["text", "muted", "link", "bad", "axis"] {
            assert!(colours[what].as_f64().unwrap() >= 4.5, "{what}: {colours}");
        }
    }
}

#[test]
fn a_narrow_page_and_a_wide_one_show_everything_without_scrolling_sideways() {
    if !has_chromium() {
        return;
    }
    let world = World::with_past(10, 3);
    world.add_hostile(&"wide".repeat(2_600));
    let page = world.page(&[]);
    for width in [400, 820, 1600] {
        let look = Look {
            width,
            ..Look::default()
        };
        let told = Browser::show(&page, look).probe("await drawn();
             all('details').forEach((el) => { el.open = true; });
             const out = all('body *').filter((el) => el.getBoundingClientRect().right > innerWidth + 1 && !el.closest('.scroll, #plot, #axis, thead'));
             return { width: innerWidth, page: document.documentElement.scrollWidth, out: out.map((el) => el.outerHTML.slice(0, 90)) };",
        );
        assert_eq!(told["width"], width);
        assert_eq!(told["page"], width, "{told}");
        assert_eq!(told["out"], serde_json::json!([]));
    }
}

#[test]
fn g8_hostile_names_are_only_text() {
    if !has_chromium() {
        return;
    }
    let evil = "</script></title></svg></textarea><script>window.hacked=1</script><img src=x onerror=\"hacked=1\">\
                '\"`--><a href=javascript:hacked=1>\u{202e}x\n\u{1b}[31m{{7*7}}<style>*{display:none}</style>";
    let world = World::with_past(5, 2);
    world.add_hostile(evil);
    let page = world.page(&[]);
    assert!(!page.contains(['\u{202e}', '\u{1b}']));
    let told = Browser::show(&page, Look::default()).probe("await drawn();
         const mark = find('#plot a[href=\"#t900000\"] rect');
         point('pointermove', mark, ...middle(mark));
         const shown = tip();
         find('#view').focus(); for (let n = 0; n < 30; n++) await key('ArrowDown');
         return { hacked: window.hacked === undefined, images: document.images.length, scripts: document.scripts.length,
           styles: document.styleSheets.length, links: all('a').map((el) => el.getAttribute('href')).filter((href) => !href.startsWith('#')),
           handlers: all('*').filter((el) => [...el.attributes].some((own) => own.name.startsWith('on'))).length,
           shown, row: find('#t900000').textContent, seen: getComputedStyle(document.body).display };",
    );
    assert_eq!(told["hacked"], true);
    let counts = [
        &told["images"],
        &told["handlers"],
        &told["scripts"],
        &told["styles"],
    ];
    assert_eq!(counts, [0, 0, 1, 1]);
    assert_eq!(told["links"], serde_json::json!([]));
    assert_eq!(told["seen"], "block");
    for text in [&told["shown"], &told["row"]] {
        let text = text.as_str().unwrap();
        assert!(text.contains("</script></title></svg>"), "{told}");
        assert!(text.contains("\\u{202e}x\\n\\u{1b}[31m{{7*7}}"), "{told}");
    }
}

#[test]
fn an_empty_journal_has_a_page() {
    if !has_chromium() {
        return;
    }
    let page = World::new().page(&[]);
    let told = Browser::show(&page, Look::default()).probe(
        "await drawn(); return { text: document.body.innerText, tables: all('table').length };",
    );
    let text = told["text"].as_str().unwrap();
    assert!(text.contains("Nothing is recorded yet"), "{text}");
    assert!(text.contains("there is nothing to draw yet"), "{text}");
    assert_eq!(told["tables"], 0);
}

#[test]
fn a_printed_page_is_light_and_complete() {
    if !has_chromium() {
        return;
    }
    let page = World::with_past(60, 3).page(&[]);
    let look = Look {
        print: true,
        dark: true,
        ..Look::default()
    };
    let mut browser = Browser::show(&page, look);
    let told = browser.probe(
        "find('#view').scrollTop = 0;
         const lanes = find('.lanes');
         const shown = (el) => el.checkVisibility({ contentVisibilityAuto: true });
         return { ground: getComputedStyle(document.body).backgroundColor, cut: lanes.scrollHeight - lanes.clientHeight,
           controls: all('.controls').filter(shown).length, facts: all('#runs-table dl').length, open: all('#runs-table dl').filter(shown).length };",
    );
    assert_eq!(told["ground"], "rgb(255, 255, 255)");
    assert_eq!((&told["cut"], &told["controls"]), (&0.into(), &0.into()));
    assert_eq!(told["open"], told["facts"]);
    let pdf = browser.pdf();
    assert!(pdf.starts_with(b"%PDF-"));
}

#[test]
fn the_page_of_one_run_shows_it_and_concurrent_runs() {
    let world = World::with_past(20, 6);
    let page = world.page(&["--run", "1007"]);
    assert!(page.contains("<h1 class=\"bad\">Run 1007: was found dead</h1>"));
    assert!(
        page.contains("id=\"run-1005\"") && page.contains("<tr id=t1044"),
        "of the same build"
    );
    assert!(
        !page.contains("id=\"run-1001\"") && !page.contains("id=\"run-1012\""),
        "of others"
    );
    assert!(page.contains("class=\"subject\""));
}
