//! The command line: what a person types, what is printed, and the exit codes of the README.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

use std::fs;
use std::io::Read;
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use assert_cmd::assert::Assert;

fn otr(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otr"));
    command.args(arguments).env_remove("OTR_SPEC").env_remove("NO_COLOR").timeout(Duration::from_secs(60));
    command
}

fn out(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}
fn err(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn the_demo_tells_the_whole_story() {
    let elsewhere = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let assert = otr(&["demo"]).current_dir(elsewhere.path()).assert().code(0);
    let (told, took) = (out(&assert), begun.elapsed());
    // How many resources there are is not the story; that nothing else is said of them is.
    let whole = |line: &str| {
        let count = line.strip_prefix("plan acme: ").and_then(|rest| rest.strip_suffix(" as wanted"));
        count.is_some_and(|count| count.bytes().all(|b| b.is_ascii_digit()))
    };
    let told: String =
        told.lines().map(|line| if whole(line) { "plan acme: all as wanted\n".into() } else { format!("{line}\n") }).collect();
    let mut rest = told.as_str();
    for line in [
        "otr demo: the life of a pair",
        "simulated inside this program: no host is contacted",
        "$ otr plan\n",
        "$ otr apply --restarts\n",
        "copy the primary into PostgreSQL 13/main",
        "bring the filestore of acme up to date from erp1",
        "$ otr plan\n",
        "plan acme: all as wanted",
        "$ otr sync\n",
        "2 files (",
        "bring the filestore of acme up to date from erp1",
        "$ otr status\n",
        "missing: invoice 4712.pdf",
        "$ otr promote erp2 --production-is-down erp1\n",
        "it was stated that it is down",
        "login page 200, 3 assets 200",
        "files: 1 attachments have a row and no sound file:",
        "absent invoice 4712.pdf",
        "That was simulated. On real machines:",
        "tests/run",
        "otr plan -s your.yaml",
    ]
    .into_iter()
    {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is not told, or not in its place:\n{told}"));
        rest = &rest[at + line.len()..];
    }
    assert!(told.lines().count() <= 200, "{} lines", told.lines().count());
    assert!(!told.contains('\u{1b}'), "no colour where there is no terminal");
    assert!(!told.contains("made-up") && err(&assert).is_empty(), "{}", err(&assert));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0, "it writes no file");
}

#[test]
fn the_demo_as_json_is_the_reports() {
    let reports: Vec<serde_json::Value> = serde_json::from_str(&out(&otr(&["demo", "--json"]).assert().code(0))).unwrap();
    let verbs: Vec<&str> = reports.iter().filter_map(|report| report["verb"].as_str()).collect();
    assert_eq!(verbs, ["plan", "apply", "plan", "sync", "status", "promote"]);
    assert_eq!(reports[2]["changed"], false);
    assert_eq!(reports[5]["lost"]["files"][0]["name"], "invoice 4712.pdf");
}

#[test]
fn version_and_help() {
    assert_eq!(out(&otr(&["--version"]).assert().code(0)), format!("otr {}\n", env!("CARGO_PKG_VERSION")));
    let help = out(&otr(&["--help"]).assert().code(0));
    for verb in ["check", "doctor", "plan", "apply", "sync", "status", "diff", "pause", "resume", "promote", "demo", "schema"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb}:\n{help}");
    }
    assert!(help.contains("Exit codes: 0 done"));
}

#[test]
fn wrong_usage_is_64() {
    for arguments in [
        &["frobnicate"][..],
        &["plan", "--no-such-option"],
        &[],
        &["check"],
        &["promote", "-s"],
        &["plan", "--set", "x"],
        &["pause", "--for", "2h"],
        &["pause", "--for", "2h", "--reason", " "],
        &["pause", "--for", "2h", "--reason", "a\nb"],
        &["pause", "--for", "32days", "--reason", "a disk"],
        &["pause", "--for", "0s", "--reason", "a disk"],
    ] {
        let assert = otr(arguments).assert().code(64);
        assert!(err(&assert).contains("Usage:") || err(&assert).contains("--help"), "{arguments:?}: {}", err(&assert));
        assert_eq!(out(&assert), "");
    }
}

