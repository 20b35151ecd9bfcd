//! `docs/compatibility.md` says which operations are built; here it is held against the code.

use std::path::Path;

use cenote::cognito::BUILT;
use cenote_interface::operations;

const BEGIN: &str = "<!-- operations: begin -->\n";
const END: &str = "<!-- operations: end -->\n";

#[test]
fn compatibility_md_lists_every_operation_and_whether_it_is_built() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) =
        text.split_once(BEGIN).expect("docs/compatibility.md lacks the mark where the list begins");
    let (listed, after) =
        rest.split_once(END).expect("docs/compatibility.md lacks the mark where the list ends");
    if listed == list() {
        return;
    }
    if std::env::var_os("CENOTE_WRITE_DOCS").is_some() {
        std::fs::write(&path, [before, BEGIN, &list(), END, after].concat()).unwrap();
        return;
    }
    let differ: Vec<_> = list()
        .lines()
        .filter(|line| !listed.lines().any(|other| other == *line))
        .map(str::to_owned)
        .collect();
    panic!(
        "docs/compatibility.md and cenote::cognito::BUILT disagree. The list should have:\n{}\n\
         To write it: CENOTE_WRITE_DOCS=1 cargo test --test it compatibility",
        differ.join("\n")
    );
}

#[test]
fn every_built_operation_is_one_of_the_interface_and_named_once() {
    assert!(
        BUILT.is_sorted_by(|one, next| one < next),
        "the table of cognito/mod.rs is sorted by name"
    );
    for name in BUILT {
        assert!(
            cenote_interface::operation(name).is_some(),
            "{name} is no operation of the interface"
        );
    }
}

#[test]
fn whoever_counts_the_operations_counts_alike() {
    for file in ["README.md", "CHANGELOG.md"] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        assert!(text.contains(&count()), "{file} must say: {}", count());
    }
}

fn count() -> String {
    format!("{} of the {} operations", BUILT.len(), operations().len())
}

fn list() -> String {
    let mut list =
        format!("{} are built.\n\n| operation | built | signed |\n|---|---|---|\n", count());
    for operation in operations() {
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let built = yes(BUILT.contains(&operation.name));
        list.push_str(&format!(
            "| {} | {built} | {} |\n",
            operation.name,
            yes(!operation.unsigned)
        ));
    }
    list
}
