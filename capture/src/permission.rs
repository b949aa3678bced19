//! What to do where capturing is not permitted: the exact commands, with this program's own path.

use std::ffi::OsStr;
use std::path::Path;

/// What the commands depend on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// The operating system.
    pub system: System,
    /// This program's file.
    pub program: &'a Path,
    /// The arguments it was called with.
    pub arguments: &'a [String],
    /// Whether it runs as root already.
    pub is_root: bool,
}

/// Systems that permit capturing in different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Capabilities of files.
    Linux,
    /// Permissions of /dev/bpf*, which come back at each boot.
    MacOs,
    /// Whatever else has libpcap.
    Other,
}

impl System {
    /// The one this program was built for.
    pub const HERE: System = if cfg!(target_os = "linux") {
        System::Linux
    } else if cfg!(target_os = "macos") {
        System::MacOs
    } else {
        System::Other
    };
}

/// What helps, one line each, without a newline at the end.
pub fn advice(situation: &Situation<'_>) -> String {
    let program = quoted(situation.program.as_os_str());
    let arguments = shell_words::join(situation.arguments);
    let again = format!("  sudo {program} {arguments}");
    let once = format!("{again}\n      this time, as root");
    match (situation.system, situation.is_root) {
        (System::Linux, true) => "\
What helps: root lacks the capability CAP_NET_RAW here, as in most containers.
  docker run --cap-add NET_RAW …
      or the same for what the container was started with
  capture run -- COMMAND…
      a private network around your programs, where it may be allowed nevertheless"
            .replace("  capture run", &format!("  {program} run")),
        (System::Linux, false) => {
            // A rebuild writes a new file, without the capability.
            let (copy, target) = match is_built(situation.program) {
                true => (
                    format!("install -D {program} ~/.local/bin/capture && "),
                    "~/.local/bin/capture".to_owned(),
                ),
                false => (String::new(), program.clone()),
            };
            let copied = match is_built(situation.program) {
                true => "; a copy, as a rebuild would lose the permission",
                false => "; to be repeated whenever the file is replaced",
            };
            format!(
                "What helps, one of these:
  {program} run -- COMMAND…
      a private network around your programs; needs no permission
{once}
  {copy}sudo setcap cap_net_raw=eip {target}
      from now on, for everybody who may start that file{copied}"
            )
        }
        (System::MacOs, _) => format!(
            "What helps, one of these:
{once}
  brew install --cask wireshark-chmodbpf
      from now on, for administrators (ChmodBPF, as Wireshark installs it); log in again afterwards
  sudo chown \"$USER\" /dev/bpf*
      until the next boot"
        ),
        (System::Other, _) => format!("What helps:\n{once}"),
    }
}

/// Whether the file lies where the next build puts another one.
fn is_built(program: &Path) -> bool {
    program
        .components()
        .any(|component| component.as_os_str() == "target")
}

/// As a shell reads it.
fn quoted(text: &OsStr) -> String {
    shell_words::quote(&text.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(system: System, program: &str, is_root: bool, expected: &[&str]) {
        let arguments = ["live", "-i", "lo", "--names", "a b=1"].map(str::to_owned);
        let advice = advice(&Situation {
            system,
            program: Path::new(program),
            arguments: &arguments,
            is_root,
        });
        let commands: Vec<&str> = advice
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .map(str::trim)
            .collect();
        assert_eq!(commands, expected);
    }

    #[test]
    fn the_commands_can_be_pasted() {
        check(
            System::Linux,
            "/opt/lab tools/capture",
            false,
            &[
                "'/opt/lab tools/capture' run -- COMMAND…",
                "sudo '/opt/lab tools/capture' live -i lo --names 'a b=1'",
                "sudo setcap cap_net_raw=eip '/opt/lab tools/capture'",
            ],
        );
        check(
            System::Linux,
            "/home/ada/lab/target/debug/capture",
            false,
            &[
                "/home/ada/lab/target/debug/capture run -- COMMAND…",
                "sudo /home/ada/lab/target/debug/capture live -i lo --names 'a b=1'",
                "install -D /home/ada/lab/target/debug/capture ~/.local/bin/capture && \
                 sudo setcap cap_net_raw=eip ~/.local/bin/capture",
            ],
        );
        check(
            System::Linux,
            "/bin/capture",
            true,
            &[
                "docker run --cap-add NET_RAW …",
                "/bin/capture run -- COMMAND…",
            ],
        );
        check(
            System::MacOs,
            "/bin/capture",
            false,
            &[
                "sudo /bin/capture live -i lo --names 'a b=1'",
                "brew install --cask wireshark-chmodbpf",
                "sudo chown \"$USER\" /dev/bpf*",
            ],
        );
        check(
            System::Other,
            "/bin/capture",
            false,
            &["sudo /bin/capture live -i lo --names 'a b=1'"],
        );
    }
}
