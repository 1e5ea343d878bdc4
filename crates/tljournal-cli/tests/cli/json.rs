//! JSON output conforms exactly to `docs/json.schema.json`.

use std::fs;

use serde_json::Value;

use crate::world::{Done, Project};

/// The parts of JSON Schema that the schema uses.
struct Schema(Value);

impl Schema {
    fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/json.schema.json");
        let text = fs::read_to_string(path).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// The schema for the output of this command.
    fn of(&self, command: &str) -> &Value {
        let all = self.0["oneOf"].as_array().unwrap();
        let is_it = |one: &&Value| one["properties"]["command"]["const"] == command;
        all.iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no schema for {command}"))
    }

    /// The schema for standard error under this name.
    fn said(&self, name: &str) -> &Value {
        let all = self.0["oneOf"].as_array().unwrap();
        let is_it = |one: &&Value| one["properties"].get(name).is_some();
        all.iter().rfind(is_it).unwrap()
    }

    /// The differences of a value from the schema, with their positions.
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.check(&self.0["$defs"][name], value, at);
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let wrong = any.iter().map(|one| self.check(one, value, at));
            return wrong.min_by_key(Vec::len).unwrap();
        }
        if let Some(wanted) = schema.get("const") {
            return told(value == wanted, || format!("{at} is {value}, not {wanted}"));
        }
        if let Some(allowed) = schema["enum"].as_array() {
            return told(allowed.contains(value), || format!("{at} is {value}"));
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let mut wrong = told(types.contains(&kind(value).into()), || {
            format!("{at} is {value}, not one of {types:?}")
        });
        match value {
            Value::Array(values) => wrong.extend(
                values
                    .iter()
                    .flat_map(|one| self.check(&schema["items"], one, &format!("{at}[]"))),
            ),
            Value::Object(fields) => {
                for name in schema["required"].as_array().into_iter().flatten() {
                    let name = name.as_str().unwrap();
                    wrong.extend(told(fields.contains_key(name), || {
                        format!("{at} lacks {name}")
                    }));
                }
                for (name, value) in fields {
                    match schema["properties"].get(name) {
                        Some(schema) => {
                            wrong.extend(self.check(schema, value, &format!("{at}.{name}")))
                        }
                        None => wrong.push(format!("{at} has {name}: {value}")),
                    }
                }
            }
            _ => {}
        }
        wrong
    }
}

