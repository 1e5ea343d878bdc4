//! The page of a long history: its size, and how soon a browser shows it.

use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tljournal::Journal;
use tljournal_tests::make_past;

use crate::Fallible;
use crate::measure::{Report, pairs, time};
use crate::small::put;

/// The limits for the size in bytes, and for the time until it is shown.
const BYTES_MAX: u64 = 5_000_000;
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// Creates a page of 500 runs and 10,000 transactions, and shows it in a browser.
pub(crate) fn shown(scratch: &Utf8Path, smoke: bool, report: &mut Report) -> Fallible<()> {
    let root = scratch.join("page");
    std::fs::create_dir_all(&root)?;
    let journal = Journal::open(&root)?;
    put(&journal, 2, 0)?;
    journal.close()?;
    make_past(&root.join("build"), 500, 20);
    let page = root.join("report.html");
    let made = time(|| make(&root, &page))?;
    let size = std::fs::metadata(&page)?.len();
    let what = "page of 500 runs, 10000 transactions: size";
    let sizes = (&*format!("{} B", size), "5 MB");
    report.ratio(what, sizes, size as f64 / BYTES_MAX as f64, 1.0);
    println!("{:<58} {:>10.3} s", "making it", made.as_secs_f64());
    if Command::new("chromium").arg("--version").output().is_err() {
        println!("skipped: chromium is not installed, which shows the page");
        return Ok(());
    }
    let rounds = if smoke { 1 } else { 5 };
    let show = |url: &str| time(|| show(scratch, url)).map(drop);
    let url = format!("file://{page}");
    let (page, blank) = pairs(rounds, |_| show(&url), |_| show("about:blank"))?;
    let took = page.saturating_sub(blank);
    let times = (&*format!("{:.3} s", took.as_secs_f64()), "2 s");
    let ratio = took.as_secs_f64() / SHOWN_WITHIN.as_secs_f64();
    report.ratio("page: shown, beyond an empty one", times, ratio, 1.0);
    Ok(())
}

/// Writes the page with the command that was built next to this program.
fn make(root: &Utf8Path, page: &Utf8Path) -> Fallible<()> {
    let own = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let command = own.with_file_name("tljournal");
    let output = Command::new(&command)
        .args(["report", "--root", root.as_str(), "--html", page.as_str()])
        .output()
        .map_err(|error| format!("{command}: {error}; `cargo build --release` makes it"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}

/// Starts a browser that loads and draws a page, and ends.
fn show(scratch: &Utf8Path, url: &str) -> Fallible<()> {
    let status = Command::new("chromium")
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
        ])
        .arg(format!("--user-data-dir={scratch}/profile"))
        .arg(format!("--screenshot={scratch}/page.png"))
        .args(["--window-size=1280,900", url])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("chromium ended with {status}").into()),
    }
}
