//! SQLite's query plans for history: a request for twenty transactions must not read a million.

use super::steps::Around;
use super::tests::{fresh, scratch};
use super::{Catalog, RunFilter, TxnFilter};
use crate::model::{Anchor, Place, RelPath, TxnState};

/// The query plan, step by step.
pub(super) fn plan(catalog: &Catalog, sql: &str) -> String {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let mut statement = catalog.conn.prepare(&sql).unwrap();
    let none = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(none), |row| row.get(3));
    let steps: Vec<String> = steps.unwrap().collect::<Result<_, _>>().unwrap();
    steps.join("\n")
}

fn plan_of(filter: &TxnFilter) -> String {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    let clauses = catalog.clauses_of(filter).unwrap();
    plan(&catalog, &catalog.history_sql(filter, &clauses).unwrap())
}

fn plan_of_runs(filter: &RunFilter) -> String {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    plan(&catalog, &catalog.runs_sql(filter).unwrap().0)
}

/// Asserts that the query sorts nothing and reads only the latest transactions or those of an index.
fn goes_by(plan: &str, way: &str) {
    assert!(plan.contains(way), "{way}:\n{plan}");
    assert!(!plan.contains("B-TREE FOR ORDER BY"), "{plan}");
    let scans = plan
        .lines()
        .filter(|step| step.contains("SCAN ") && !step.contains("INDEX"));
    let allowed = ["SCAN txn", "SCAN run"];
    let scans: Vec<_> = scans
        .filter(|step| !allowed.contains(step) || way != *step)
        .collect();
    assert_eq!(scans, [""; 0], "{plan}");
}

#[test]
fn the_latest_transactions_are_read_from_the_end() {
    goes_by(&plan_of(&TxnFilter::latest(20)), "SCAN txn");
    goes_by(&plan_of_runs(&RunFilter::default()), "SCAN run");
}

#[test]
fn rare_states_are_found_by_their_index() {
    let all = TxnFilter::default;
    let run = Some(5);
    goes_by(&plan_of(&TxnFilter { run, ..all() }), "txn_run");
    goes_by(
        &plan_of(&TxnFilter {
            kept: true,
            ..all()
        }),
        "txn_kept",
    );
    let undoes = Some(5);
    goes_by(&plan_of(&TxnFilter { undoes, ..all() }), "txn_undoes");
    let states = vec![TxnState::Aborted, TxnState::Stuck];
    let unusual = plan_of(&TxnFilter { states, ..all() });
    for index in ["txn_staging", "txn_unfinished", "txn_aborted"] {
        assert!(unusual.contains(index), "{unusual}");
    }
    let failed = true;
    goes_by(
        &plan_of_runs(&RunFilter {
            failed,
            ..RunFilter::default()
        }),
        "run_failed",
    );
    let open = true;
    goes_by(
        &plan_of_runs(&RunFilter {
            open,
            ..RunFilter::default()
        }),
        "run_open",
    );
    let parent = Some(crate::ambient::fresh_run_id());
    let below = plan_of_runs(&RunFilter {
        parent,
        ..RunFilter::default()
    });
    assert!(below.contains("run_parent"), "{below}");
}

#[test]
fn transactions_of_a_path_are_found_by_the_path_index() {
    let scratch = scratch();
    let catalog = fresh(&scratch);
    let (anchor, path) = (Anchor::Home, RelPath::new("a/b/c").unwrap());
    let place = Place { anchor, path };
    let early = plan(&catalog, &catalog.by_path(&place, 5).unwrap().0);
    assert_eq!(early.matches("change_path").count(), 4, "{early}");
    assert!(!early.contains("SCAN "), "{early}");
    let late = plan(&catalog, &catalog.one_by_one(&place, 5, 9).unwrap().0);
    assert!(
        late.contains("USING PRIMARY KEY (txn>? AND txn<?)"),
        "{late}"
    );
    for around in [
        Around::Latest,
        Around::Before(5),
        Around::Until(5),
        Around::After(5),
    ] {
        let steps = plan(&catalog, &catalog.steps_sql(&place, around, 9).unwrap().0);
        assert_eq!(steps.matches("change_path").count(), 3, "{steps}");
        assert!(steps.contains("MERGE (UNION ALL)"), "{steps}");
        let scans: Vec<_> = steps
            .lines()
            .filter(|step| step.contains("SCAN "))
            .collect();
        assert_eq!(scans, ["SCAN touched"], "{steps}");
    }
}
