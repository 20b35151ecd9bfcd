//! Which module of `src` may name which. `FLOW` is the flow of the house, top to bottom; the code is held against it, and so is
//! the table in `ARCHITECTURE.md`. Test code inside `src` counts.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A module and those that it may name, all of them further down. Modules that do not exist yet may have a row.
const FLOW: &[(&str, &str)] = &[
    // The program: arguments, sockets, the list of routes and workers.
    ("main", "cli"),
    (
        "cli",
        "serve app dev seed admin account access auth tokens audit notify cx store templates pool keys tls config limits files ids ambient error",
    ),
    ("serve", "app http cx tls config meters ambient error"),
    (
        "app",
        "cognito hosted oauth extension dev health federation delivery notify http cx store templates keys outgoing config compute limits meters ambient error",
    ),
    ("seed", "admin account auth tokens audit targets cx store pool keys config ids ambient error"),
    // The doors. They never name each other.
    (
        "cognito",
        "site http account admin access auth tokens federation signout audit notify sigv4 cx store pool keys config limits ids ambient error",
    ),
    (
        "hosted",
        "site http account auth tokens federation signout audit cx store templates pool keys config ids ambient error",
    ),
    (
        "oauth",
        "site http account auth tokens signout audit cx store pool keys config limits ids ambient error",
    ),
    // Who learns of sign-outs. Only `app` names it.
    (
        "delivery",
        "site http access tokens federation signout audit targets sigv4 cx feeds store pool keys outgoing config limits breakers ids ambient error",
    ),
    (
        "extension",
        "site http admin access auth tokens federation signout audit targets sigv4 cx store pool keys outgoing config limits ids ambient error",
    ),
    ("dev", "http notify cx store pool keys outgoing config ids ambient error"),
    ("health", "cx store config meters ambient error"),
    // What doors share: which pool a request means, and HTTP.
    ("site", "http cx store pool config limits error"),
    ("http", "access sigv4 cx config ids ambient error"),
    // What happens to access keys, to pools and clients, to users, and at a sign-in.
    ("access", "audit sigv4 cx store keys ids ambient error"),
    (
        "admin",
        "auth tokens federation signout audit notify targets cx store pool keys config ids ambient error",
    ),
    (
        "account",
        "auth tokens federation signout audit notify cx store pool keys config ids ambient error",
    ),
    ("auth", "tokens federation signout audit notify cx store pool keys config ids ambient error"),
    ("tokens", "signout audit cx store pool keys config ids ambient error"),
    // The providers of others.
    ("federation", "signout audit outgoing cx store pool keys config ids ambient error"),
    // The heart.
    ("signout", "audit cx store pool ids ambient error"),
    ("notify", "audit cx store pool keys config limits ids ambient error"),
    ("audit", "cx store pool ids ambient error"),
    ("targets", "cx store pool keys ids ambient error"),
    // The ground: what every operation gets, and where everything is kept.
    (
        "cx",
        "templates feeds store keys outgoing config compute limits meters breakers turns wakes ids ambient error",
    ),
    ("feeds", "store pool keys ambient"),
    ("store", "pool meters ambient error"),
    ("templates", "error"),
    ("pool", "ambient error"),
    // Leaves.
    ("sigv4", "keys ambient error"),
    ("keys", "ambient error"),
    ("tls", "files ambient error"),
    ("outgoing", "config meters ambient error"),
    ("config", "limits ambient error"),
    ("compute", "meters error"),
    ("limits", "ambient"),
    ("ids", "ambient"),
    ("meters", ""),
    ("breakers", "ambient"),
    ("turns", ""),
    ("wakes", ""),
    ("files", ""),
    ("ambient", ""),
    ("error", ""),
];

/// Macros that a module exports: `#[macro_export]` puts their names at the root of the crate.
const MACROS: &[(&str, &str)] = &[("params", "store")];

#[test]
fn every_module_names_only_those_below_it() {
    let src = repository().join("src");
    let mut faults = String::new();
    for file in sources(&src) {
        let path = file.strip_prefix(&src).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for (line, fault) in faults_of(path, &text) {
            writeln!(faults, "src/{}:{line}: {fault}", path.display()).unwrap();
        }
    }
    assert!(
        faults.is_empty(),
        "\n{faults}\nModules flow one way (ARCHITECTURE.md, \"The flow\"). Move the code to the module that it needs, or pass what \
         it needs as an argument.\nIf the flow itself should change, or the module is new, say so in FLOW in tests/it/edges.rs and \
         in ARCHITECTURE.md.\n"
    );
}

#[test]
fn the_table_flows_one_way() {
    for (row, (module, below)) in FLOW.iter().enumerate() {
        for name in below.split(' ').filter(|name| !name.is_empty()) {
            let position = FLOW.iter().position(|(other, _)| *other == name);
            assert!(
                position.is_some_and(|position| position > row),
                "{module} -> {name}: `{name}` must have a row further down"
            );
        }
    }
}

