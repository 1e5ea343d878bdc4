use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use camino::Utf8Path;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::Value;
use tljournal_tests::{make_hostile_past, make_past};

use crate::world::{Project, listing};

fn with_past(runs: u32, txns: u32) -> Project {
    let project = Project::new();
    project.ok(&["put", "build/first", "--from", "/dev/null"]);
    let home = project.at("build");
    make_past(Utf8Path::from_path(&home).unwrap(), runs, txns);
    project
}

fn lines(text: &str) -> Vec<Value> {
    let read = |line: &str| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

fn of_type<'a>(rows: &'a [Value], kind: &'a str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["type"] == kind).collect()
}

#[test]
fn json_lines_contain_everything_once_with_the_schema_version() {
    // More than one page of rows.
    let project = with_past(10, 30);
    let rows = lines(&project.ok(&["export", "--format", "jsonl"]).out);
    assert!(rows.iter().all(|row| row["schema"] == 1));
    let runs = of_type(&rows, "run");
    let txns = of_type(&rows, "transaction");
    assert_eq!((runs.len(), txns.len()), (11, 301));
    let numbers: HashSet<_> = txns.iter().map(|txn| txn["number"].as_i64()).collect();
    assert_eq!(numbers.len(), 301);
    let put = txns
        .iter()
        .find(|txn| txn["label"] == "put build/first")
        .unwrap();
    assert_eq!(put["changes"][0]["path"], "build/first");
    assert_eq!(put["changes"][0]["after"]["size"], 0);
    assert_eq!(of_type(&rows, "event").len(), 1);
    // A run precedes its transactions and events.
    let place = |kind: &str, number: i64| {
        let is = |row: &Value| row["type"] == kind && row["number"] == number;
        rows.iter().position(is).unwrap()
    };
    assert!(place("run", 1_003) < place("transaction", 1_100));
}

#[test]
fn a_run_with_more_transactions_than_a_page_of_rows_is_complete() {
    let project = with_past(1, 600);
    let rows = lines(
        &project
            .ok(&["export", "--format", "jsonl", "--run", "1000"])
            .out,
    );
    assert_eq!(of_type(&rows, "transaction").len(), 600);
}

#[test]
fn one_run_or_a_recent_time_can_be_selected() {
    let project = with_past(10, 3);
    let only = lines(
        &project
            .ok(&["export", "--format", "jsonl", "--run", "1007"])
            .out,
    );
    assert_eq!(of_type(&only, "run").len(), 1);
    assert_eq!(of_type(&only, "transaction").len(), 3);
    assert_eq!(of_type(&only, "event").len(), 1);
    let lately = lines(
        &project
            .ok(&["export", "--format", "jsonl", "--since", "1h"])
            .out,
    );
    assert_eq!(of_type(&lately, "transaction").len(), 1);
    let none = project.run(&["export", "--format", "jsonl", "--run", "4242"]);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("no run `4242`"), "{none:?}");
}