#[test]
fn a_wrong_spec_is_65() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spec.yaml");
    fs::write(&path, "version: 1\nname: acme\nproduction: erp1\nhots: {}\nhosts: {erp1: {address: local}}\n").unwrap();
    for verb in ["plan", "apply", "sync", "status", "promote"] {
        let assert = otr(&[verb, "-s", path.to_str().unwrap()]).assert().code(65);
        assert!(err(&assert).contains("spec.yaml:4:1") && err(&assert).contains("hots"), "{verb}: {}", err(&assert));
    }
    let assert = otr(&["check", path.to_str().unwrap()]).assert().code(65);
    assert!((out(&assert) + &err(&assert)).contains("spec.yaml:4:1"));
    otr(&["check", "specs/acme.yaml"]).assert().code(0);
    otr(&["plan", "-s", "/nonexistent/spec.yaml"]).assert().code(65);
}

#[test]
fn without_a_spec_it_says_where_one_could_be() {
    let elsewhere = tempfile::tempdir().unwrap();
    let assert = otr(&["plan"]).current_dir(elsewhere.path()).assert().code(1);
    assert!(err(&assert).contains("--spec FILE"), "{}", err(&assert));
}

/// What others rely on is written down: a change of it is a change of these files.
/// `OTR_BLESS=1 cargo test --test cli schema` writes those of the report and the saved plan anew.
#[test]
fn each_schema_is_its_file() {
    assert_eq!(out(&otr(&["schema"]).assert().code(0)), out(&otr(&["schema", "spec"]).assert().code(0)));
    for (of, path) in [("spec", "specs/schema.json"), ("report", "specs/report.schema.json"), ("plan", "specs/plan.schema.json")] {
        let schema = out(&otr(&["schema", of]).assert().code(0));
        if std::env::var_os("OTR_BLESS").is_some() && of != "spec" {
            fs::write(path, &schema).unwrap();
        }
        assert_eq!(schema.trim_end(), fs::read_to_string(path).unwrap().trim_end(), "{path}");
    }
}

#[test]
fn a_report_is_as_its_schema_says() {
    let mut schema: serde_json::Value = serde_json::from_str(&fs::read_to_string("specs/report.schema.json").unwrap()).unwrap();
    // A text or an object, which the reader of the spec's schema does not know.
    schema["$defs"]["Shown"] = serde_json::json!({ "additionalProperties": {} });
    let reports: Vec<serde_json::Value> = serde_json::from_str(&out(&otr(&["demo", "--json"]).assert().code(0))).unwrap();
    for report in reports.iter().filter(|report| ["plan", "apply", "sync"].contains(&report["verb"].as_str().unwrap())) {
        assert_eq!(report["format"], 1);
        let text = serde_json::to_string_pretty(report).unwrap();
        let problems = otr::spec::schema::validate(&otr::spec::tree::Tree::parse(&text).unwrap(), &schema);
        assert!(problems.is_empty(), "{}: {problems:?}", report["verb"]);
    }
}

#[test]
fn completions_and_man_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let text = out(&otr(&["completions", shell]).assert().code(0));
        assert!(text.contains("promote") && text.contains("production-is-down"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    otr(&["man", directory.path().to_str().unwrap()]).assert().code(0);
    let pages: Vec<String> = fs::read_dir(directory.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(["otr.1", "otr-plan.1", "otr-promote.1"].iter().all(|page| pages.contains(&(*page).to_owned())), "{pages:?}");
    assert!(fs::read_to_string(directory.path().join("otr.1")).unwrap().contains(".TH otr 1"));
}

/// A spec whose only host refuses connections: nothing listens on port 1.
fn unreachable(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("spec.yaml");
    let known = directory.path().join("known_hosts");
    fs::write(&known, "").unwrap();
    let spec = format!(
        "version: 1\nname: acme\nproduction: erp1\nhosts:\n  erp1: {{address: 127.0.0.1, port: 1, user: root, ssh: {{known_hosts: {}}}}}\n\
         files: [{{path: /etc/motd, content: hello}}]\n",
        known.display()
    );
    fs::write(&path, spec).unwrap();
    path.display().to_string()
}

#[test]
fn a_host_that_cannot_be_reached_is_1_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let spec = unreachable(&directory);
    let assert = otr(&["plan", "-s", &spec]).assert().code(1);
    let told = out(&assert);
    assert!(
        told.contains("erp1  production (127.0.0.1)") && told.contains("unreachable: ") && told.contains("hosts unreachable"),
        "{told}"
    );
    assert!(told.contains("127.0.0.1:1 refuses the connection"), "the cause is told: {told}");
    let assert = otr(&["plan", "-s", &spec, "--json"]).assert().code(1);
    let report: serde_json::Value = serde_json::from_str(&out(&assert)).unwrap();
    assert!(report["hosts"][0]["error"].as_str().unwrap().contains("refuses the connection"));
    otr(&["apply", "-s", &spec, "--yes"]).assert().code(1);
}

#[test]
fn a_plan_has_four_forms() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spec.yaml");
    let file = directory.path().join("x");
    let spec = "version: 1\nname: acme\nproduction: web\nhosts: {web: {address: local}}\n".to_owned()
        + &format!("files: [{{path: {}, content: \"<a>\\n`b`\\n\"}}]\n", file.display());
    fs::write(&path, spec).unwrap();
    let plan = |more: &[&str]| out(&otr(&["plan", "-s", path.to_str().unwrap()]).args(more).assert().code(0));
    assert_eq!(plan(&["--format", "text"]), plan(&[]));
    assert_eq!(plan(&["--format", "json"]), plan(&["--json"]));
    let markdown = plan(&["--format", "markdown"]);
    assert!(
        markdown.starts_with("### `plan acme: 1 to change") && markdown.contains("```diff\n@@ -0,0 +1,2 @@\n+<a>\n+`b`\n```\n"),
        "{markdown}"
    );
    let junit = plan(&["--format", "junit"]);
    let document = roxmltree::Document::parse(&junit).unwrap();
    let drift = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(drift.attribute("type"), Some("drift"), "{junit}");
    assert!(drift.text().unwrap().contains("+<a>"), "{junit}");
    otr(&["plan", "-s", path.to_str().unwrap(), "--json", "--format", "junit"]).assert().code(64);
}

