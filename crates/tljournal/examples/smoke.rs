use tljournal::*;
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let n: usize = std::env::args().nth(2).map_or(1, |n| n.parse().unwrap());
    let t = std::time::Instant::now();
    let j = Journal::open(dir.as_str()).unwrap();
    eprintln!("open {:?} {:?}", t.elapsed(), j.recovery());
    let mut total = std::time::Duration::ZERO;
    for i in 0..n {
        let t = std::time::Instant::now();
        let mut txn = j.begin("two files");
        txn.put("build/a.txt", format!("a{i}"), Expect::Any)
            .unwrap();
        txn.put("build/sub/b.txt", format!("b{i}"), Expect::Any)
            .unwrap();
        let r = txn.prepare().unwrap().commit().unwrap();
        total += t.elapsed();
        if n == 1 {
            eprintln!("{r:?}");
        }
    }
    eprintln!("commit {:?}", total / n as u32);
    let t = std::time::Instant::now();
    for _ in 0..n {
        let mut txn = j.begin("two files");
        txn.put("build/a.txt", format!("a{}", n - 1), Expect::Any)
            .unwrap();
        txn.put("build/sub/b.txt", format!("b{}", n - 1), Expect::Any)
            .unwrap();
        let r = txn.prepare().unwrap().commit().unwrap();
        assert!(!r.changed_anything());
    }
    eprintln!("noop {:?}", t.elapsed() / n as u32);
    if let Some(src) = std::env::args().nth(3) {
        for _ in 0..3 {
            let t = std::time::Instant::now();
            let i = j
                .install(
                    "build/tools",
                    TreeSource::at(src.as_str()),
                    TreeOptions::default(),
                )
                .unwrap();
            eprintln!("install {:?} {:?}", t.elapsed(), i.changed);
        }
    }
    let t = std::time::Instant::now();
    j.close().unwrap();
    eprintln!("close {:?}", t.elapsed());
}
