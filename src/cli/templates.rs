//! `cenote templates`: the hosted pages' built-in files to start from, and a trial of one's own before a server reads them.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::templates::{self, Templates};

/// Change how the hosted pages look and what they say (docs/customizing.md)
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(clap::Subcommand)]
enum Act {
    /// Write the built-in templates, style and texts into a folder, to take from it what is to be changed
    Export {
        /// The folder; files that it has stay as they are
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Try a folder as the server does at start: render every page with it, and name what is wrong
    Check {
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

pub fn run(args: Args) -> Result<()> {
    match args.act {
        Act::Export { dir } => export(&dir),
        Act::Check { dir } => {
            Templates::open(Some(&dir), false)?;
            super::out::say(&format!(
                "Every page works with the templates in {}.\n",
                dir.display()
            ));
            Ok(())
        }
    }
}

fn export(dir: &Path) -> Result<()> {
    let unwritable = |path: &Path, error: &std::io::Error| {
        Error::invalid(format!("{} cannot be written: {error}.", path.display()))
    };
    let texts = dir.join("texts");
    std::fs::create_dir_all(&texts).map_err(|error| unwritable(&texts, &error))?;
    let (mut written, mut kept) = (0, 0);
    for (name, text) in templates::built_in() {
        let path = dir.join(name);
        let file = std::fs::File::options().write(true).create_new(true).open(&path);
        match file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())) {
            Ok(()) => written += 1,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => kept += 1,
            Err(error) => return Err(unwritable(&path, &error)),
        }
    }
    let kept =
        if kept > 0 { format!(" {kept} were there and stay as they are.") } else { String::new() };
    super::out::say(&format!(
        "{written} files written to {}.{kept} Keep those that you change, remove the rest: what is not there stays built in, \
         also in later releases.\n",
        dir.display()
    ));
    Ok(())
}