#[test]
fn an_export_appears_atomically_and_changes_nothing() {
    let project = with_past(5, 3);
    let before = listing(&project.at("build"));
    let told = project.json(&["export", "--format", "chrome-trace", "-o", "trace.json"]);
    let length = project.text("trace.json").len();
    assert_eq!(
        (told["runs"].as_u64(), told["transactions"].as_u64()),
        (Some(6), Some(16))
    );
    assert_eq!(told["bytes"].as_u64(), Some(length as u64));
    assert_eq!(listing(&project.at("build")), before);
    let failed = project.run(&["export", "--format", "otlp", "-o", "no/such/dir/x"]);
    assert_eq!(failed.code, 6, "{failed:?}");
    let wrong = project.run(&[
        "export",
        "--format",
        "jsonl",
        "--endpoint",
        "http://localhost:1",
    ]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
}

/// Checks the required fields of each kind of event of chrome://tracing, and that complete events of one thread nest.
#[test]
fn a_chrome_trace_keeps_the_rules_of_its_format() {
    let project = with_past(10, 8);
    let home = project.at("build");
    make_hostile_past(Utf8Path::from_path(&home).unwrap(), "\"\\\n\u{202e}</x>");
    let trace: Value =
        serde_json::from_str(&project.ok(&["export", "--format", "chrome-trace"]).out).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut threads: HashMap<_, Vec<(i64, i64)>> = HashMap::new();
    let (mut named, mut used, mut open) = (HashSet::new(), HashSet::new(), HashMap::new());
    for event in events {
        let (pid, tid) = (
            event["pid"].as_i64().unwrap(),
            event["tid"].as_i64().unwrap(),
        );
        assert!(event["name"].is_string(), "{event}");
        let ts = event["ts"].as_i64();
        match event["ph"].as_str().unwrap() {
            "M" if event["name"] == "process_name" => {
                assert!(event["args"]["name"].is_string(), "{event}");
                named.insert(pid);
            }
            "M" => assert!(event["args"].is_object(), "{event}"),
            "X" => {
                let (ts, dur) = (ts.unwrap(), event["dur"].as_i64().unwrap());
                assert!(dur >= 0, "{event}");
                threads.entry((pid, tid)).or_default().push((ts, ts + dur));
            }
            "i" => assert!(
                ts.is_some() && ["g", "p", "t"].contains(&event["s"].as_str().unwrap()),
                "{event}"
            ),
            "b" => assert!(
                open.insert(event["id"].to_string(), ts.unwrap()).is_none(),
                "{event}"
            ),
            "e" => assert!(
                open.remove(&event["id"].to_string()).unwrap() <= ts.unwrap(),
                "{event}"
            ),
            other => panic!("{other} is not used here: {event}"),
        }
        used.insert(pid);
    }
    assert_eq!(named, used);
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(threads.keys().filter(|(_, tid)| *tid == 0).count(), 12);
    for ((pid, tid), mut spans) in threads {
        spans.sort_by_key(|(from, to)| (*from, -to));
        let mut around: Vec<(i64, i64)> = Vec::new();
        for (from, to) in spans {
            while around.last().is_some_and(|(_, end)| *end <= from) {
                around.pop();
            }
            let inside = around.last().is_none_or(|(_, end)| to <= *end);
            assert!(
                inside,
                "process {pid}, thread {tid}: {from} to {to} in {around:?}"
            );
            around.push((from, to));
        }
    }
    let phases = events.iter().filter(|event| event["cat"] == "phase");
    let phases: HashSet<_> = phases
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    let expected = ["staging", "waiting", "committing", "applying"];
    assert_eq!(phases, expected.into_iter().collect());
}

fn spans(requests: &[ExportTraceServiceRequest]) -> Vec<Span> {
    let of = requests.iter().flat_map(|request| &request.resource_spans);
    let scopes = of.flat_map(|of| &of.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn written(project: &Project) -> Vec<ExportTraceServiceRequest> {
    let out = project.ok(&["export", "--format", "otlp"]).out;
    let read = |line| serde_json::from_str(line).unwrap();
    out.lines().map(read).collect()
}

#[test]
fn opentelemetry_spans_are_connected_and_reproducible() {
    let project = with_past(10, 150);
    let requests = written(&project);
    assert_eq!(requests, written(&project));
    let spans = spans(&requests);
    // 11 runs, 1501 transactions, four phases of each.
    assert_eq!(spans.len(), 11 + 1501 * 5);
    let by_id: HashMap<_, _> = spans
        .iter()
        .map(|span| (span.span_id.clone(), span))
        .collect();
    assert_eq!(by_id.len(), spans.len());
    let mut roots = 0;
    for span in &spans {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        match by_id.get(&span.parent_span_id) {
            Some(parent) => assert_eq!(parent.trace_id, span.trace_id),
            None => {
                assert!(span.parent_span_id.is_empty());
                roots += 1;
            }
        }
    }
    // Two of the runs were started by another one.
    assert_eq!(roots, 9);
    let is_dead = |span: &&Span| {
        span.status
            .as_ref()
            .is_some_and(|status| status.message == "found dead")
    };
    let dead = spans.iter().find(is_dead).unwrap();
    assert_eq!(
        (&dead.name[..], dead.status.as_ref().unwrap().code),
        ("variant", 2)
    );
    assert_eq!(dead.events[0].name, "recovered");
    for request in &requests {
        let resource = request.resource_spans[0].resource.as_ref().unwrap();
        let has = |key: &str| resource.attributes.iter().any(|own| own.key == key);
        assert!(has("service.name") && has("host.name"));
        assert!(self::spans(std::slice::from_ref(request)).len() <= 520);
    }
}

/// The requests of a collector: heads and bodies.
type Heard = Vec<(String, Vec<u8>)>;

/// A collector that gives these answers, each a status and a body, and ends after the last one.
fn collector(answers: Vec<(&'static str, Vec<u8>)>) -> (String, JoinHandle<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut heard = Vec::new();
        let mut answers = answers.into_iter();
        let mut left = answers.next();
        while left.is_some() {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            while let Some((status, body)) = &left {
                let Some(request) = request(&mut stream) else {
                    break;
                };
                heard.push(request);
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.get_mut().write_all(head.as_bytes()).unwrap();
                stream.get_mut().write_all(body).unwrap();
                left = answers.next();
            }
        }
        heard
    });
    (url, served)
}

fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).unwrap() == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.split_once("content-length: ").unwrap().1;
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some((head, body))
}