#[test]
fn architecture_md_shows_the_same_table() {
    let text = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<String> = FLOW.iter().map(|(module, below)| row(module, below)).collect();
    let shown: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "| module | may name |")
        .skip(2)
        .take(rows.len())
        .collect();
    assert_eq!(
        shown,
        rows,
        "the table of ARCHITECTURE.md must be:\n\n| module | may name |\n|---|---|\n{}\n",
        rows.join("\n")
    );
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = r##"
        //! crate::comment and /* crate::comment */
        use crate::{auth, hosted::{self, pages}, tokens as t};
        pub(crate) fn f<'a>(x: &'a str) -> crate::error::Result<char> {
            let text = "crate::text \" crate::text"; let raw = r#"crate::raw " "#; let c = '"';
            /* a /* nested */ crate::comment */
            super::super::oauth::wire::ok(c)
        }
        mod tests { use super::super::super::dev; use super::*; }
        macro_rules! m { () => { $crate::store::Val } }
    "##;
    let found: Vec<(usize, String)> =
        paths(text, 2).into_iter().map(|(line, name)| (line, name.unwrap())).collect();
    let names: Vec<(usize, &str)> =
        found.iter().map(|(line, name)| (*line, name.as_str())).collect();
    assert_eq!(
        names,
        [
            (3, "auth"),
            (3, "hosted"),
            (3, "tokens"),
            (4, "error"),
            (7, "oauth"),
            (9, "dev"),
            (10, "store")
        ]
    );
}

#[test]
fn a_forbidden_edge_and_an_unknown_module_are_named() {
    let told = |path: &str, text: &str| {
        let faults = faults_of(Path::new(path), text).into_iter();
        faults.map(|(line, fault)| format!("{line} {fault}")).collect::<Vec<_>>()
    };
    assert_eq!(
        told("tokens/mint.rs", "use crate::cx::Cx;\nuse crate::hosted;"),
        ["2 the edge tokens -> hosted is not in the table"]
    );
    assert_eq!(
        told("oauth/token.rs", "crate::cognito::call()"),
        ["1 the edge oauth -> cognito is not in the table"]
    );
    assert_eq!(
        told("tokens/mod.rs", "use crate::nowhere;"),
        ["1 `crate::nowhere` is no module of the table"]
    );
    assert_eq!(told("novel/mod.rs", "")[0], "1 the module `novel` has no row in the table");
    assert_eq!(
        told("keys/ring.rs", "use crate::*;"),
        ["1 the whole crate is imported: name the modules"]
    );
    assert_eq!(told("main.rs", "fn main() { cenote::cli::main() }"), Vec::<String>::new());
    assert_eq!(told("store/jobs.rs", "use crate::params;"), Vec::<String>::new());
}

/// What is wrong in one file, with the lines.
fn faults_of(path: &Path, text: &str) -> Vec<(usize, String)> {
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    let module = parts[0].trim_end_matches(".rs");
    // The file of a module in a folder is the folder's `mod.rs`, or a file beside the folder.
    let depth = if module == "lib" {
        0
    } else {
        parts.len() - usize::from(parts.len() > 1 && parts.ends_with(&["mod.rs"]))
    };
    if module == "lib" {
        // It only says which modules there are.
        let strangers = paths(text, depth)
            .into_iter()
            .map(|(line, _)| (line, "lib.rs names no module's items".to_owned()));
        return strangers.collect();
    }
    let Some((_, below)) = FLOW.iter().find(|(name, _)| *name == module) else {
        return vec![(1, format!("the module `{module}` has no row in the table"))];
    };
    let mut faults = Vec::new();
    for (line, name) in paths(text, depth) {
        let Some(name) = name else {
            faults.push((line, "the whole crate is imported: name the modules".to_owned()));
            continue;
        };
        let name = MACROS
            .iter()
            .find(|(exported, _)| *exported == name)
            .map_or(name.as_str(), |(_, module)| module);
        if !FLOW.iter().any(|(known, _)| *known == name) {
            faults.push((line, format!("`crate::{name}` is no module of the table")));
        } else if name != module && !below.split(' ').any(|allowed| allowed == name) {
            faults.push((line, format!("the edge {module} -> {name} is not in the table")));
        }
    }
    faults
}

