//! A real browser, without a window: it loads a page, a script of the test looks at what came of it and does
//! what a reader would do, and says what it saw.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const INSIST: &str = "TLJOURNAL_INSIST";

/// Whether there is a browser. Without one a test says that it was skipped, unless `TLJOURNAL_INSIST` is set.
pub(crate) fn has_chromium() -> bool {
    let found = Command::new("chromium").arg("--version").output().is_ok();
    assert!(
        found || std::env::var_os(INSIST).is_none(),
        "chromium is not installed"
    );
    if !found {
        let _ = writeln!(std::io::stderr(), "skipped: chromium is not installed");
    }
    found
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) dark: bool,
    /// Whether the page's own script runs.
    pub(crate) script: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 1280,
            dark: false,
            script: true,
        }
    }
}

/// What came of a look.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The document, as it was in the end.
    pub(crate) dom: String,
    /// What the browser complained of.
    pub(crate) complaints: Vec<String>,
}

/// Loads a page as it is.
pub(crate) fn show(page: &str, look: Look) -> Shown {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("page.html");
    std::fs::write(&file, page).unwrap();
    let output = browser(scratch.path(), look)
        .arg("--virtual-time-budget=10000")
        .arg("--dump-dom")
        .arg(url(&file))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Shown {
        dom: String::from_utf8(output.stdout).unwrap(),
        complaints: said
            .lines()
            .filter(|line| line.contains(":CONSOLE"))
            .map(str::to_owned)
            .collect(),
    }
}

/// Prints a page, and returns what was printed.
pub(crate) fn print(page: &str) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let (file, pdf) = (
        scratch.path().join("page.html"),
        scratch.path().join("page.pdf"),
    );
    std::fs::write(&file, page).unwrap();
    let output = browser(scratch.path(), Look::default())
        .arg(format!("--print-to-pdf={}", pdf.display()))
        .arg("--no-pdf-header-footer")
        .arg(url(&file))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(pdf).unwrap()
}

/// Loads a page, runs the body of an asynchronous function in it, and returns what that returned. Nothing else of
/// the page's policy is changed than that this may run too.
pub(crate) fn probe(page: &str, look: Look, body: &str) -> Value {
    const HELPERS: &str = include_str!("helpers.js");
    let script = format!(
        "{HELPERS}\naddEventListener('load', async () => {{
           let told;
           try {{ told = await (async () => {{ {body} }})(); }} catch (error) {{ told = {{ error: String(error), at: error.stack }}; }}
           const bytes = new TextEncoder().encode(JSON.stringify(told));
           document.documentElement.dataset.told = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
         }});"
    );
    let policy = between(page, "script-src ", "; base-uri");
    let mut page = page.replacen(policy, "'unsafe-inline'", 1);
    if !look.script {
        let own = format!(
            "<script>{}</script>",
            between(&page, "<script>", "</script>")
        );
        page = page.replacen(&own, "", 1);
    }
    let page = page.replacen("</body>", &format!("<script>{script}</script></body>"), 1);
    let shown = show(&page, look);
    assert_eq!(shown.complaints, [""; 0]);
    let told = between(&shown.dom, "data-told=\"", "\"");
    let told: Value = serde_json::from_slice(&STANDARD.decode(told).unwrap()).unwrap();
    assert!(told.get("error").is_none(), "{told}");
    told
}

fn browser(scratch: &Path, look: Look) -> Command {
    let mut command = Command::new("chromium");
    let scheme = if look.dark { 0 } else { 1 };
    command
        .env("HOME", scratch)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-extensions"])
        // Whatever would go out meets nobody.
        .arg("--proxy-server=127.0.0.1:9")
        .args(["--enable-logging=stderr", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
        .arg(format!("--window-size={},900", look.width))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"));
    command
}

fn url(file: &Path) -> String {
    let path: PathBuf = file.canonicalize().unwrap();
    format!("file://{}", path.display())
}

/// The first text between two others.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap();
    rest.split_once(after).unwrap().0
}
