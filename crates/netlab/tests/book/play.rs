//! Does what a chapter says, on a machine of its own, and compares what is written with what the chapter shows.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::command_line::shipped;
use fleetcast_netlab::fleet::{program, write};
use fleetcast_netlab::netns::require_netns;
use snapbox::assert::Action;
use snapbox::{Assert, IntoData as _};

use super::chapter::{Block, Chapter};
use super::rules::{Use, what};

/// Time for all commands of a chapter.
const LIMIT: Duration = Duration::from_mins(4);

/// Most that is told of the commands before a failure, and of their output, in lines from the end.
const COMMANDS_MAX: usize = 10;
const OUTPUT_MAX: usize = 60;

/// Runs the commands of a chapter.
pub(crate) fn run(chapter: &Chapter) -> Result<(), String> {
    run_within(chapter, LIMIT)
}

fn run_within(chapter: &Chapter, limit: Duration) -> Result<(), String> {
    let uses: Vec<_> =
        (0..chapter.blocks.len()).map(|number| what(&chapter.blocks, number)).collect::<Result<_, _>>()?;
    if !uses.iter().any(|one| matches!(one, Use::Run(_))) || !require_netns() {
        return Ok(());
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [home, programs] = ["home", "programs"].map(path);
    for made in [&home, &programs] {
        fs::create_dir(made).unwrap();
    }
    for name in ["sign", "send", "recv"] {
        symlink(program(name), programs.join(format!("fleetcast-{name}"))).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_fleetcast-conformance"), programs.join("fleetcast-conformance")).unwrap();
    let script = path("chapter");
    write(&script, script_of(&chapter.blocks, &uses, folder.path()).as_bytes());

    let mut child = Command::new("setpriv")
        // If the test is killed, so is unshare, and with it all that it started.
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["bash", "-c", include_str!("host.sh"), "host.sh"])
        .args([&script, &home, &shipped(".").canonicalize().unwrap(), &programs])
        .stdin(Stdio::null())
        .stdout(fs::File::create(path("host")).unwrap())
        .stderr(fs::File::options().append(true).open(path("host")).unwrap())
        .spawn()
        .map_err(|error| format!("setpriv (package util-linux): {error}"))?;
    let ended = wait(&mut child, limit);
    let mut failures = Vec::new();
    for (number, block) in chapter.blocks.iter().enumerate() {
        if !matches!(uses[number], Use::Run(_) | Use::File(_)) {
            continue;
        }
        let Ok(size) = fs::read_to_string(path(&format!("{number}.end"))) else {
            let how = ended.clone().err().unwrap_or_else(|| "ended the chapter".to_owned());
            failures.push(format!("{}: {how}\n{}", block.place, told(folder.path(), number)));
            return Err(failures.join("\n"));
        };
        let expected =
            (number + 1 < uses.len() && uses[number + 1] == Use::Output).then(|| &chapter.blocks[number + 1]);
        if let Some(expected) = expected {
            let output = fs::read(path(&format!("{number}.out"))).unwrap();
            let output = String::from_utf8_lossy(&output[..size.trim().parse().unwrap()]).into_owned();
            failures.extend(compare(expected, output).err());
        }
    }
    ended.map_err(|how| format!("{}: {how}", chapter.name))?;
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The chapter as a script. It leaves in `folder`, for each block by its number, what it wrote (`.out`) and how much of that came before the
/// next block (`.end`); and all commands as they were run, with their lines (`trace`).
fn script_of(blocks: &[Block], uses: &[Use<'_>], folder: &Path) -> String {
    let mut script = format!("exec 9>{}\nPS4='+ line $LINENO: ' BASH_XTRACEFD=9\n", folder.join("trace").display());
    for (number, (block, one)) in blocks.iter().zip(uses).enumerate() {
        let own = folder.join(number.to_string());
        let own = own.display();
        let (content, command) = match one {
            // The lines of the file that is run are those of the chapter.
            Use::Run(0) => ("\n".repeat(block.place.line) + &block.text, format!(". {own}.block")),
            Use::Run(code) => (
                "\n".repeat(block.place.line) + &block.text,
                format!(
                    "code=0\n. {own}.block || code=$?\n[ $code = {code} ] || {{ echo \"exit code $code, not {code}\"; exit 1; }}"
                ),
            ),
            Use::File(name) => (block.text.clone(), format!("install -D -m 644 {own}.block '{name}'")),
            _ => continue,
        };
        write(&folder.join(format!("{number}.block")), content.as_bytes());
        writeln!(script, "exec >{own}.out 2>&1\nset -x\n{command}\nset +x\nstat -c %s {own}.out >{own}.end").unwrap();
    }
    script
}

/// Waits until the chapter has ended with all it started.
fn wait(child: &mut Child, limit: Duration) -> Result<(), String> {
    let deadline = Instant::now() + limit;
    loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("failed with {status}")),
            None if Instant::now() >= deadline => {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("did not end within {} s", limit.as_secs()));
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// What the block wrote, and the last of its commands.
fn told(folder: &Path, number: usize) -> String {
    let read = |name: &str, most: usize| {
        let bytes = fs::read(folder.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(most)..].join("\n")
    };
    let (host, commands) = (read("host", OUTPUT_MAX), read("trace", COMMANDS_MAX));
    format!("{host}\n--- commands\n{commands}\n--- output\n{}", read(&format!("{number}.out"), OUTPUT_MAX))
        .trim_start()
        .to_owned()
}

fn compare(expected: &Block, output: String) -> Result<(), String> {
    let compared = Assert::new().normalize_paths(false).action(Action::Verify).try_eq(
        Some(&expected.place),
        output.into_data(),
        expected.text.clone().into_data(),
    );
    compared.map_err(|error| format!("{}: the output is another\n{error}", expected.place))
}

pub(crate) mod tests {
    use std::time::Duration;

    use fleetcast_netlab::netns::require_netns;

    use super::{Chapter, run_within};

    /// Chapters that fail, and what is told of it.
    const FAILURES: [(&str, &[&str]); 6] = [
        ("a\n\n```sh\ntrue\nfalse\n```", &["chapter.md:3: failed with exit status: 1", "+ line 5: false"]),
        ("```sh\necho \"$unset\"\n```", &["chapter.md:1: failed", "unset: unbound variable"]),
        ("```sh\nexit\n```\n\n```sh\ntrue\n```", &["chapter.md:1: ended the chapter", "+ line 2: exit"]),
        ("```sh\necho one\n```\n\n```text\ntwo\n```", &["chapter.md:5: the output is another", "one", "two"]),
        ("```sh,fails=3\nfalse\n```", &["chapter.md:1: failed", "exit code 1, not 3"]),
        ("```sh\nsleep 60 &\nsleep 70\n```", &["chapter.md:1: did not end within 15 s", "+ line 3: sleep 70"]),
    ];

    /// A chapter that does not.
    const PASSES: &str = "```toml,file=/etc/fleetcast/a.toml\na = 1\n```\n\n```sh\nb=2\ncat /etc/fleetcast/a.toml\nsleep 60 &\n```\n\n\
        ```text\na = [..]\n```\n\n```sh,fails=4\n(exit 4)\n```\n\n```sh\necho $b; ls -A | wc -l; fleetcast-recv --version; kill %1\n```\n\n\
        ```text\n2\n0\n...\n```\n";

    pub(crate) fn every_failure_is_told() -> Result<(), String> {
        if !require_netns() {
            return Ok(());
        }
        run_within(&Chapter::of(PASSES), Duration::from_mins(1))?;
        for (text, expected) in FAILURES {
            // Only one of them takes all of it.
            let told = run_within(&Chapter::of(text), Duration::from_secs(15)).err().unwrap_or_default();
            if !told.starts_with(expected[0]) || !expected.iter().all(|part| told.contains(part)) {
                return Err(format!("{text}\n{told}\nexpected: {expected:?}"));
            }
        }
        Ok(())
    }
}