#[test]
fn two_machines_are_compared_without_a_spec() {
    let elsewhere = tempfile::tempdir().unwrap();
    // The same machine by two ways; nothing listens on the other's port 1.
    let assert = otr(&["diff", "local", "root@127.0.0.1:1"]).current_dir(elsewhere.path()).env("HOME", elsewhere.path()).assert().code(1);
    assert!(out(&assert).contains("not compared: root@127.0.0.1:1 cannot be reached: "), "{}", out(&assert));
    let assert = otr(&["diff", "local", "local"]).current_dir(elsewhere.path()).assert().code(1);
    assert!(err(&assert).contains("are one host"), "{}", err(&assert));
}

#[test]
fn a_selection_of_what_is_not_there_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let spec = unreachable(&directory);
    let assert = otr(&["plan", "-s", &spec, "--host", "erp9"]).assert().code(1);
    assert!(err(&assert).contains("--host erp9: the spec has no such host"));
    let assert = otr(&["plan", "-s", &spec, "--only", "pakages"]).assert().code(1);
    assert!(err(&assert).contains("no such kind; there are sources, debconf, packages"), "{}", err(&assert));
    let assert = otr(&["promote", "-s", &spec, "erp1"]).assert().code(1);
    assert!(err(&assert).contains("erp1 is production already"), "{}", err(&assert));
}

#[test]
fn a_saved_plan_that_is_stale_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let spec = unreachable(&directory);
    let saved = directory.path().join("plan.json");
    otr(&["plan", "-s", &spec, "--out", saved.to_str().unwrap()]).assert().code(1);
    let text = fs::read_to_string(&spec).unwrap();
    fs::write(&spec, text.replace("/etc/motd", "/etc/issue")).unwrap();
    let assert = otr(&["apply", "-s", &spec, "--yes", saved.to_str().unwrap()]).assert().code(1);
    assert!(err(&assert).contains("the saved plan is stale") && err(&assert).contains("/etc/issue"), "{}", err(&assert));
    fs::write(&saved, "{}").unwrap();
    let assert = otr(&["apply", "-s", &spec, "--yes", saved.to_str().unwrap()]).assert().code(1);
    assert!(err(&assert).contains("is no plan saved with `otr plan --out`"), "{}", err(&assert));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for arguments in [&["demo"][..], &["demo", "--json"], &["schema"], &["completions", "bash"], &["--help"]] {
        let mut child =
            Process::new(env!("CARGO_BIN_EXE_otr")).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_module_says_one_line_of_json_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("args");
    let call = |arguments: &serde_json::Value| {
        fs::write(&path, arguments.to_string()).unwrap();
        // As Ansible calls it: with whatever environment a login has.
        let assert = otr(&[path.to_str().unwrap()]).env("CLICOLOR_FORCE", "1").env("RUST_BACKTRACE", "1").env("TERM", "xterm").assert();
        assert_eq!(err(&assert), "");
        let said = out(&assert);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!said.contains('\u{1b}') && !said.contains("\\u001b"), "{said}");
        (assert.get_output().status.code().unwrap(), serde_json::from_str::<serde_json::Value>(&said).unwrap())
    };
    let file = serde_json::json!({ "path": directory.path().join("x"), "content": "x\n" });
    let spec = serde_json::json!({ "version": 1, "name": "acme", "production": "web", "hosts": { "web": { "address": "local" } }, "files": [file] });
    let own =
        serde_json::json!({ "_ansible_version": "2.99.0", "_ansible_of_a_later_version": true, "_ansible_check_mode": true, "spec": spec });
    let (code, said) = call(&own);
    assert_eq!((code, &said["changed"], said.get("failed")), (0, &true.into(), None), "{said}");
    let mut wrong = own.clone();
    wrong["sepc"] = 1.into();
    let (code, said) = call(&wrong);
    assert_eq!((code, &said["failed"]), (1, &true.into()));
    assert!(said["msg"].as_str().unwrap().contains("did you mean `spec`?"), "{said}");
}

