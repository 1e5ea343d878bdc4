//! The page that explains the findings of fsck.

use tljournal::Code;

/// The page has a row for each code.
#[test]
fn the_page_has_every_code_with_the_texts_of_fsck() {
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
