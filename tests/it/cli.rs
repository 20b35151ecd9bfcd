//! The command line, in real processes: exit codes, the operator's commands beside a running server, and the reference of settings.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cenote::limits::Limit;
use clap::CommandFactory as _;
use serde_json::{Value, json};

use crate::process::{Process, directory};

/// `cenote` with these arguments, and with nothing of this machine's own configuration.
pub fn cenote(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("CENOTE_") || name == "RUST_LOG")
    {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

pub fn run(args: &[&str]) -> Output {
    cenote(args).output().unwrap()
}

/// What a command that must succeed printed.
fn said(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must fail complained about.
pub fn complaint(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("cenote: "))
        .unwrap_or_else(|| panic!("no complaint: {text}"))
        .to_owned()
}

/// A directory that goes with the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(directory())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        cenote::files::write_private(&self.0.join(name), text.as_bytes()).unwrap();
        self.path(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn bad_usage_exits_with_2_and_a_version_is_told() {
    for args in [
        &[][..],
        &["frob"],
        &["dev", "--frob"],
        &["dev", "--port", "x"],
        &["keys", "rotate"],
        &["audit", "--from", "yesterday"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(said(&["--version"]), format!("cenote {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_operator_works_beside_a_running_server() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let data = scratch.path("data");
    let pool = server.get("user_pool_id").to_owned();

    // Keys rotate: the running server signs with the new ones and still verifies with the old.
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": server.get("client_id"),
        "AuthParameters": { "USERNAME": server.get("username"), "PASSWORD": server.get("password") } });
    let before =
        server.call("InitiateAuth", &input).unwrap().1["AuthenticationResult"]["AccessToken"]
            .clone();
    let text = said(&["keys", "rotate", "--pool", &pool, "--data", &data]);
    assert!(
        text.starts_with(&format!("{pool}: new keys sign from now on; the old ones verify until ")),
        "{text}"
    );
    assert_eq!(server.call("GetUser", &json!({ "AccessToken": before })).unwrap().0, 200);
    let after =
        server.call("InitiateAuth", &input).unwrap().1["AuthenticationResult"]["AccessToken"]
            .clone();
    assert_ne!(kid(&before), kid(&after));
    assert_eq!(said(&["keys", "rotate", "--all", "--data", &data]).lines().count(), 1);
    assert!(
        complaint(&["keys", "rotate", "--pool", "us-east-1_none", "--data", &data])
            .contains("There is no pool us-east-1_none")
    );

    // Access keys.
    let made = said(&[
        "access-key",
        "create",
        "--action",
        "Admin*",
        "--pool",
        &pool,
        "--note",
        "ci",
        "--data",
        &data,
    ]);
    let value =
        |name: &str| made.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (id, secret) = (value("AWS_ACCESS_KEY_ID="), value("AWS_SECRET_ACCESS_KEY="));
    assert!(id.len() == 20 && id.starts_with("AKIA") && secret.len() == 40, "{made}");
    let list = said(&["access-key", "list", "--data", &data]);
    assert!(
        list.contains(&id)
            && list.contains("cognito-idp:Admin*")
            && list.contains("ci")
            && !list.contains(&secret),
        "{list}"
    );
    assert_eq!(
        said(&["access-key", "delete", &id, "--data", &data]),
        format!("{id} is deleted.\n")
    );
    assert!(
        complaint(&["access-key", "delete", &id, "--data", &data])
            .contains("There is no access key")
    );
    assert!(
        complaint(&["access-key", "create", "--action", "AdminGetUsr", "--data", &data])
            .contains("matches no operation")
    );

    // All of which is in the audit trail, and nothing secret is.
    let trail = said(&["audit", "--actor", "operator", "--json", "--data", &data]);
    let entries: Vec<Value> =
        trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> =
        entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["RotateSigningKeys", "RotateSigningKeys", "CreateAccessKey", "DeleteAccessKey"]
    );
    assert!(!trail.contains(&secret));
    let one = said(&[
        "audit",
        "--pool",
        &pool,
        "--action",
        "RotateSigningKeys",
        "--target",
        &pool,
        "--from",
        "2020-01-01",
        "--data",
        &data,
    ]);
    assert_eq!(one.lines().count(), 2, "{one}");
    assert_eq!(said(&["audit", "--to", "2020-01-01", "--data", &data]), "");
}

#[test]
fn an_operators_command_makes_no_database_and_needs_the_right_key() {
    let scratch = Scratch::new();
    let url = format!("sqlite://{}", scratch.path("none.db"));
    assert!(complaint(&["audit", "--database-url", &url]).contains("There is no database"));
    assert!(!Path::new(&scratch.path("none.db")).exists());
    assert!(complaint(&["audit"]).contains(
        "database_url is not set. Give --database-url, the variable CENOTE_DATABASE_URL"
    ));

    drop(Process::start(&scratch.0, &[]));
    let other = scratch.write("other.key", &"0123456789abcdef".repeat(4));
    let url = format!("sqlite://{}", scratch.path("data/cenote.db"));
    let text =
        complaint(&["access-key", "create", "--database-url", &url, "--master-key-file", &other]);
    assert!(text.contains("The master key does not match this database"), "{text}");
}

#[test]
fn data_wins_over_variables_and_empty_variables_are_not_set() {
    let scratch = Scratch::new();
    drop(Process::start(&scratch.0, &[]));
    let data = scratch.path("data");
    let list = |args: &[&str], url: &str| {
        let mut command = cenote(&[&["access-key", "list"], args].concat());
        command.env("CENOTE_DATABASE_URL", url).env("CENOTE_CONFIG", "");
        command.output().unwrap()
    };
    let none = format!("sqlite://{}", scratch.path("none.db"));
    assert_eq!(list(&["--data", &data], &none).status.code(), Some(0));
    let output = list(&["--data", &data, "--database-url", &none], "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text.contains("--data and --database-url cannot be given together"), "{text}");
    let text = String::from_utf8(list(&[], "").stderr).unwrap();
    assert!(text.contains("database_url is not set"), "{text}");
}

fn kid(token: &Value) -> String {
    use base64::Engine as _;
    let header = token.as_str().unwrap().split('.').next().unwrap();
    let header: Value =
        serde_json::from_slice(&base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(header).unwrap())
            .unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// The reference is the settings' own comments. `CENOTE_WRITE_DOCS=1 cargo test --test it reference` writes it anew.
#[test]
fn the_reference_of_settings_says_what_the_settings_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let written = reference();
    if std::env::var_os("CENOTE_WRITE_DOCS").is_some() {
        std::fs::write(&file, &written).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        written,
        "write it anew with CENOTE_WRITE_DOCS=1"
    );
}

/// Every limit with its number and what it counts.
fn limits() -> String {
    let mut text = "| limit | a second | what it counts |\n|---|---|---|\n".to_owned();
    for limit in Limit::ALL.into_iter().filter(|limit| limit.is_set()) {
        text += &format!("| `{}` | {} | {} |\n", limit.name(), limit.built_in(), limit.what());
    }
    text
}

fn reference() -> String {
    let mut text = include_str!("configuration.head.md").to_owned();
    let mut cli = cenote::cli::Cli::command();
    cli.build();
    for (command, title) in [("serve", "`cenote serve`"), ("dev", "`cenote dev`")] {
        text += &format!("\n## {title}\n");
        for arg in cli.find_subcommand(command).unwrap().get_arguments() {
            let Some(long) = arg.get_long().filter(|long| !["help", "version"].contains(long))
            else {
                continue;
            };
            let value = arg
                .get_value_names()
                .filter(|_| arg.get_action().takes_values())
                .map(|names| format!(" {}", names[0]));
            text += &format!("\n### `--{long}{}`\n\n", value.unwrap_or_default());
            if let Some(env) = arg.get_env() {
                let key = long.replace('-', "_");
                let file = if long == "config" { String::new() } else { format!(", key `{key}`") };
                text += &format!("Variable `{}`{file}.\n", env.to_str().unwrap());
            }
            text += &format!("{}.", arg.get_help().unwrap());
            if (command, long) == ("serve", "rate-limits") {
                text += "\n\n";
                text += &limits();
                continue;
            }
            if let [default] = arg.get_default_values() {
                text += &format!(" Default: {}.", default.to_str().unwrap());
            }
            text += "\n";
        }
    }
    text
}