/// What runs in each job of the pipelines in docs/ci.md: the job, and its scripts in order.
fn pipelines() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string("docs/ci.md").unwrap();
    let yaml = text.split("```yaml\n").skip(1).map(|block| block.split("\n```").next().unwrap());
    let documents: Vec<serde_json::Value> = yaml.map(|yaml| serde_yaml::from_str(yaml).unwrap()).collect();
    let string = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let github = documents[0]["jobs"].as_object().unwrap().iter();
    let github =
        github.map(|(job, rest)| (job.clone(), rest["steps"].as_array().unwrap().iter().filter_map(|step| string(&step["run"])).collect()));
    let gitlab = documents[1].as_object().unwrap().iter().filter(|(_, job)| job.get("script").is_some());
    let gitlab = gitlab.map(|(job, rest)| (job.clone(), rest["script"].as_array().unwrap().iter().filter_map(string).collect()));
    github.chain(gitlab).collect()
}

/// The pipelines of docs/ci.md, run as a runner does, on a machine that lacks a directory.
#[test]
fn each_step_of_the_pipelines_runs() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("bin")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_otr"), at("bin/otr")).unwrap();
    for forge in ["gh", "curl"] {
        fs::write(
            at("bin").join(forge),
            "#!/bin/sh\nprintf '%s ' \"$0\" \"$@\" >> forge\ncase \"$*\" in *--config*) cat >> forge;; esac\n",
        )
        .unwrap();
        fs::set_permissions(at("bin").join(forge), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let whoami = |flag| String::from_utf8(Process::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned();
    let spec = "version: 1\nname: acme\nproduction: web\nhosts: {web: {address: local}}\n".to_owned()
        + &format!(
            "files: [{{path: {}, content: \"a\\nb\\n\", owner: {}, group: {}}}]\n",
            at("made").display(),
            whoami("-un"),
            whoami("-gn")
        );
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    let jobs = pipelines();
    assert_eq!(jobs.iter().map(|(job, _)| job.as_str()).collect::<Vec<_>>(), ["apply", "drift", "plan"].repeat(2));
    for (job, scripts) in &jobs {
        for drift in [true, false] {
            for made in ["made", "plan.md", "plan.xml", "forge"] {
                let _ = fs::remove_file(at(made));
            }
            fs::write(at("otr.yaml"), &spec).unwrap();
            if !drift {
                fs::write(at("made"), "a\nb\n").unwrap();
                fs::set_permissions(at("made"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            }
            for script in scripts {
                let script = regex_lite::Regex::new(r"\$\{\{[^}]*\}\}").unwrap().replace_all(script, "12");
                let run = Process::new("bash")
                    .args(["-eo", "pipefail", "-c", &script])
                    .current_dir(directory.path())
                    .env("PATH", &path)
                    .output()
                    .unwrap();
                let expected = if drift && job == "drift" { 2 } else { 0 };
                assert_eq!(run.status.code(), Some(expected), "{job}: {script}\n{}", String::from_utf8_lossy(&run.stderr));
            }
            match job.as_str() {
                "plan" => {
                    let summary = if drift { "### `plan acme: 1 to change`" } else { "### `plan acme: 1 as wanted`" };
                    assert!(fs::read_to_string(at("plan.md")).unwrap().starts_with(summary));
                    let junit = fs::read_to_string(at("plan.xml")).unwrap();
                    let failures = if drift { "1" } else { "0" };
                    assert_eq!(roxmltree::Document::parse(&junit).unwrap().root_element().attribute("failures"), Some(failures));
                    assert!(fs::read_to_string(at("forge")).unwrap().contains("plan.md"), "the forge was told");
                    assert_eq!(at("made").exists(), !drift);
                }
                "apply" => assert_eq!(fs::read_to_string(at("made")).unwrap(), "a\nb\n"),
                _ => assert_eq!(at("made").exists(), !drift),
            }
        }
    }
}
