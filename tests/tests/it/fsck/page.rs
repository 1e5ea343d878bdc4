//! The page that explains what fsck finds.

use tljournal::Code;

/// People look a code up on the page: each has its row there.
#[test]
fn the_page_has_every_code_with_what_fsck_says_of_it() {
    let page = include_str!("../../../../docs/fsck.md");
    let row = |code: &Code| {
        let (word, severity) = (code.as_str(), code.severity().as_str());
        let (mend, advice) = (code.mend().as_str(), code.advice());
        format!(
            "| `{word}` | {severity} | {} | {mend} | {advice} |",
            code.meaning()
        )
    };
    let wanted: Vec<_> = Code::ALL.iter().map(row).collect();
    let found: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert_eq!(found, wanted, "should be:\n{}\n", wanted.join("\n"));
}