#[test]
fn a_collector_receives_exactly_the_content_of_a_file() {
    let project = with_past(5, 3);
    let expected = written(&project);
    let answers = expected.iter().map(|_| ("200 OK", Vec::new())).collect();
    let (url, served) = collector(answers);
    let mut command = project.command(&["export", "--format", "otlp", "--endpoint", &url]);
    command.env("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20secret");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let heard = served.join().unwrap();
    for (head, _) in &heard {
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(
            head.contains("content-type: application/x-protobuf\r\n"),
            "{head}"
        );
        assert!(head.contains("api-key: a secret\r\n"), "{head}");
    }
    let decode = |(_, body): &(_, Vec<u8>)| ExportTraceServiceRequest::decode(&body[..]).unwrap();
    assert_eq!(heard.iter().map(decode).collect::<Vec<_>>(), expected);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(&format!("{} spans", spans(&expected).len())),
        "{said}"
    );
}

#[test]
fn a_refusing_collector_fails_the_export_with_a_hint_to_repeat_it() {
    let project = with_past(5, 3);
    let partial = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let cases = [
        (
            "503 Service Unavailable",
            Vec::new(),
            "503 Service Unavailable; it may accept them later",
        ),
        ("401 Unauthorized", Vec::new(), "answered 401 Unauthorized"),
        (
            "200 OK",
            partial.encode_to_vec(),
            "refused 3 spans: too old",
        ),
    ];
    for (status, body, said) in cases {
        let (url, served) = collector(vec![("200 OK", Vec::new()), (status, body)]);
        let done = project.run(&["export", "--format", "otlp", "--endpoint", &url]);
        served.join().unwrap();
        assert_eq!(done.code, 6, "{done:?}");
        assert!(done.err.contains(said), "{done:?}");
        assert!(
            done.err.contains("sending everything again is safe"),
            "{done:?}"
        );
    }
    let refused = project.run(&[
        "export",
        "--format",
        "otlp",
        "--endpoint",
        "http://127.0.0.1:9",
    ]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("refused"), "{refused:?}");
    let tls = project.run(&[
        "export",
        "--format",
        "otlp",
        "--endpoint",
        "https://example.org",
    ]);
    assert_eq!(tls.code, 2, "{tls:?}");
}
