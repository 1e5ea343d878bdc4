use serde_json::{Value, json};
use tljournal::Finding;

use crate::commands::views::{run_json, txn_json};

pub(super) fn finding_json(finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "severity": finding.severity().as_str(),
        "path": finding.path,
        "expected": finding.expected,
        "actual": finding.actual,
        "message": finding.code.meaning(),
        "advice": finding.advice,
        "repair": finding.code.mend().as_str(),
        "txn": finding.txn.as_deref().map(txn_json),
        "run": finding.run.as_deref().map(run_json),
    })
}