fn told(right: bool, wrong: impl FnOnce() -> String) -> Vec<String> {
    if right { Vec::new() } else { vec![wrong()] }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

struct Checked {
    project: Project,
    schema: Schema,
    commands: Vec<String>,
    notes: u32,
}

impl Checked {
    fn run(&mut self, args: &[&str]) -> Done {
        self.run_with_input(args, b"")
    }

    fn run_with_input(&mut self, args: &[&str], input: &[u8]) -> Done {
        let done = self
            .project
            .run_with_input(&[args, &["--json"]].concat(), input);
        let lines: Vec<_> = done.out.lines().collect();
        assert_eq!(lines.len(), 1, "{args:?}: {done:?}");
        let value: Value = serde_json::from_str(lines[0]).unwrap();
        let command = value["command"].as_str().unwrap().to_owned();
        let wrong = self
            .schema
            .check(self.schema.of(&command), &value, &command);
        assert_eq!(wrong, [""; 0], "{args:?}: {value:#}");
        for line in done.err.lines() {
            let said = serde_json::from_str(line).unwrap();
            let wrong = self.schema.check(self.schema.said("note"), &said, "note");
            assert_eq!(wrong, [""; 0], "{args:?}: {said:#}");
            self.notes += 1;
        }
        self.commands.push(command);
        done
    }

    fn fails(&mut self, args: &[&str]) {
        let done = self.project.run(&[args, &["--json"]].concat());
        let value = serde_json::json!({"schema": 1, "error": done.error()});
        let wrong = self
            .schema
            .check(self.schema.said("error"), &value, "error");
        assert_eq!(wrong, [""; 0], "{args:?}: {value:#}");
        assert_eq!(value["error"]["code"], done.code, "{args:?}");
    }
}

#[test]
fn every_command_conforms_to_the_schema() {
    let (project, schema) = (Project::new(), Schema::load());
    let commands = Vec::new();
    let mut it = Checked {
        project,
        schema,
        commands,
        notes: 0,
    };
    it.run(&["init"]);
    for content in ["one\n", "two\n", "two\n"] {
        it.run_with_input(&["put", "build/a"], content.as_bytes());
    }
    it.run(&["link", "x", "build/l"]);
    it.run(&["rm", "build/l", "build/none"]);
    it.run_with_input(
        &["apply", "-"],
        br#"{"changes": [{"put": "build/q", "content": "x"}]}"#,
    );
    it.project.small_tree("src");
    let install = ["tree", "install", "build/tools", "--from", "src"];
    it.run(&install);
    it.project.write("src/more", "more");
    it.run(&[&install[..], &["--rebuildable"]].concat());
    it.run(&["tree", "show", "build/tools"]);
    it.run(&["tree", "verify", "build/tools"]);
    it.project.write("build/tools/more", "MORE");
    it.run(&["tree", "verify", "build/tools", "--full"]);
    it.project.write("Twoliter.lock", "lock");
    let over = ["--over", "Twoliter.lock"];
    let write = [
        "tag",
        "write",
        "build/external-kits",
        "--sdk",
        "sdk-1@v (r/sdk:v1)",
    ];
    it.run(&[&write[..], &over].concat());
    it.run(&["tag", "list"]);
    it.run(&["tag", "check", "build/external-kits"]);
    it.run(&["tag", "clear", "build/external-kits"]);
    it.project.write("out/x.rpm", "rpm");
    let publish = [
        "artifacts",
        "publish",
        "--arch",
        "x86_64",
        "--kind",
        "package",
        "--name",
        "bash",
    ];
    it.run(
        &[
            &publish[..],
            &["--output", "build/rpms/bash", "--from", "out"],
        ]
        .concat(),
    );
    it.run(&["artifacts", "clean", "build/rpms"]);
    it.project
        .run(&["exec", "--lock", "l", "--", "sh", "-c", "echo why; exit 3"]);
    for txn in ["1", "2", "4", "6", "7"] {
        it.run(&["show", txn]);
        it.run(&["diff", txn]);
    }
    for args in [
        &["status"][..],
        &["log"],
        &["log", "--kept"],
        &["blame", "build/a"],
        &["blame", "build/tools/more"],
        &["runs"],
        &["undo", "2", "--dry-run"],
        &["undo", "2"],
        &["undo", "1"],
        &["restore", "build/a", "--at", "2"],
        &["fsck", "--quick"],
        &["fsck", "--full"],
        &["fsck", "--repair", "--source", "src"],
        &["postmortem"],
        &["postmortem", "--list"],
        &["postmortem", "--bundle", "bundle.tar.zst"],
        &["report", "--html", "page.html"],
        &["export", "--format", "chrome-trace", "-o", "trace.json"],
        &["recover"],
        &["gc", "--keep-count", "0", "--dry-run"],
        &["gc", "--keep-count", "1", "--log-count", "0"],
    ] {
        it.run(args);
    }
    it.fails(&["show", "99"]);
    it.fails(&["put", "../x"]);
    it.fails(&["tree", "verify", "build/nothing"]);
    // Everything with a schema was printed; kit images have tests of their own.
    let all = it.schema.0["oneOf"].as_array().unwrap();
    let commands = all
        .iter()
        .filter_map(|one| one["properties"]["command"]["const"].as_str());
    for command in commands {
        let printed = it.commands.iter().any(|printed| printed == command);
        assert!(printed || command == "kit unpack", "{command}");
    }
    assert!(it.notes > 0);
}
