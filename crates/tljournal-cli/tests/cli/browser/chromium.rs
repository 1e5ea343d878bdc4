//! A real headless browser, controlled by the DevTools protocol over a pair of pipes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

const INSIST: &str = "TLJOURNAL_INSIST";

/// Helper functions for the probes of the tests.
const HELPERS: &str = include_str!("helpers.js");

/// Whether a browser is installed. Without one a test reports that it was skipped, unless `TLJOURNAL_INSIST` is set.
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

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) dark: bool,
    /// Whether the page's own script runs.
    pub(crate) script: bool,
    /// As printed, not as on a screen.
    pub(crate) print: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 1280,
            dark: false,
            script: true,
            print: false,
        }
    }
}

/// A browser that shows one page.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    calls: u64,
    session: Option<String>,
    loaded: bool,
    /// Its errors and warnings.
    pub(crate) complaints: Vec<String>,
    /// The page's requests, except for the page itself.
    pub(crate) requests: Vec<String>,
    _scratch: tempfile::TempDir,
}

impl Browser {
    /// Loads a page.
    pub(crate) fn show(page: &str, look: Look) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("page.html");
        std::fs::write(&file, page).unwrap();
        let mut browser = Self::start(scratch);
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let metrics =
            json!({"width": look.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        browser.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if look.dark { "dark" } else { "light" };
        let media = json!({
            "media": if look.print { "print" } else { "screen" },
            "features": [{"name": "prefers-color-scheme", "value": scheme}],
        });
        browser.call("Emulation.setEmulatedMedia", media);
        let off = json!({"value": !look.script});
        browser.call("Emulation.setScriptExecutionDisabled", off);
        let url = format!("file://{}", file.canonicalize().unwrap().display());
        browser.call("Page.navigate", json!({"url": url}));
        while !browser.loaded {
            browser.hear();
        }
        browser
    }

    /// Runs the body of an asynchronous function in the page, and returns what it returned.
    pub(crate) fn probe(&mut self, body: &str) -> Value {
        let expression = format!("(async () => {{ {HELPERS}\n{body} }})()");
        let ask = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let told = self.call("Runtime.evaluate", ask);
        assert!(told.get("exceptionDetails").is_none(), "{told}");
        told["result"]["value"].clone()
    }

    /// The page as printed.
    pub(crate) fn pdf(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let printed = self.call("Page.printToPDF", json!({}));
        let data = printed["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap()
    }

    fn start(scratch: tempfile::TempDir) -> Self {
        let pipe = |name: &str| {
            let path = scratch.path().join(name);
            let made = Command::new("mkfifo").arg(&path).status().unwrap();
            assert!(made.success());
            path
        };
        let (to, from) = (pipe("to"), pipe("from"));
        let child = chromium(scratch.path(), &to, &from).spawn().unwrap();
        Self {
            child,
            to: File::options().write(true).open(&to).unwrap(),
            from: BufReader::new(File::open(&from).unwrap()),
            calls: 0,
            session: None,
            loaded: false,
            complaints: Vec::new(),
            requests: Vec::new(),
            _scratch: scratch,
        }
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let heard = self.hear();
            if heard["id"] == id {
                assert!(heard.get("error").is_none(), "{method}: {heard}");
                return heard["result"].clone();
            }
        }
    }

    /// Reads one message, and stores what is checked later.
    fn hear(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let heard: Value = serde_json::from_slice(&bytes).unwrap();
        match heard["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled" | "Log.entryAdded") => {
                self.complaints.push(heard["params"].to_string());
            }
            Some("Network.requestWillBeSent") => {
                let url = heard["params"]["request"]["url"].as_str().unwrap();
                if !url.ends_with("/page.html") {
                    self.requests.push(url.to_owned());
                }
            }
            _ => {}
        }
        heard
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The browser reads commands from descriptor 3 and answers on 4.
fn chromium(scratch: &Path, to: &Path, from: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", r#"to="$1" from="$2"; shift 2; exec chromium "$@" 3< "$to" 4> "$from""#, "sh"])
        .args([to, from])
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--disable-component-update"])
        .args(["--disable-background-networking", "--remote-debugging-pipe", "--hide-scrollbars"])
        // No request can leave the machine.
        .arg("--proxy-server=127.0.0.1:9")
        .arg(format!("--user-data-dir={}", scratch.join("profile").display()))
        .env("HOME", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
