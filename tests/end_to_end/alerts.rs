//! The rules for Prometheus, by Prometheus' own tool.

use std::path::Path;
use std::process::Command;

/// That of the machine, or one that was fetched without the server.
fn promtool() -> Command {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/prometheus/usr/bin/promtool");
    if fetched.exists() {
        Command::new(fetched)
    } else {
        Command::new("promtool")
    }
}

#[test]
#[ignore = "needs promtool; the full test run brings it"]
fn each_alert_fires_where_its_test_says_so_and_not_otherwise() {
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["test", "rules", "alerts_test.yaml"],
    ] {
        let mut command = promtool();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/observability");
        let output = command.args(arguments).current_dir(folder).output();
        let output = output.unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{said}");
    }
}
