//! Writes manual pages and shell completions of the programs, made from their command lines, for packages of them.
//!
//! ```text
//! cargo run -p fleetcast-netlab --example manuals -- FOLDER
//! FOLDER/man/fleetcast-recv.1, fleetcast-recv-receive.1, ...
//! FOLDER/bash/fleetcast-recv, FOLDER/zsh/_fleetcast-recv, FOLDER/fish/fleetcast-recv.fish, ...
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("name the folder to write into");
        return ExitCode::from(2);
    };
    match write(&PathBuf::from(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    let programs = [
        fleetcast_recv::commands::Cli::command(),
        fleetcast_send::commands::Cli::command(),
        fleetcast_sign::commands::Cli::command(),
    ];
    let [man, bash, zsh, fish] = ["man", "bash", "zsh", "fish"].map(|name| folder.join(name));
    for folder in [&man, &bash, &zsh, &fish] {
        fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    }
    for program in programs {
        let name = program.get_name().to_owned();
        for (shell, path) in [
            // Where bash-completion looks, files have the names of their programs.
            (Shell::Bash, bash.join(&name)),
            (Shell::Zsh, zsh.join(format!("_{name}"))),
            (Shell::Fish, fish.join(format!("{name}.fish"))),
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut program.clone(), &name, &mut script);
            put(&path, &script)?;
        }
        clap_mangen::generate_to(program.disable_help_subcommand(true), &man)
            .map_err(|e| format!("cannot write manual pages in {}: {e}", man.display()))?;
    }
    keep_lines(&man)
}

/// Has the lines of examples left as they are in all pages of a folder.
fn keep_lines(folder: &Path) -> Result<(), Box<dyn Error>> {
    for page in fs::read_dir(folder)? {
        let path = page?.path();
        let text = fs::read_to_string(&path)?.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n.nf\n");
        put(&path, text.replace(".SH VERSION\n", ".fi\n.SH VERSION\n").as_bytes())?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "no device relies on this file")]
fn put(path: &Path, octets: &[u8]) -> Result<(), String> {
    fs::write(path, octets).map_err(|e| format!("cannot write {}: {e}", path.display()))
}