/// Every path of a file that starts at the crate's root, by its line and the top-level name after the root (`None` for `*`):
/// `crate::x`, `use crate::{x, y::z}`, `$crate::x`, the library's own name, and a chain of `super::` that is long enough. `depth`
/// is how deep below the root the file's module is.
fn paths(text: &str, mut depth: usize) -> Vec<(usize, Option<String>)> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).and_then(|(_, token)| token.strip_prefix('w'));
    let mark = |at: usize| tokens.get(at).and_then(|(_, token)| token.strip_prefix('m'));
    let joined = |at: usize| mark(at) == Some(":") && mark(at + 1) == Some(":");

    let mut found = Vec::new();
    let mut braces = 0_usize;
    let mut inline: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if mark(at) == Some("{") {
            braces += 1;
            // `mod name {` is one level more until its brace closes.
            if at >= 2 && word(at - 2) == Some("mod") && word(at - 1).is_some() {
                inline.push(braces);
                depth += 1;
            }
        } else if mark(at) == Some("}") {
            if inline.last() == Some(&braces) {
                inline.pop();
                depth -= 1;
            }
            braces = braces.saturating_sub(1);
        }
        // A word after `::` is in the middle of a path; a bare `cenote` may be a variable, but not before `::`.
        let first = at < 2 || !joined(at - 2);
        let mut next = at + 1;
        let rooted = match word(at) {
            Some("crate" | "cenote") if first => joined(next),
            Some("super") if first && joined(next) => {
                let mut climbs = 1;
                while joined(next) && word(next + 2) == Some("super") {
                    climbs += 1;
                    next += 3;
                }
                joined(next) && climbs >= depth
            }
            _ => false,
        };
        if !rooted {
            at += 1;
            continue;
        }
        next += 2;
        if mark(next) != Some("{") {
            found.push((tokens[next].0, word(next).map(str::to_owned)));
            at = next;
            continue;
        }
        // A group: the first word of each item, at this level of braces.
        let (mut level, mut starts) = (0, false);
        loop {
            match mark(next) {
                Some("{") => {
                    level += 1;
                    starts = level == 1;
                }
                Some("}") => level -= 1,
                Some(",") if level == 1 => starts = true,
                _ if starts => {
                    found.push((tokens[next].0, word(next).map(str::to_owned)));
                    starts = false;
                }
                _ => {}
            }
            next += 1;
            if level == 0 || next >= tokens.len() {
                break;
            }
        }
        at = next;
    }
    found
}

/// Words (`w..`) and marks (`m.`) with their lines; comments, strings and characters are left out.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, with: &str| {
        with.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c))
    };
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let begin = at;
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            let mut nested = 0;
            loop {
                if starts(at, "/*") {
                    nested += 1;
                    at += 2;
                } else if starts(at, "*/") {
                    nested -= 1;
                    at += 2;
                } else {
                    at += 1;
                }
                if nested == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if let Some(hashes) = raw_string(&chars, at) {
            let end: String =
                std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
            while chars[at] != '"' {
                at += 1;
            }
            at += 1;
            while at < chars.len() && !starts(at, &end) {
                at += 1;
            }
            at += end.len();
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\''
            && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\''))
        {
            at += if chars[at + 1] == '\\' { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            tokens.push((line, format!("w{}", chars[begin..at].iter().collect::<String>())));
        } else {
            if !c.is_whitespace() {
                tokens.push((line, format!("m{c}")));
            }
            at += 1;
        }
        line += chars[begin..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The number of hashes, where a raw string (`r".."`, `br#".."#`) begins here.
fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let after_word = at
        .checked_sub(1)
        .is_some_and(|before| chars[before].is_alphanumeric() || chars[before] == '_');
    let r = if chars.get(at) == Some(&'b') { at + 1 } else { at };
    if after_word || chars.get(r) != Some(&'r') {
        return None;
    }
    let hashes = chars[r + 1..].iter().take_while(|c| **c == '#').count();
    (chars.get(r + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// A reader who looks for a test, or for a folder, finds it on the map.
#[test]
fn the_map_names_every_test_module_and_every_module() {
    let map = std::fs::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let tests = std::fs::read_to_string(repository().join("tests/it/main.rs")).unwrap();
    let (_, listed) = map.split_once("| module | holds |").unwrap();
    let modules = tests.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let missing: Vec<&str> =
        modules.filter(|module| !listed.contains(&format!("`{module}`"))).collect();
    assert!(missing.is_empty(), "the table of tests in ARCHITECTURE.md lacks {missing:?}");

    let (_, folders) = map.split_once("| where | what |").unwrap();
    let (folders, _) = folders.split_once("\n\n").unwrap();
    let library = std::fs::read_to_string(repository().join("src/lib.rs")).unwrap();
    let modules =
        library.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let missing: Vec<&str> = modules
        .filter(|module| {
            !folders.contains(&format!("src/{module}/"))
                && !folders.contains(&format!("src/{module}.rs"))
        })
        .collect();
    assert!(missing.is_empty(), "the table of folders in ARCHITECTURE.md lacks {missing:?}");
}

fn row(module: &str, below: &str) -> String {
    let names: Vec<String> =
        below.split(' ').filter(|name| !name.is_empty()).map(|name| format!("`{name}`")).collect();
    format!(
        "| `{module}` | {} |",
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    )
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
